import type { KubeRequest } from '../../src/kubernetes/client.ts';
import type { UserWrite } from './workload.ts';

const ROOTS: Readonly<Record<string, string>> = {
  Namespace: '/api/v1/namespaces',
  Service: '/api/v1/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/endpointslices',
  ServiceRegistration: '/apis/roster.dev/v1alpha1/serviceregistrations',
  ClusterServiceRegistration: '/apis/roster.dev/v1alpha1/clusterserviceregistrations',
  ClusterRegistry: '/apis/roster.dev/v1alpha1/clusterregistries',
};

interface Target {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

function pathOf({ kind, namespace, name }: Target): string {
  const root = ROOTS[kind];
  if (root === undefined) throw new Error(`the users of the laboratory know no ${kind}`);
  const slash = root.lastIndexOf('/');
  const within = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `${root.slice(0, slash)}${within}${root.slice(slash)}/${name}`;
}

/** As `kubectl apply --server-side` and `kubectl delete` send it. */
export function requestOf(write: UserWrite): KubeRequest {
  const { signal } = new AbortController();
  if ('remove' in write) return { method: 'DELETE', path: pathOf(write.remove), signal };
  const { put } = write;
  const path = pathOf({ kind: put.kind, ...put.metadata });
  return { method: 'PATCH', path, contentType: 'application/apply-patch+yaml', body: put, signal };
}
