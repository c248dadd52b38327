// The scenarios by the operator as it is run, on a real control plane, with real servers; what stands there is read by their own protocols.
import { after } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { consulHarness } from '../conformance/consul-harness.ts';
import { etcdHarness } from '../conformance/etcd-harness.ts';
import type { Harness } from '../conformance/harness.ts';
import { zooKeeperHarness } from '../conformance/zookeeper-harness.ts';
import { openBareStage, testTraces } from '../e2e/stage.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { sharedConsul } from '../servers/shared.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { type PlayedRegistry, testOnCluster } from './cluster-world.ts';
import { entriesInNacos } from './nacos-truth.ts';
import { consulSpec, etcdSpec, nacosSpec, type RegistrySpec, zooKeeperSpec } from './registries.ts';
import { readScenarios } from './scenario-file.ts';

const [stage, consul, etcd, zookeeper, nacos] = await Promise.all([
  openBareStage(),
  sharedConsul(),
  openEtcd({ fsync: false }),
  openZooKeeper({ fsync: false }),
  openNacos(),
]);

const played = (name: string, spec: RegistrySpec, { peek }: Pick<Harness, 'peek'>): PlayedRegistry => ({
  name,
  spec,
  peek: oneAtATime(() => peek(stage.clusterName)),
});

const registries = [
  played('Consul', consulSpec(consul.address), await consulHarness(consul)),
  played('Etcd', etcdSpec(etcd.address), await etcdHarness(etcd)),
  // The harness keeps layouts apart by their roots.
  played('ZooKeeper', zooKeeperSpec(zookeeper.address, '/curator/services'), await zooKeeperHarness(zookeeper)),
  played('Nacos', nacosSpec(nacos.address), { peek: (cluster) => entriesInNacos(nacos, cluster) }),
];
// After the clients of the harnesses, which would go on looking for them.
after(() => Promise.all([etcd.stop(), zookeeper.stop(), nacos.stop()]));

await testOnCluster(stage, readScenarios(import.meta.dirname), registries);

testTraces(stage);

/** However many ask: each is answered from a reading that began after the question, and all that wait from the same one. */
function oneAtATime(read: () => Promise<readonly Instance[]>): () => Promise<readonly Instance[]> {
  let current: Promise<unknown> = Promise.resolve();
  let next: Promise<readonly Instance[]> | undefined;
  return () => {
    next ??= current.then(() => {
      const reading = read();
      current = reading.catch(() => {});
      next = undefined;
      return reading;
    });
    return next;
  };
}
