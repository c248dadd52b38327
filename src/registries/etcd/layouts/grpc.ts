import { hostPort, parseHostPort, withPrefix } from '../keys.ts';
import { parseObject, text } from '../value.ts';
import { brokenHostRule, brokenNameRule, clusterTail, takesTraffic } from './common.ts';
import type { Layout } from './layout.ts';

/**
 * The naming of etcd's Go client: `<prefix>/<service>/<anything>`, read by `etcd:////services/<service>`.
 *
 * `Metadata` stays null: gRPC-Go compares it as a part of the address. An object there makes consumers panic, and any other
 * value makes some balancers wait for ever and drop connections when it changes (etcd #19700, grpc-go #8225).
 */
export function grpcLayout(prefix: string): Layout {
  const address = (value: string) => parseHostPort(text(parseObject(value)?.['Addr']));
  return {
    home: prefix,
    records: 'always',
    brokenRule: (instance) => brokenNameRule(instance) ?? brokenHostRule(instance),
    serves: takesTraffic,
    keyOf: (instance) => `${prefix}/${instance.service}/${clusterTail(instance)}`,
    write: (instance) => JSON.stringify({ Op: 0, Addr: hostPort(instance.address, instance.port), Metadata: null }),
    address,
    asks: (service) => withPrefix(`${prefix}/${service}/`),
    sees(_, value) {
      const seen = address(value);
      return seen === undefined ? [] : [seen];
    },
  };
}
