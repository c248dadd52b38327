/** Reading the four kinds: structure, defaults and rules as an API server has them, for objects that none has checked. */
import { API_VERSION, bodyParser, failed, type Parsed, type ParseOptions, specParser } from './body.ts';
import type { ObjectMeta } from './core.ts';
import type {
  ClusterRegistry,
  ClusterRegistrySpec,
  ClusterServiceRegistration,
  ClusterServiceRegistrationSpec,
  RegistrationStatus,
  Registry,
  RegistrySpec,
  RegistryStatus,
  RosterObject,
  ServiceRegistration,
  ServiceRegistrationSpec,
} from './kinds.generated.ts';
import { isFields } from './metadata.ts';
import { schemas } from './schemas.generated.ts';

export type { Parsed, ParseOptions } from './body.ts';

const parseSregBody = bodyParser<ServiceRegistrationSpec, RegistrationStatus>(
  'ServiceRegistration',
  schemas.ServiceRegistration,
);
const parseCsregBody = bodyParser<ClusterServiceRegistrationSpec, RegistrationStatus>(
  'ClusterServiceRegistration',
  schemas.ClusterServiceRegistration,
);
const parseRegBody = bodyParser<RegistrySpec, RegistryStatus>('Registry', schemas.Registry);
const parseCregBody = bodyParser<ClusterRegistrySpec, RegistryStatus>('ClusterRegistry', schemas.ClusterRegistry);

export function parseServiceRegistration(value: unknown, options: ParseOptions = {}): Parsed<ServiceRegistration> {
  return mapParsed(parseSregBody(value, options), (body) => ({
    apiVersion: API_VERSION,
    kind: 'ServiceRegistration',
    ...body,
    metadata: namespaced(body.metadata, options),
  }));
}

export function parseClusterServiceRegistration(
  value: unknown,
  options: ParseOptions = {},
): Parsed<ClusterServiceRegistration> {
  return mapParsed(parseCsregBody(value, options), (body) => ({
    apiVersion: API_VERSION,
    kind: 'ClusterServiceRegistration',
    ...body,
    metadata: clusterScoped(body.metadata),
  }));
}

export function parseRegistry(value: unknown, options: ParseOptions = {}): Parsed<Registry> {
  return mapParsed(parseRegBody(value, options), (body) => ({
    apiVersion: API_VERSION,
    kind: 'Registry',
    ...body,
    metadata: namespaced(body.metadata, options),
  }));
}

export function parseClusterRegistry(value: unknown, options: ParseOptions = {}): Parsed<ClusterRegistry> {
  return mapParsed(parseCregBody(value, options), (body) => ({
    apiVersion: API_VERSION,
    kind: 'ClusterRegistry',
    ...body,
    metadata: clusterScoped(body.metadata),
  }));
}

/** The `spec` of a Registry without the object around it. All that is wrong is told at once. */
export const parseRegistrySettings = specParser<RegistrySpec>(schemas.Registry.spec);

/** Any of the four, by its `kind`. */
export function parseRosterObject(value: unknown, options: ParseOptions = {}): Parsed<RosterObject> {
  const kind = isFields(value) ? value['kind'] : undefined;
  switch (kind) {
    case 'ServiceRegistration':
      return parseServiceRegistration(value, options);
    case 'ClusterServiceRegistration':
      return parseClusterServiceRegistration(value, options);
    case 'Registry':
      return parseRegistry(value, options);
    case 'ClusterRegistry':
      return parseClusterRegistry(value, options);
    default:
      return failed({ path: 'kind', message: `must be one of ${Object.keys(schemas).join(', ')}` });
  }
}

const namespaced = (metadata: ObjectMeta, options: ParseOptions): ObjectMeta & { readonly namespace: string } => ({
  ...metadata,
  namespace: metadata.namespace ?? options.defaultNamespace ?? 'default',
});

function clusterScoped(metadata: ObjectMeta): ObjectMeta {
  const { namespace: _namespace, ...rest } = metadata;
  return rest;
}

function mapParsed<A, B>(parsed: Parsed<A>, f: (value: A) => B): Parsed<B> {
  return parsed.ok ? { ok: true, value: f(parsed.value) } : parsed;
}
