import type { EndpointSlice, Namespace, ObjectKey, Service } from '../../api/core.ts';
import { objectKey } from '../../api/core.ts';
import type {
  ClusterRegistry,
  ClusterServiceRegistration,
  Registration,
  Registry,
  RegistryObject,
  ServiceRegistration,
} from '../../api/kinds.generated.ts';
import { createStore, type Deletion, type Store, type StoreWriter } from '../../kubernetes/store.ts';
import { referencedRegistry } from '../../mirror/selection.ts';
import { createTerminations, type Terminations } from './terminations.ts';

interface Kinds {
  readonly namespaces: Namespace;
  readonly services: Service;
  readonly slices: EndpointSlice;
  readonly serviceRegistrations: ServiceRegistration;
  readonly clusterServiceRegistrations: ClusterServiceRegistration;
  readonly registries: Registry;
  readonly clusterRegistries: ClusterRegistry;
}

/** What is known of the cluster. */
export type Caches = { readonly [K in keyof Kinds]: Store<Kinds[K]> } & {
  /** Services whose last slice was deleted before our eyes: the lack of slices is knowledge there, elsewhere it is ignorance. */
  readonly emptied: ReadonlySet<ObjectKey>;
  readonly terminations: Pick<Terminations, 'seen'>;
};

export type CacheWriters = { readonly [K in keyof Kinds]: StoreWriter<Kinds[K]> } & {
  readonly emptied: Set<ObjectKey>;
  readonly terminations: Terminations;
};

export function createCaches(): { readonly caches: Caches; readonly writers: CacheWriters } {
  const namespaces = createStore<Namespace>();
  const services = createStore<Service>({ namespace: ({ metadata }) => [metadata.namespace ?? ''] });
  const slices = createStore<EndpointSlice>({ service: (slice) => [serviceOf(slice)] });
  const serviceRegistrations = createStore<ServiceRegistration>({
    service: ({ metadata, spec }) => (spec.serviceRef ? [`${metadata.namespace}/${spec.serviceRef.name}`] : []),
    selecting: ({ metadata, spec }) => (spec.serviceRef ? [] : [metadata.namespace]),
    registry: (registration) => [referencedRegistry(registration)],
  });
  const clusterServiceRegistrations = createStore<ClusterServiceRegistration>({
    registry: (registration) => [referencedRegistry(registration)],
  });
  const registries = createStore<Registry>();
  const clusterRegistries = createStore<ClusterRegistry>();
  const emptied = new Set<ObjectKey>();
  const terminations = createTerminations();
  const all = {
    namespaces,
    services,
    slices,
    serviceRegistrations,
    clusterServiceRegistrations,
    registries,
    clusterRegistries,
  };
  return {
    caches: { ...pick(all, 'reader'), emptied, terminations },
    writers: { ...pick(all, 'writer'), emptied, terminations },
  };
}

type Opened = {
  readonly [K in keyof Kinds]: { readonly reader: Store<Kinds[K]>; readonly writer: StoreWriter<Kinds[K]> };
};

function pick<F extends 'reader' | 'writer'>(all: Opened, field: F): { readonly [K in keyof Kinds]: Opened[K][F] } {
  return {
    namespaces: all.namespaces[field],
    services: all.services[field],
    slices: all.slices[field],
    serviceRegistrations: all.serviceRegistrations[field],
    clusterServiceRegistrations: all.clusterServiceRegistrations[field],
    registries: all.registries[field],
    clusterRegistries: all.clusterRegistries[field],
  };
}

/** The Service of a slice, `namespace/name`. */
export const serviceOf = (slice: EndpointSlice): ObjectKey => `${slice.metadata.namespace}/${slice.service}`;

/** Every registration that names this registry. */
export function registrationsOf(caches: Caches, registry: string): readonly Registration[] {
  return [
    ...caches.serviceRegistrations.by('registry', registry),
    ...caches.clusterServiceRegistrations.by('registry', registry),
  ];
}

export const allRegistrations = (caches: Caches): readonly Registration[] => [
  ...caches.serviceRegistrations.all(),
  ...caches.clusterServiceRegistrations.all(),
];

/** Registrations that may ask for the Service, in any registry. */
export function candidatesFor(caches: Caches, owner: ObjectKey): readonly Registration[] {
  const [namespace = ''] = owner.split('/');
  return [
    ...caches.serviceRegistrations.by('service', owner),
    ...caches.serviceRegistrations.by('selecting', namespace),
    ...caches.clusterServiceRegistrations.all(),
  ];
}

/** By its id, `Kind/namespace/name`. */
export function findRegistration(
  caches: Caches,
  id: string,
): {
  readonly object: Registration | undefined;
  /** How it is known to be gone, where it is. */
  readonly deletion: Deletion | undefined;
  /** Id of the registry that a deleted one named, where that is known. */
  readonly lastRegistry: string | undefined;
} {
  const [kind = '', ...parts] = id.split('/');
  const key = parts.join('/');
  const store: Store<Registration> =
    kind === 'ServiceRegistration' ? caches.serviceRegistrations : caches.clusterServiceRegistrations;
  const [lastRegistry] = store.lastUnder('registry', key);
  return { object: store.get(key), deletion: store.deletion(key), lastRegistry };
}

export function findRegistry(caches: Caches, id: string): RegistryObject | undefined {
  const [kind = '', ...key] = id.split('/');
  return kind === 'Registry' ? caches.registries.get(key.join('/')) : caches.clusterRegistries.get(key.join('/'));
}

/** By its id, of a registration or registry. */
export const findOurs = (caches: Caches, id: string): Registration | RegistryObject | undefined =>
  isRegistryId(id) ? findRegistry(caches, id) : findRegistration(caches, id).object;

export const isRegistryId = (id: string): boolean => id.startsWith('Registry/') || id.startsWith('ClusterRegistry/');

export const keyOf = (object: { readonly metadata: Registration['metadata'] }): ObjectKey => objectKey(object.metadata);
