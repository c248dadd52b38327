// Services and EndpointSlices written straight to the API server: no Pods, no endpoint controller, so that a fleet of any
// size stands in seconds and every change of it has a known moment.

import type { KubeClient, KubeRequest } from '../../src/kubernetes/client.ts';
import { inLanes } from '../lanes.ts';

export type Fleet = {
  readonly services: number;
  readonly endpoints: number;
  readonly instances: number;
  /** Makes the first endpoint of a Service ready or not; resolves when the API server has taken it. */
  setReady(service: number, ready: boolean): Promise<void>;
  /** Gives a Service one endpoint more. */
  grow(service: number): Promise<void>;
  /** Takes it away again. */
  shrink(service: number): Promise<void>;
  /** `namespace/name` of the slice of a Service. */
  sliceOf(service: number): string;
  /** Id under which the first endpoint of a Service stands in a registry. */
  instanceOf(service: number): string;
};

export const CLUSTER = 'bench';
const NAMESPACES = 10;
const PORT = 8080;
const PARALLEL = 16;

/** Through several clients: one has connections for an operator, not for a crowd. */
export async function createFleet(clients: readonly KubeClient[], services: number, endpoints: number): Promise<Fleet> {
  let turn = 0;
  const request = async (one: Omit<KubeRequest, 'signal'>): Promise<void> => {
    const client = clients[turn++ % clients.length];
    await client?.request({ ...one, signal: AbortSignal.timeout(60_000) });
  };
  const post = (path: string, body: unknown) => request({ method: 'POST', path, body });
  for (let index = 0; index < NAMESPACES; index++)
    await post('/api/v1/namespaces', { metadata: { name: namespaceOf(index), labels: { bench: 'true' } } });

  await inLanes(Array(services).keys(), PARALLEL, async (index) => {
    await post(`/api/v1/namespaces/${namespaceOf(index)}/services`, serviceManifest(index));
    await post(slicesPath(index), sliceManifest(index, endpoints));
  });
  const patch = (service: number, operation: object) =>
    request({
      method: 'PATCH',
      path: `${slicesPath(service)}/${nameOf(service)}`,
      body: [operation],
      contentType: 'application/json-patch+json',
    });
  return {
    services,
    endpoints,
    instances: services * endpoints,
    setReady: (service, ready) =>
      patch(service, { op: 'replace', path: '/endpoints/0/conditions/ready', value: ready }),
    grow: (service) =>
      patch(service, { op: 'add', path: '/endpoints/-', value: endpointAt(services * endpoints + service) }),
    shrink: (service) => patch(service, { op: 'remove', path: `/endpoints/${endpoints}` }),
    sliceOf: (service) => `${namespaceOf(service)}/${nameOf(service)}`,
    instanceOf: (service) =>
      `${CLUSTER}/${namespaceOf(service)}/${nameOf(service)}/${addressOf(service * endpoints)}:${PORT}`,
  };
}

/** A ClusterRegistry and the automatic mirroring of the whole fleet into it. */
export const mirroring = (registry: object, liveness: 'Persistent' | 'Leased' = 'Persistent') => [
  {
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ClusterRegistry',
    metadata: { name: CLUSTER },
    spec: { ...registry, allowedNamespaces: { all: true }, allowUnmanagedEndpoints: true },
  },
  {
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ClusterServiceRegistration',
    metadata: { name: CLUSTER },
    spec: {
      registryRef: { name: CLUSTER },
      namespaceSelector: { matchLabels: { bench: 'true' } },
      name: '{namespace}-{service}',
      tags: ['bench'],
      metadata: { team: 'bench' },
      liveness,
    },
  },
];

const namespaceOf = (index: number): string => `bench-${index % NAMESPACES}`;
const nameOf = (index: number): string => `service-${String(index).padStart(5, '0')}`;
const addressOf = (index: number): string => `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
const slicesPath = (index: number): string =>
  `/apis/discovery.k8s.io/v1/namespaces/${namespaceOf(index)}/endpointslices`;

const serviceManifest = (index: number) => ({
  metadata: { name: nameOf(index), labels: { app: nameOf(index) } },
  spec: { ports: [{ name: 'http', port: 80, targetPort: PORT, protocol: 'TCP' }] },
});

const sliceManifest = (index: number, endpoints: number) => ({
  metadata: {
    name: nameOf(index),
    labels: { 'kubernetes.io/service-name': nameOf(index), 'endpointslice.kubernetes.io/managed-by': 'bench' },
  },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: PORT, protocol: 'TCP' }],
  endpoints: Array.from({ length: endpoints }, (_, at) => ({
    ...endpointAt(index * endpoints + at),
    zone: `zone-${at % 3}`,
  })),
});

const endpointAt = (index: number) => ({
  addresses: [addressOf(index)],
  conditions: { ready: true, serving: true, terminating: false },
});
