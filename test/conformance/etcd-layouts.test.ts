// The layouts of frameworks, by the groups of the suite that depend on what stands where.
import { after } from 'node:test';
import { openEtcd } from '../servers/etcd.ts';
import { registryConformance } from './conformance.ts';
import { etcdHarness } from './etcd-harness.ts';

const server = await openEtcd({ fsync: false });
after(() => server.stop());

for (const layout of ['Grpc', 'GoMicro', 'Kratos', 'GoZero'] as const) {
  registryConformance(await etcdHarness(server, layout), {
    groups: [
      'round trip',
      'idempotence',
      'convergence',
      'ownership',
      'fencing',
      'partial failure',
      'ambiguity',
      'drift',
      'size',
    ],
    forms: ['bare'],
  });
}
