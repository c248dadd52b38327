// Manifests of the tests, in as few words as they need.

export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
};

const ROSTER = 'roster.dev/v1alpha1';

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
}

export interface ServiceOptions {
  readonly ports?: readonly ServicePort[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Label `app` of the Pods behind it. Absent: none, its slices are written by hand. */
  readonly app?: string;
  readonly spec?: object;
}

export function service(namespace: string, name: string, options: ServiceOptions = {}): Manifest {
  const { ports = [{ name: 'http', port: 80 }], labels = {}, annotations = {}, app, spec } = options;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels, annotations },
    spec: {
      clusterIP: 'None',
      ports: ports.map((port) => ({ ...port, targetPort: port.name ?? port.port })),
      ...(app === undefined ? {} : { selector: { app } }),
      ...spec,
    } as object,
  } as Manifest;
}

export interface EndpointOptions {
  readonly ready?: boolean | null;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zone?: string;
  /** Namespace of the Pod that it is said to be; null for none. */
  readonly podNamespace?: string | null;
}

export interface SliceOptions {
  readonly name?: string;
  readonly ports?: readonly ServicePort[];
  readonly addressType?: 'IPv4' | 'IPv6' | 'FQDN';
  /** `''`: a slice that no controller claims. Default: that of the endpoint controller, for a Service without selector it leaves alone. */
  readonly managedBy?: string;
}

/** Endpoints written by hand, in the place of the endpoint controller: addresses that a test can know. */
export function slice(
  namespace: string,
  of: string,
  endpoints: Readonly<Record<string, EndpointOptions>> | readonly string[],
  options: SliceOptions = {},
): Manifest {
  const { name = `${of}-1`, ports = [{ name: 'http', port: 8080 }], addressType = 'IPv4' } = options;
  const { managedBy = 'endpointslice-controller.k8s.io' } = options;
  const listed = Array.isArray(endpoints)
    ? endpoints.map((address): [string, EndpointOptions] => [address, {}])
    : Object.entries(endpoints as Readonly<Record<string, EndpointOptions>>);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name,
      namespace,
      labels: {
        'kubernetes.io/service-name': of,
        ...(managedBy === '' ? {} : { 'endpointslice.kubernetes.io/managed-by': managedBy }),
      },
    } as Manifest['metadata'],
    addressType,
    ports: ports.map((port) => ({ protocol: 'TCP', ...port })),
    endpoints: listed.map(([address, { zone, podNamespace = namespace, ...conditions }]) => ({
      addresses: [address],
      conditions: { ready: true, ...conditions },
      ...(zone === undefined ? {} : { zone }),
      ...(podNamespace === null ? {} : { targetRef: { kind: 'Pod', name: 'any', namespace: podNamespace } }),
    })),
  };
}

/** A Pod that KWOK makes ready, with one container that listens on the named ports. */
export function pod(namespace: string, name: string, app: string, ports: readonly ServicePort[] = HTTP): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app } } as Manifest['metadata'],
    spec: {
      containers: [
        { name: 'main', image: 'none', ports: ports.map(({ name, port }) => ({ name, containerPort: port })) },
      ],
    },
  };
}

const HTTP: readonly ServicePort[] = [{ name: 'http', port: 8080 }];

/** A ServiceRegistration of the Service of its own name, unless the spec says another. */
export function registration(namespace: string, name: string, registry: string, spec: object = {}): Manifest {
  const which = 'selector' in spec || 'serviceRef' in spec ? {} : { serviceRef: { name } };
  return {
    apiVersion: ROSTER,
    kind: 'ServiceRegistration',
    metadata: { name, namespace },
    spec: { registryRef: { name: registry }, ...which, ...spec },
  };
}

export const clusterRegistration = (name: string, registry: string, spec: object): Manifest => ({
  apiVersion: ROSTER,
  kind: 'ClusterServiceRegistration',
  metadata: { name },
  spec: { registryRef: { name: registry }, ...spec },
});

export const clusterRegistry = (name: string, spec: object): Manifest => ({
  apiVersion: ROSTER,
  kind: 'ClusterRegistry',
  metadata: { name },
  spec: { allowedNamespaces: { all: true }, ...spec },
});

export const namespace = (name: string, labels: Readonly<Record<string, string>> = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels } as Manifest['metadata'],
});

export const secret = (ns: string, name: string, values: Readonly<Record<string, string>>): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: ns },
  stringData: values,
});
