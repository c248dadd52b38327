// A client in a process of its own, to be killed and frozen; `clientProcess` starts it. It keeps the instances in the registry as a caller should, by watching
// and reading, and writes a line for each time that all stand; with `leaves` it writes them once and ends, without having closed anything.
import { RegistryError } from '../../src/registries/error.ts';
import { openEtcdRegistry } from '../../src/registries/etcd/etcd.ts';
import { openZooKeeperRegistry } from '../../src/registries/zookeeper/zookeeper.ts';
import type { ClientTask } from './client-process.ts';
import { never } from './expectations.ts';
import { register, update } from './samples.ts';

const { of, cluster, instances, leaves = false }: ClientTask = JSON.parse(process.argv[2] ?? '');
const registry = 'etcd' in of ? openEtcdRegistry(of.etcd) : openZooKeeperRegistry(of.zookeeper);

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
