import type { Instance } from '../../../mirror/instance.ts';
import { idOf } from '../paths.ts';
import { bracketed, unbracketed } from './address.ts';
import { fieldsOf, number, pairs, parseJson, text } from './json.ts';
import type { Entry, Layout } from './layout.ts';
import { brokenKeyRule, fromPairs, takesTraffic, toPairs } from './marks.ts';

/** What Spring Cloud takes a payload for; without it, it fails for the whole service. */
const PAYLOAD_CLASS = 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance';

const STATUS = 'instance_status';

/** `{scheme}://{address}:{port}`, as Curator spells it. */
const URI_SPEC = {
  parts: [
    { value: 'scheme', variable: true },
    { value: '://', variable: false },
    { value: 'address', variable: true },
    { value: ':', variable: false },
    { value: 'port', variable: true },
  ],
};

/**
 * Curator's service discovery with the payload of Spring Cloud ZooKeeper. Its load balancer passes over what has the status OUT_OF_SERVICE: everything that is
 * not healthy, and weight 0. Plain Curator programs need Spring's class on their class path, or read the payload as a map.
 */
export const curatorLayout: Layout = {
  replaces: false,
  hides: () => false,
  brokenRule: (instance) => brokenKeyRule(instance, [STATUS]),
  write: (entry, node) => JSON.stringify(documentOf(entry, node)),
  read(content, standing) {
    const document = fieldsOf(parseJson(content));
    // As much as Curator needs to take it for an instance.
    if (document === undefined || typeof document['name'] !== 'string' || typeof document['id'] !== 'string') {
      return undefined;
    }
    const metadata = pairs(fieldsOf(document['payload'])?.['metadata']);
    const described = fromPairs(metadata, [STATUS]);
    const ours = described.marks.cluster !== '';
    const entry: Entry = {
      registeredAt: number(document['registrationTimeUTC'], 0),
      instance: {
        ...described,
        liveness: standing.liveness,
        id: ours ? idOf(standing.node) : standing.node,
        service: standing.service,
        address: unbracketed(text(document['address'])),
        port: number(document['port'], 0),
      },
    };
    return ours ? entry : { ...entry, instance: consumed(entry.instance, metadata) };
  },
};

function documentOf({ instance, registeredAt }: Entry, node: string) {
  const { service, address, port, liveness } = instance;
  return {
    name: service,
    id: node,
    address: bracketed(address),
    port,
    sslPort: null,
    payload: {
      '@class': PAYLOAD_CLASS,
      id: service,
      name: service,
      metadata: { ...toPairs(instance), [STATUS]: takesTraffic(instance) ? 'UP' : 'OUT_OF_SERVICE' },
    },
    registrationTimeUTC: registeredAt,
    // What stays, and what goes with its writer.
    serviceType: liveness === 'persistent' ? 'PERMANENT' : 'DYNAMIC',
    uriSpec: URI_SPEC,
  };
}

const consumed = (instance: Instance, { [STATUS]: status = '' }: Readonly<Record<string, string>>): Instance => ({
  ...instance,
  health: status === '' || status.toUpperCase() === 'UP' ? 'healthy' : 'unhealthy',
});
