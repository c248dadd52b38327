// A client in a process of its own, to be killed. Its argument, as JSON: address, TTL and instances. It registers them, says so,
// and stays until it is ended; with `leaves` it ends by itself, without having closed anything.
import type { Instance } from '../../src/mirror/instance.ts';
import { openAt } from './consul-harness.ts';
import { assertOk, never } from './expectations.ts';
import { register } from './samples.ts';

interface Task {
  readonly address: string;
  readonly ttlMs: number;
  readonly instances: readonly Instance[];
  readonly leaves?: boolean;
}

const { address, ttlMs, instances, leaves }: Task = JSON.parse(process.argv[2] ?? '');
const registry = openAt(address, { ttlMs });
assertOk(await registry.apply(instances.map(register), never));
process.stdout.write('written\n');
if (leaves !== true) setInterval(() => {}, 60_000);
