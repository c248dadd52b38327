import type { Instance } from '../../../mirror/instance.ts';
import { idOf } from '../paths.ts';
import { type HostPort, hostPort, parseHostPort } from './address.ts';
import { fieldsOf, pairs, parseJson, text } from './json.ts';
import type { Layout } from './layout.ts';
import { brokenKeyRule, fromPairs, takesTraffic, toPairs } from './marks.ts';

/** A consumer takes the endpoint of its own protocol, and passes an instance over that has none. */
const SCHEMES: readonly string[] = ['grpc', 'grpcs', 'http', 'https'];
const DEFAULT_SCHEMES: readonly string[] = ['grpc', 'http'];

/** The address of an instance that has no endpoints. */
const ADDRESS = 'roster-address';

/**
 * Kratos' registry, which looks below `/microservices` unless told otherwise: that is the rootPath to set. Tags among grpc, grpcs, http and https say which
 * endpoints there are, without one of them grpc and http; `version` is the metadata of that name. Kratos knows no health: an instance that should get no
 * requests has no endpoints, and Kratos' clients pass it over.
 */
export const kratosLayout: Layout = {
  // Kratos watches the children of a service, not their content.
  replaces: true,
  hides: (instance) => !takesTraffic(instance),
  brokenRule: (instance) => brokenKeyRule(instance),
  write: ({ instance }, node) => JSON.stringify(documentOf(instance, node)),
  read(content, { service, node, liveness }) {
    const document = fieldsOf(parseJson(content));
    if (document === undefined) return undefined;
    const metadata = pairs(document['metadata']);
    const described = fromPairs(metadata);
    const served = servedAt(document);
    const ours = described.marks.cluster !== '';
    if (!ours && served === undefined) return undefined;
    const place = served ?? parseHostPort(metadata[ADDRESS] ?? '') ?? { address: '', port: 0 };
    return {
      instance: { ...described, ...place, liveness, id: ours ? idOf(node) : node, service },
      registeredAt: 0,
    };
  },
};

function documentOf(instance: Instance, node: string) {
  const { service, tags, metadata } = instance;
  const wanted = tags.filter((tag) => SCHEMES.includes(tag));
  const schemes = wanted.length === 0 ? DEFAULT_SCHEMES : wanted;
  const served = takesTraffic(instance);
  return {
    id: node,
    name: service,
    version: metadata['version'] ?? '',
    metadata: { ...toPairs(instance), ...(served ? {} : { [ADDRESS]: hostPort(instance) }) },
    endpoints: served ? schemes.map((scheme) => `${scheme}://${hostPort(instance)}`) : [],
  };
}

function servedAt({ endpoints }: Readonly<Record<string, unknown>>): HostPort | undefined {
  const [first] = Array.isArray(endpoints) ? endpoints : [];
  return parseHostPort(
    text(first)
      .replace(/^[a-z]+:\/\//, '')
      .replace(/[/?].*$/, ''),
  );
}
