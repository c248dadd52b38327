import { hostPort, parseHostPort, withPrefix } from '../keys.ts';
import { brokenHostRule, brokenNameRule, clusterTail, takesTraffic } from './common.ts';
import type { Layout } from './layout.ts';

/** go-zero's discovery: `<prefix>/<service>/<anything>`, where `<prefix>/<service>` is the consumer's `Key`; the bare `host:port`. */
export function goZeroLayout(prefix: string): Layout {
  return {
    home: prefix,
    records: 'always',
    brokenRule: (instance) => brokenNameRule(instance) ?? brokenHostRule(instance),
    serves: takesTraffic,
    keyOf: (instance) => `${prefix}/${instance.service}/${clusterTail(instance)}`,
    write: ({ address, port }) => hostPort(address, port),
    address: parseHostPort,
    asks: (service) => withPrefix(`${prefix}/${service}/`),
    // Consumers take every value for an address.
    sees: (_, value) => [parseHostPort(value) ?? { address: value, port: 0 }],
  };
}
