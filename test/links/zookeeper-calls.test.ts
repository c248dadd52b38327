import { after } from 'node:test';
import { openAt } from '../conformance/zookeeper-harness.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { callLinkTests } from './call-expectations.ts';

const server = await openZooKeeper();
after(() => server.stop());

callLinkTests({
  type: 'ZooKeeper',
  address: server.address,
  open: openAt,
  beside: ['sync'],
  entryOf: ({ service, id }) => `/services/${service}/${id}`,
});
