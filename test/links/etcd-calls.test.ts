import { after } from 'node:test';
import { openAt } from '../conformance/etcd-harness.ts';
import { openEtcd } from '../servers/etcd.ts';
import { callLinkTests } from './call-expectations.ts';

const server = await openEtcd({ fsync: false });
after(() => server.stop());

callLinkTests({
  type: 'Etcd',
  address: server.address,
  open: openAt,
  entryOf: ({ service, id }) => `/services/${service}/${id}`,
});
