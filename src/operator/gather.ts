import { type EndpointSlice, type ObjectKey, objectKey, type Service } from '../api/core.ts';
import type { Registration, RegistryObject } from '../api/kinds.generated.ts';
import type { Deletion } from '../kubernetes/store.ts';
import type { Instance } from '../mirror/instance.ts';
import { admits, byPrecedence, covers, referencedRegistry, registryId } from '../mirror/selection.ts';
import {
  type EntryPolicy,
  type Presence,
  type Refusal,
  type RegistrationState,
  registrationId,
  type View,
} from '../mirror/view.ts';
import { type Caches, candidatesFor, findRegistration, findRegistry } from './cluster/caches.ts';
import { refusalOf } from './refusal.ts';

export interface Surroundings {
  readonly cluster: string;
  readonly caches: Caches;
  /** Namespaces that automatic mirroring leaves out unless named. */
  readonly reservedNamespaces: ReadonlySet<string>;
  /** Stored in the cluster, but breaking the schema, and never read before. */
  isUnreadable(registration: string): boolean;
}

/** Everything that a decision about one Service in one registry may look at, read from memory in one go. */
export function gather(
  surroundings: Surroundings,
  registry: RegistryObject,
  owner: ObjectKey,
  observed: readonly Instance[],
): Omit<View, 'claims'> {
  const { caches, cluster } = surroundings;
  const id = registryId(registry);
  const service = presence(caches, owner);
  const covering = coveringOf(surroundings, registry, owner, observed);
  const slices = caches.slices.by('service', owner);
  const marks = new Set(observed.map((instance) => instance.marks.registration));
  const covered = new Set(covering.map(registrationId));
  return {
    cluster,
    owner,
    registry: { id, allowUnmanagedEndpoints: registry.spec.allowUnmanagedEndpoints },
    service,
    slices,
    endpoints: areEndpointsKnown(caches, owner, slices),
    terminated: terminatedOf(caches, owner, slices, observed),
    covering,
    coverage: isCoverageKnown(caches, id, owner, covering) ? 'known' : 'unknown',
    refusals: Object.fromEntries(covering.flatMap((one) => refusalEntry(surroundings, registry, one))),
    registrations: Object.fromEntries(
      [...marks].map((id) => [id, stateOf(surroundings, registry, owner, id, covered)]),
    ),
    policies: Object.fromEntries([...marks].flatMap((id) => policyEntry(caches, id))),
    observed,
  };
}

function areEndpointsKnown(caches: Caches, owner: ObjectKey, slices: readonly EndpointSlice[]): View['endpoints'] {
  if (slices.some((slice) => slice.truncated)) return 'unknown';
  if (slices.length === 0 && !caches.emptied.has(owner)) return 'unknown';
  const isDoubtful =
    !caches.slices.complete || slices.some(({ metadata }) => caches.slices.isMissing(objectKey(metadata)));
  return isDoubtful ? 'unconfirmed' : 'known';
}

const GONE = { seen: 'deleted', proved: 'proved-absent' } as const satisfies Readonly<Record<Deletion, string>>;

function presence(caches: Caches, owner: ObjectKey): Presence<Service> {
  const object = caches.services.get(owner);
  if (object !== undefined) return { state: 'present', object };
  const deletion = caches.services.deletion(owner);
  return { state: deletion === undefined ? 'missing' : GONE[deletion] };
}

function terminatedOf(
  { terminations }: Caches,
  owner: ObjectKey,
  slices: readonly EndpointSlice[],
  observed: readonly Instance[],
): readonly string[] {
  const now = new Set(
    slices.flatMap(({ subsets }) =>
      subsets.flatMap(({ endpoints }) =>
        endpoints.flatMap((one) => (one.terminating ? one.addresses.slice(0, 1) : [])),
      ),
    ),
  );
  const addresses = new Set(observed.map(({ address }) => address));
  return [...addresses].filter((address) => now.has(address) || terminations.seen(owner, address));
}

/** Whether automatic mirroring covers a Service, which matters where nothing closer does, can be told only from its Namespace. */
function isCoverageKnown(
  caches: Caches,
  registry: string,
  owner: ObjectKey,
  covering: readonly Registration[],
): boolean {
  const [namespace = ''] = owner.split('/');
  return (
    caches.namespaces.get(namespace) !== undefined ||
    caches.namespaces.wasDeleted(namespace) ||
    covering.some(({ kind }) => kind === 'ServiceRegistration') ||
    caches.clusterServiceRegistrations.by('registry', registry).length === 0
  );
}

/** The registrations that cover a Service in a registry, the one with precedence first. */
export function coveringOf(
  surroundings: Surroundings,
  registry: RegistryObject,
  owner: ObjectKey,
  observed: readonly Instance[] = [],
): readonly Registration[] {
  const { caches } = surroundings;
  const id = registryId(registry);
  const service = caches.services.get(owner);
  const named = new Set(observed.map(({ marks }) => marks.registration));
  const asking = candidatesFor(caches, owner).filter(
    (one) =>
      referencedRegistry(one) === id &&
      one.metadata.deletionTimestamp === undefined &&
      (service === undefined ? asksByName(one, owner, named) : asks(surroundings, registry, one, service)),
  );
  const own = asking.filter(({ kind }) => kind === 'ServiceRegistration');
  return [...(own.length > 0 ? own : asking)].sort(byPrecedence);
}

/** Without the Service there are no labels to select by: those count that name it, or that its entries name. */
const asksByName = (one: Registration, owner: ObjectKey, named: ReadonlySet<string>): boolean =>
  named.has(registrationId(one)) ||
  (one.kind === 'ServiceRegistration' && `${one.metadata.namespace}/${one.spec.serviceRef?.name}` === owner);

function asks(
  { caches, reservedNamespaces }: Surroundings,
  registry: RegistryObject,
  one: Registration,
  service: Service,
): boolean {
  const namespaceName = service.metadata.namespace ?? '';
  const namespace = caches.namespaces.get(namespaceName);
  if (!covers(one, service, namespace, reservedNamespaces)) return false;
  // Of automatic mirroring, a registry that does not admit a namespace simply takes less; a team that asked is told.
  return one.kind === 'ServiceRegistration' || admits(registry, namespace, namespaceName);
}

function refusalEntry(
  { caches }: Surroundings,
  registry: RegistryObject,
  one: Registration,
): readonly [string, Refusal][] {
  const refusal = refusalOf(one, registry, caches.namespaces.get(one.metadata.namespace ?? ''));
  return refusal === undefined ? [] : [[registrationId(one), refusal]];
}

function policyEntry(caches: Caches, id: string): readonly [string, EntryPolicy][] {
  const { object } = findRegistration(caches, id);
  if (object === undefined) return [];
  const { updatePolicy, deletionPolicy, suspend } = object.spec;
  return [[id, { updatePolicy, deletionPolicy, suspend }]];
}

function stateOf(
  { caches, reservedNamespaces, isUnreadable }: Surroundings,
  registry: RegistryObject,
  owner: ObjectKey,
  id: string,
  covered: ReadonlySet<string>,
): RegistrationState {
  if (covered.has(id)) return 'covers';
  const { object, deletion, lastRegistry = registryId(registry) } = findRegistration(caches, id);
  if (object === undefined) {
    if (isUnreadable(id)) return 'refused';
    if (deletion === undefined) return 'missing';
    // Its entries are that registry's to remove, which knows whether another registration has taken them over.
    const isOthers = lastRegistry !== registryId(registry) && findRegistry(caches, lastRegistry) !== undefined;
    return isOthers ? 'other-registry' : GONE[deletion];
  }
  if (referencedRegistry(object) !== registryId(registry)) return 'other-registry';
  if (object.metadata.deletionTimestamp !== undefined) return 'deleting';
  const service = caches.services.get(owner);
  const [namespaceName = ''] = owner.split('/');
  const namespace = caches.namespaces.get(namespaceName);
  const refused =
    service !== undefined &&
    covers(object, service, namespace, reservedNamespaces) &&
    !admits(registry, namespace, namespaceName);
  return refused ? 'refused' : 'elsewhere';
}
