// The layouts besides Curator's, by the groups of the suite that depend on what stands where.
import { after } from 'node:test';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { registryConformance } from './conformance.ts';
import { zooKeeperHarness } from './zookeeper-harness.ts';

const server = await openZooKeeper({ fsync: false });
const harnesses = [await zooKeeperHarness(server, 'Kratos'), await zooKeeperHarness(server, 'Plain')];
// After the clients of the harnesses, which would go on looking for it.
after(() => server.stop());

for (const harness of harnesses) {
  registryConformance(harness, {
    groups: ['round trip', 'idempotence', 'convergence', 'ownership', 'partial failure', 'ambiguity', 'drift'],
    forms: ['bare'],
  });
}
