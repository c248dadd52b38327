import { isDeepStrictEqual } from 'node:util';
import type { Instance } from '../../../mirror/instance.ts';
import { type HostPort, hostPort, parseHostPort, withPrefix } from '../keys.ts';
import { fromPairs, pairs, parseJson, parseObject, text, toPairs } from '../value.ts';
import { brokenHostRule, brokenMetadataRule, brokenNameRule, takesTraffic } from './common.ts';
import type { Layout } from './layout.ts';

/** Where Kratos looks when it is told nothing else. */
const DEFAULT_HOME = '/microservices';

/** A consumer takes the endpoint of its own protocol, and passes an instance over that has none. */
const SCHEMES: readonly string[] = ['grpc', 'grpcs', 'http', 'https'];
const DEFAULT_SCHEMES: readonly string[] = ['grpc', 'http'];

/**
 * `/microservices/<name>/<id>`; another prefix than the default is the consumers' `Namespace`. Tags among grpc, grpcs, http and https say which endpoints there
 * are, without one of them grpc and http. `version` is the metadata of that name, and the weight stands in the metadata where Kratos reads it.
 */
export function kratosLayout(home = DEFAULT_HOME): Layout {
  return {
    home,
    records: 'unserved',
    brokenRule: (instance) =>
      brokenNameRule(instance) ?? brokenHostRule(instance) ?? brokenMetadataRule(instance, 'weight'),
    serves: takesTraffic,
    keyOf: ({ service, id }) => `${home}/${service}/${id}`,
    write: (instance) => JSON.stringify(messageOf(instance)),
    read,
    // Without a slash, as Kratos does: values below other names are told apart by the name in them.
    asks: (service) => withPrefix(`${home}/${service}`),
    sees(service, value) {
      const fields = parseObject(value);
      const seen = fields === undefined || fields['name'] !== service ? undefined : addressOf(fields);
      return seen === undefined ? [] : [{ ...seen, id: text(fields?.['id']), ...described(fields?.['metadata']) }];
    },
  };
}

function messageOf(instance: Instance) {
  const { id, service, address, port, tags, weight, metadata } = instance;
  const wanted = tags.filter((tag) => SCHEMES.includes(tag));
  const schemes = wanted.length === 0 ? DEFAULT_SCHEMES : wanted;
  return {
    id,
    name: service,
    version: metadata['version'] ?? '',
    metadata: { ...toPairs(instance), weight: String(weight) },
    endpoints: schemes.map((scheme) => `${scheme}://${hostPort(address, port)}`),
  };
}

function read(value: string): Instance | undefined {
  const fields = parseObject(value);
  if (fields === undefined) return undefined;
  const { address, port } = addressOf(fields) ?? { address: '', port: 0 };
  const instance: Instance = {
    ...described(fields['metadata']),
    id: text(fields['id']),
    service: text(fields['name']),
    address,
    port,
    health: 'healthy',
    liveness: 'persistent',
  };
  // What no field of an instance shows must show as drift all the same.
  return isDeepStrictEqual(parseJson(value), messageOf(instance)) ? instance : { ...instance, health: 'unhealthy' };
}

function described(metadata: unknown) {
  const { weight, ...rest } = pairs(metadata);
  const told = fromPairs(rest);
  return told.marks.cluster === '' && weight !== undefined
    ? { ...told, weight: Number(weight) || 1, metadata: pairs(metadata) }
    : told;
}

function addressOf({ endpoints }: Readonly<Record<string, unknown>>): HostPort | undefined {
  const [first] = Array.isArray(endpoints) ? endpoints : [];
  return parseHostPort(text(first).replace(/^[a-z]+:\/\//, ''));
}
