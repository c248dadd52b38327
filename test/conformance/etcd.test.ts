import { after } from 'node:test';
import { openEtcd } from '../servers/etcd.ts';
import { registryConformance } from './conformance.ts';
import { etcdHarness } from './etcd-harness.ts';

const server = await openEtcd({ fsync: false });
after(() => server.stop());

registryConformance(await etcdHarness(server), { support: 'Etcd' });
