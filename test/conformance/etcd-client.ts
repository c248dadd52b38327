// A client in a process of its own, to be killed and frozen. Its arguments, as JSON: settings, cluster and instances. It keeps
// the instances in the registry as a caller should, by watching and reading, and writes a line for each time that all stand.
import type { Instance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { type EtcdSettings, openEtcdRegistry } from '../../src/registries/etcd/etcd.ts';
import { never } from './expectations.ts';
import { register, update } from './samples.ts';

interface Task {
  readonly settings: EtcdSettings;
  readonly cluster: string;
  readonly instances: readonly Instance[];
  readonly leaves?: boolean;
}

const { settings, cluster, instances, leaves = false }: Task = JSON.parse(process.argv[2] ?? '');
const registry = openEtcdRegistry(settings);

async function mend(): Promise<void> {
  const standing = new Map((await registry.list(cluster, never)).map((instance) => [instance.id, instance]));
  const changes = instances.flatMap((instance) => {
    const previous = standing.get(instance.id);
    if (previous === undefined) return [register(instance)];
    return previous.liveness === instance.liveness ? [] : [update(instance, previous)];
  });
  await registry.apply(changes, never);
  process.stdout.write(`${changes.length} written\n`);
}

if (leaves) await mend();
let mending = Promise.resolve();
while (!leaves) {
  const hint = () => {
    mending = mending.then(mend).catch(() => {});
  };
  await registry.watch({ cluster }, hint, never).catch((error) => {
    process.stdout.write(`lost ${error instanceof RegistryError ? error.code : error}\n`);
  });
}
