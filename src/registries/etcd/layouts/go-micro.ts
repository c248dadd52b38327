import { isDeepStrictEqual } from 'node:util';
import type { Instance } from '../../../mirror/instance.ts';
import { hostPort, parseHostPort, segment, unsegment, withPrefix } from '../keys.ts';
import { fromPairs, object, pairs, parseJson, parseObject, text, toPairs } from '../value.ts';
import { brokenHostRule, brokenMetadataRule, brokenNameRule, takesTraffic } from './common.ts';
import type { Layout, Seen } from './layout.ts';

/** Fixed in go-micro. */
const HOME = '/micro/registry';

/**
 * `/micro/registry/<name>/<node>`, one node under a key. Everything of ours is in the node: of the values of one version go-micro keeps
 * name, metadata and endpoints of the first one, whoever wrote it. `version` is the metadata of that name.
 */
export function goMicroLayout(): Layout {
  return {
    home: HOME,
    records: 'unserved',
    brokenRule: (instance) => brokenNameRule(instance) ?? brokenHostRule(instance) ?? brokenMetadataRule(instance),
    serves: takesTraffic,
    keyOf: ({ service, id }) => `${HOME}/${service}/${segment(id)}`,
    write: (instance) => JSON.stringify(messageOf(instance)),
    read,
    asks: (service) => withPrefix(`${HOME}/${service}/`),
    sees: (_, value) => nodesOf(parseObject(value)).flatMap(seenOf),
  };
}

const messageOf = (instance: Instance) => ({
  name: instance.service,
  version: instance.metadata['version'] ?? '',
  metadata: {},
  endpoints: null,
  nodes: [
    {
      id: segment(instance.id),
      address: hostPort(instance.address, instance.port),
      metadata: toPairs(instance),
    },
  ],
});

function read(value: string): Instance | undefined {
  const fields = parseObject(value);
  const [node] = nodesOf(fields);
  if (fields === undefined || node === undefined) return undefined;
  const { address, port } = parseHostPort(text(node['address'])) ?? { address: '', port: 0 };
  const instance: Instance = {
    ...fromPairs(pairs(node['metadata'])),
    id: unsegment(text(node['id'])),
    service: text(fields['name']),
    address,
    port,
    health: 'healthy',
    liveness: 'persistent',
  };
  // What no field of an instance shows must show as drift all the same.
  return isDeepStrictEqual(parseJson(value), messageOf(instance)) ? instance : { ...instance, health: 'unhealthy' };
}

type Fields = Readonly<Record<string, unknown>>;

function nodesOf(fields: Fields | undefined): readonly Fields[] {
  const nodes: unknown = fields?.['nodes'];
  return Array.isArray(nodes) ? nodes.map(object).filter((node) => node !== undefined) : [];
}

function seenOf(node: Fields): readonly Seen[] {
  const seen = parseHostPort(text(node['address']));
  return seen === undefined ? [] : [{ ...seen, id: text(node['id']), ...fromPairs(pairs(node['metadata'])) }];
}
