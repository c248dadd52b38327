import { after } from 'node:test';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { registryConformance } from './conformance.ts';
import { zooKeeperHarness } from './zookeeper-harness.ts';

const server = await openZooKeeper({ fsync: false });
const harness = await zooKeeperHarness(server);
// After the clients of the harness, which would go on looking for it.
after(() => server.stop());

registryConformance(harness, { support: 'ZooKeeper' });
