import type { EndpointSlice, KubeObject, Namespace, ObjectKey, Service } from '../api/core.ts';
import type {
  ClusterRegistry,
  ClusterServiceRegistration,
  Registry,
  ServiceRegistration,
} from '../api/kinds.generated.ts';
import { isFields } from '../api/metadata.ts';
import {
  type Parsed,
  parseClusterRegistry,
  parseClusterServiceRegistration,
  parseRegistry,
  parseServiceRegistration,
} from '../api/parse.ts';
import { type KubeClient, KubeError } from './client.ts';
import { parseNamespace, parseService } from './core-objects.ts';
import { parseEndpointSlice, parseEndpoints } from './endpoint-slice.ts';
import { MalformedObject } from './fields.ts';

/** One kind of the cluster: where it is served, and how it is read. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** Plural, as in the path and in RBAC rules. */
  readonly name: string;
  readonly kind: string;
  /** "" for the core group. */
  readonly group: string;
  readonly apiVersion: string;
  readonly namespaced: boolean;
  /** Path of the collection; of all namespaces when none is given. */
  path(namespace?: string): string;
  objectPath(namespace: string | undefined, name: string): string;
  /** Trims. undefined: well-formed, but nothing that Roster reads. Throws {@link MalformedObject}. */
  parse(raw: unknown): T | undefined;
}

/** One object, for whoever writes to it or about it. */
export interface ObjectTarget {
  readonly resource: Resource;
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
}

interface Served<T extends KubeObject> {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly namespaced: boolean;
  parse(raw: unknown): T | undefined;
}

function resource<T extends KubeObject>({ name, kind, group, version, namespaced, parse }: Served<T>): Resource<T> {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const path = (namespace?: string) =>
    namespace === undefined || !namespaced
      ? `${root}/${name}`
      : `${root}/namespaces/${encodeURIComponent(namespace)}/${name}`;
  return {
    name,
    kind,
    group,
    apiVersion: group === '' ? version : `${group}/${version}`,
    namespaced,
    path,
    objectPath: (namespace, object) => `${path(namespace)}/${encodeURIComponent(object)}`,
    parse,
  };
}

export const namespaces = resource<Namespace>({
  name: 'namespaces',
  kind: 'Namespace',
  group: '',
  version: 'v1',
  namespaced: false,
  parse: parseNamespace,
});

export const services = resource<Service>({
  name: 'services',
  kind: 'Service',
  group: '',
  version: 'v1',
  namespaced: true,
  parse: parseService,
});

export const endpointSlices = resource<EndpointSlice>({
  name: 'endpointslices',
  kind: 'EndpointSlice',
  group: 'discovery.k8s.io',
  version: 'v1',
  namespaced: true,
  parse: parseEndpointSlice,
});

/** v1 Endpoints, read into the shape of slices. */
export const endpoints = resource<EndpointSlice>({
  name: 'endpoints',
  kind: 'Endpoints',
  group: '',
  version: 'v1',
  namespaced: true,
  parse: parseEndpoints,
});

const ROSTER = { group: 'roster.dev', version: 'v1alpha1' } as const;

export const serviceRegistrations = resource<ServiceRegistration>({
  ...ROSTER,
  name: 'serviceregistrations',
  kind: 'ServiceRegistration',
  namespaced: true,
  parse: believed(parseServiceRegistration),
});

export const clusterServiceRegistrations = resource<ClusterServiceRegistration>({
  ...ROSTER,
  name: 'clusterserviceregistrations',
  kind: 'ClusterServiceRegistration',
  namespaced: false,
  parse: believed(parseClusterServiceRegistration),
});

export const registries = resource<Registry>({
  ...ROSTER,
  name: 'registries',
  kind: 'Registry',
  namespaced: true,
  parse: believed(parseRegistry),
});

export const clusterRegistries = resource<ClusterRegistry>({
  ...ROSTER,
  name: 'clusterregistries',
  kind: 'ClusterRegistry',
  namespaced: false,
  parse: believed(parseClusterRegistry),
});

/** A stored object that breaks the schema got past an older CRD: it is reported, and what was cached of it before stays. */
function believed<T>(parse: (raw: unknown) => Parsed<T>): (raw: unknown) => T {
  return (raw) => {
    const parsed = parse(raw);
    if (parsed.ok) return parsed.value;
    throw new MalformedObject(parsed.errors.map(({ path, message }) => `${path} ${message}`).join('; '));
  };
}

/**
 * Asks the API server itself, with a quorum read. Only its own "no object of this name" is `absent`: an error, a missing permission
 * or a kind that is not served (any more) is `unknown`.
 */
export async function confirmAbsence(
  client: KubeClient,
  resource: Resource,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<'absent' | 'present' | 'unknown'> {
  const [namespace, name] = splitKey(key);
  try {
    const answer = await client.request({ method: 'GET', path: resource.objectPath(namespace, name), signal });
    return isFields(answer) && isFields(answer['metadata']) && answer['metadata']['name'] === name
      ? 'present'
      : 'unknown';
  } catch (error) {
    return error instanceof KubeError && error.status === 404 && error.objectName === name ? 'absent' : 'unknown';
  }
}

export function splitKey(key: ObjectKey): readonly [namespace: string | undefined, name: string] {
  const slash = key.indexOf('/');
  return slash < 0 ? [undefined, key] : [key.slice(0, slash), key.slice(slash + 1)];
}
