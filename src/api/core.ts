/**
 * The Kubernetes objects that Roster reads, cut down to the fields it reads.
 *
 * Everything else is dropped before an object is cached: a full EndpointSlice of 100 endpoints is about 30 kB
 * of JSON, what we need of it is a quarter.
 */

export interface ObjectMeta {
  readonly name: string;
  /** Absent on cluster-scoped objects. */
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly finalizers: readonly string[];
}

export interface KubeObject {
  readonly metadata: ObjectMeta;
}

export interface Namespace extends KubeObject {
  readonly kind: 'Namespace';
}

export interface ServicePort {
  /** Empty when the Service has one unnamed port. */
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

export interface Service extends KubeObject {
  readonly kind: 'Service';
  readonly spec: {
    readonly type: string;
    readonly ports: readonly ServicePort[];
    readonly hasSelector: boolean;
  };
}

export interface EndpointPort {
  readonly name: string;
  /** Absent means "all ports": nothing that a registry could hold. */
  readonly port?: number;
  readonly protocol: string;
}

export interface ObjectReference {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
}

export interface Endpoint {
  /** The addresses of one endpoint are fungible; consumers take the first (KEP-752). */
  readonly addresses: readonly string[];
  /** `ready: null` has been read as true. */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zone?: string;
  readonly targetRef?: ObjectReference;
}

export type AddressFamily = 'IPv4' | 'IPv6' | 'FQDN';

/** Endpoints of one family that share their ports. */
export interface EndpointSubset {
  readonly addressType: AddressFamily;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

/**
 * A part of the endpoints of one Service, as one object of the cluster says it. An EndpointSlice has one subset; a v1 Endpoints
 * object is read into the same shape with one for each of its own subsets and families, so that nothing behind the cache knows
 * which of the two sources was used, and one cached object is always one object of the cluster with one UID.
 */
export interface EndpointSlice extends KubeObject {
  readonly kind: 'EndpointSlice';
  /** Name of the Service in the same namespace; slices without one are not cached. */
  readonly service: string;
  /**
   * The controller that wrote it, "" when unknown: `endpointslice.kubernetes.io/managed-by`, or for v1 Endpoints
   * `endpoints.kubernetes.io/managed-by` (Kubernetes 1.33 and later).
   */
  readonly managedBy: string;
  /** More endpoints exist than are listed (v1 Endpoints stop at 1,000): an address that is missing here is no evidence for anything. */
  readonly truncated: boolean;
  /** v1 Endpoints do not say which endpoints were told to end: those are as if they had vanished. */
  readonly hidesTermination?: true;
  readonly subsets: readonly EndpointSubset[];
}

/** `namespace/name`, or `name` for what has no namespace: the key under which objects are cached. */
export type ObjectKey = string;

export const objectKey = (meta: { readonly namespace?: string; readonly name: string }): ObjectKey =>
  meta.namespace === undefined ? meta.name : `${meta.namespace}/${meta.name}`;
