// A client in a process of its own, to be killed. Its argument, as JSON: config, secrets and instances. It registers them, says so, and stays.
import type { RegistryConfig } from '../../../src/api/kinds.generated.ts';
import type { Instance } from '../../../src/mirror/instance.ts';
import { createRegistry } from '../../../src/registries/create.ts';
import type { Secrets } from '../../../src/registries/secrets.ts';
import { assertOk, never } from '../expectations.ts';
import { register } from '../samples.ts';

interface Task {
  readonly config: RegistryConfig;
  readonly secrets: Secrets;
  readonly instances: readonly Instance[];
}

const { config, secrets, instances }: Task = JSON.parse(process.argv[2] ?? '');
const registry = createRegistry(config, secrets);
assertOk(await registry.apply(instances.map(register), never));
process.stdout.write('written\n');
setInterval(() => {}, 60_000);
