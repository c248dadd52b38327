// Objects of a cluster as the caches hold them, with only what a test is about to be told.
import type {
  Endpoint,
  EndpointPort,
  EndpointSlice,
  Namespace,
  ObjectMeta,
  Service,
  ServicePort,
} from '../../src/api/core.ts';
import type {
  ClusterRegistry,
  ClusterRegistrySpec,
  ClusterServiceRegistration,
  ClusterServiceRegistrationSpec,
  Condition,
  RegistrationStatus,
  Registry,
  ServiceRegistration,
  ServiceRegistrationSpec,
} from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { instanceId } from '../../src/mirror/naming.ts';
import { type RegistrationState, registrationId, type View } from '../../src/mirror/view.ts';

export const CLUSTER = 'prod';
export const CREATED = '2026-01-01T00:00:00Z';
export const NOW = '2026-02-01T00:00:00Z';

export type Meta = Partial<ObjectMeta>;

export function metadata(name: string, changes: Meta = {}): ObjectMeta {
  return {
    name,
    uid: `uid-of-${changes.namespace ?? ''}-${name}`,
    resourceVersion: '1',
    creationTimestamp: CREATED,
    labels: {},
    annotations: {},
    finalizers: [],
    ...changes,
  };
}

export const namespace = (name: string, labels: Readonly<Record<string, string>> = {}): Namespace => ({
  kind: 'Namespace',
  metadata: metadata(name, { labels: { 'kubernetes.io/metadata.name': name, ...labels } }),
});

export const HTTP: ServicePort = { name: 'http', port: 80, protocol: 'TCP' };

export const service = (
  owner = 'shop/web',
  changes: { meta?: Meta; ports?: readonly ServicePort[] } = {},
): Service => ({
  kind: 'Service',
  metadata: metadata(nameIn(owner), { namespace: namespaceIn(owner), ...changes.meta }),
  spec: { type: 'ClusterIP', ports: changes.ports ?? [HTTP], hasSelector: true },
});

export const endpoint = (address: string, changes: Partial<Endpoint> = {}, namespace = 'shop'): Endpoint => ({
  addresses: [address],
  ready: true,
  serving: true,
  terminating: false,
  targetRef: { kind: 'Pod', name: `pod-${address}`, namespace },
  ...changes,
});

export interface SliceChanges {
  readonly name?: string;
  readonly ports?: readonly EndpointPort[];
  readonly addressType?: 'IPv4' | 'IPv6' | 'FQDN';
  readonly managedBy?: string;
  readonly truncated?: boolean;
  readonly meta?: Meta;
}

export function slice(endpoints: readonly Endpoint[], changes: SliceChanges = {}, owner = 'shop/web'): EndpointSlice {
  const { name = `${nameIn(owner)}-1`, addressType = 'IPv4', managedBy = 'endpointslice-controller.k8s.io' } = changes;
  return {
    kind: 'EndpointSlice',
    metadata: metadata(name, { namespace: namespaceIn(owner), ...changes.meta }),
    service: nameIn(owner),
    managedBy,
    truncated: changes.truncated ?? false,
    subsets: [{ addressType, ports: changes.ports ?? [{ name: 'http', port: 8080, protocol: 'TCP' }], endpoints }],
  };
}

const SPEC: ServiceRegistrationSpec = {
  registryRef: { kind: 'ClusterRegistry', name: 'consul' },
  name: '{service}',
  mergeName: false,
  addressType: 'Endpoints',
  weight: 100,
  priority: 0,
  health: 'Readiness',
  liveness: 'Persistent',
  updatePolicy: 'Sync',
  deletionPolicy: 'Delete',
  suspend: false,
};

/** Names the Service of its own name, unless the spec says otherwise. */
export function registration(
  spec: Partial<ServiceRegistrationSpec> = {},
  meta: Meta & { readonly status?: RegistrationStatus } = {},
): ServiceRegistration {
  const { status, ...rest } = meta;
  const { name = 'web', namespace = 'shop' } = rest;
  return {
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ServiceRegistration',
    metadata: { ...metadata(name, { generation: 1, ...rest, namespace }), namespace },
    spec: { ...SPEC, ...(spec.selector === undefined ? { serviceRef: { name } } : {}), ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

export const clusterRegistration = (
  spec: Partial<ClusterServiceRegistrationSpec> = {},
  { status, ...meta }: Meta & { readonly status?: RegistrationStatus } = {},
): ClusterServiceRegistration => ({
  apiVersion: 'roster.dev/v1alpha1',
  kind: 'ClusterServiceRegistration',
  metadata: metadata(meta.name ?? 'all', { generation: 1, ...meta }),
  spec: { ...SPEC, namespaceSelector: {}, selector: {}, ...spec },
  ...(status === undefined ? {} : { status }),
});

const SETTINGS = {
  type: 'Memory',
  timeouts: { connectSeconds: 5, requestSeconds: 10 },
  audit: { intervalSeconds: 60 },
  deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
  allowUnmanagedEndpoints: false,
} as const;

export const clusterRegistry = (
  changes: Partial<
    Pick<ClusterRegistrySpec, 'allowedNamespaces' | 'allowUnmanagedEndpoints' | 'audit' | 'deletionGuard'>
  > = {},
  meta: Meta = {},
): ClusterRegistry => ({
  apiVersion: 'roster.dev/v1alpha1',
  kind: 'ClusterRegistry',
  metadata: metadata(meta.name ?? 'consul', { generation: 1, ...meta }),
  spec: { ...SETTINGS, allowedNamespaces: { all: true }, ...changes },
});

export const registry = (meta: Meta = {}): Registry => {
  const { name = 'own', namespace = 'shop' } = meta;
  return {
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'Registry',
    metadata: { ...metadata(name, { generation: 1, ...meta, namespace }), namespace },
    spec: SETTINGS,
  };
};

export interface InstanceChanges extends Partial<Omit<Instance, 'marks'>> {
  readonly marks?: Partial<Instance['marks']>;
}

/** As the registration of {@link registration} writes it. */
export function instance(address: string, changes: InstanceChanges = {}, owner = 'shop/web'): Instance {
  const { marks, ...rest } = changes;
  const { port = 8080 } = rest;
  return {
    id: instanceId(CLUSTER, owner, address, port),
    service: nameIn(owner),
    address,
    port,
    health: 'healthy',
    liveness: 'persistent',
    weight: 100,
    tags: [],
    metadata: {},
    ...rest,
    marks: {
      cluster: CLUSTER,
      owner,
      registration: `ServiceRegistration/${owner}`,
      retained: false,
      ...marks,
    },
  };
}

/** One Service with one registration and one ready endpoint, of which nothing stands yet. */
export function view(changes: Partial<View> = {}): View {
  const covering = changes.covering ?? [registration()];
  const covers = Object.fromEntries(covering.map((one) => [registrationId(one), 'covers' as RegistrationState]));
  const policies = Object.fromEntries(covering.map((one) => [registrationId(one), one.spec]));
  return {
    cluster: CLUSTER,
    registry: { id: 'ClusterRegistry/consul', allowUnmanagedEndpoints: false },
    owner: 'shop/web',
    service: { state: 'present', object: service() },
    slices: [slice([endpoint('10.0.0.1')])],
    endpoints: 'known',
    terminated: [],
    coverage: 'known',
    covering,
    refusals: {},
    claims: {},
    observed: [],
    ...changes,
    registrations: { ...covers, ...changes.registrations },
    policies: { ...policies, ...changes.policies },
  };
}

export const condition = (type: string, changes: Partial<Condition> = {}): Condition => ({
  type,
  status: 'True',
  reason: 'Synced',
  message: 'as it should be',
  observedGeneration: 1,
  lastTransitionTime: CREATED,
  ...changes,
});

const namespaceIn = (owner: string): string => owner.slice(0, owner.indexOf('/'));
const nameIn = (owner: string): string => owner.slice(owner.indexOf('/') + 1);
