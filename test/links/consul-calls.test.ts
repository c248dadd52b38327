import { openAt } from '../conformance/consul-harness.ts';
import { sharedConsul } from '../servers/shared.ts';
import { callLinkTests } from './call-expectations.ts';

const { address } = await sharedConsul();

callLinkTests({ type: 'Consul', address, open: openAt, entryOf: ({ id }) => id });
