import { openAt } from '../conformance/nacos-client.ts';
import { sharedNacos } from '../servers/shared.ts';
import { callLinkTests } from './call-expectations.ts';

const { address } = await sharedNacos();

for (const protocol of ['Auto', 'Http'] as const) {
  callLinkTests({
    type: 'Nacos',
    by: protocol === 'Auto' ? 'Nacos by gRPC' : 'Nacos by HTTP',
    address,
    open: (at) => openAt(at, { protocol }),
    entryOf: ({ service, address: host, port }) => `${service}/${host}:${port}`,
  });
}
