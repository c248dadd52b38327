import type { ObjectKey } from '../../api/core.ts';
import type { Registration, RegistryObject } from '../../api/kinds.generated.ts';
import type { Resource } from '../../kubernetes/resources.ts';
import * as resources from '../../kubernetes/resources.ts';
import type { StatusUpdate } from '../../kubernetes/status-writer.ts';
import { type Blocked, blockedBefore, blockedMessage, releaseCommand } from '../../mirror/held-removals.ts';
import { type RegistryFacts, registryStatus } from '../../mirror/registry-status.ts';
import { referencedRegistry } from '../../mirror/selection.ts';
import { type RegistryState, registrationStatus, type ServiceFacts } from '../../mirror/status.ts';
import { registrationId } from '../../mirror/view.ts';
import type { RegistryError } from '../../registries/error.ts';
import { findRegistration, findRegistry, isRegistryId, keyOf } from '../cluster/caches.ts';
import type { Unreadable } from '../cluster/unreadable.ts';
import type { DeletionGuards } from '../deletion-guards.ts';
import { coveringOf, type Surroundings } from '../gather.ts';
import { generationOf } from '../reconcile.ts';
import { refusalOf } from '../refusal.ts';
import type { RegistrySet, RegistrySlot } from '../registry/registry-set.ts';
import type { Link } from '../registry/registry-worker.ts';
import type { Outcomes } from './outcomes.ts';

/** What each status should say now, computed when it is written: however often a status is marked, it costs one computation. */
export interface StatusesOptions {
  readonly surroundings: Surroundings;
  readonly registries: Pick<RegistrySet, 'get'>;
  readonly outcomes: Outcomes;
  /** By id of a registry: of what concerns it, its leader alone tells. Undefined: what names no registry that is known. */
  leads(registry: string | undefined): boolean;
  /** The registry was not read, or not every Service looked at, since this process started. */
  isCatchingUp(registry: string): boolean;
  readonly guards: Pick<DeletionGuards, 'held' | 'isResuming' | 'handledBy'>;
  readonly unreadable: Pick<Unreadable, 'status'>;
  /** RFC 3339. */
  readonly now: () => string;
}

/** Of objects that may come moments later in the same `kubectl apply`: not worth alarming anybody in the meantime. */
const MAY_COME: ReadonlySet<string> = new Set([
  'ServiceNotFound',
  'RegistryNotFound',
  'PortNotFound',
  'SecretNotFound',
]);

export function createStatuses(options: StatusesOptions) {
  const { surroundings, registries, outcomes, leads, isCatchingUp, guards, unreadable, now } = options;
  const { caches } = surroundings;

  /** By the id of a registration or registry; undefined when there is nothing to say. */
  function desired(id: string): StatusUpdate | undefined {
    const isRegistry = isRegistryId(id);
    const object = isRegistry ? undefined : findRegistration(caches, id).object;
    if (!leads(isRegistry ? id : object && referencedRegistry(object))) return undefined;
    const invalid = unreadable.status(id);
    if (invalid !== undefined) return invalid;
    if (isRegistry) return ofRegistry(id);
    if (object === undefined) return undefined;
    // Of one that is being deleted nothing is told but that its entries are held.
    const isTold = object.metadata.deletionTimestamp === undefined || blockedOf(object) !== undefined;
    return isTold ? ofRegistration(object) : undefined;
  }

  /** What is told of removals that are held of its entries. */
  function blockedOf(registration: Registration): string | undefined {
    const id = referencedRegistry(registration);
    const registry = findRegistry(caches, id) ?? registries.get(id)?.object;
    const held = guards.held(id, registrationId(registration));
    if (held.size === 0 || registry === undefined) return undefined;
    return blockedMessage(blockedIn(registry, held), releaseCommand(registration));
  }

  function blockedIn({ spec }: RegistryObject, held: ReadonlyMap<ObjectKey, number>): Blocked {
    const hides = (owner: ObjectKey) => caches.slices.by('service', owner).some((slice) => slice.hidesTermination);
    return { held, settings: spec.deletionGuard, hidesTermination: [...held.keys()].some(hides) };
  }

  function ofRegistration(registration: Registration): StatusUpdate | undefined {
    const registryId = referencedRegistry(registration);
    const registry = findRegistry(caches, registryId);
    const slot = registries.get(registryId);
    const namespace = caches.namespaces.get(registration.metadata.namespace ?? '');
    if (isAnswered(registration) && registry !== undefined && isCatchingUp(registryId)) return undefined;
    const refusal = refusalOf(registration, registry, namespace) ?? unusable(slot);
    const services = registry === undefined ? [] : servicesOf(registration, registry, slot);
    const covered = services.reduce((total, { registered }) => total + registered, 0);
    const status = registrationStatus({
      registration,
      ...(refusal === undefined ? {} : { problem: { reason: refusal.code, message: refusal.message } }),
      registry: stateOf(slot),
      services,
      strays: (slot?.worker?.ledger.countOf(registrationId(registration)) ?? 0) - covered,
      ...told(registration, blockedOf(registration)),
      now: now(),
    });
    return update(registration, status);
  }

  function servicesOf(
    registration: Registration,
    registry: RegistryObject,
    slot: RegistrySlot | undefined,
  ): readonly ServiceFacts[] {
    const id = registrationId(registration);
    return matched(registration, registry).map((owner) => {
      const said = outcomes.get(id, owner);
      const current =
        said?.uid === registration.metadata.uid &&
        said.generation >= generationOf(registration) &&
        sameRequest(said.reconcileAt, registration);
      const standing = (slot?.worker?.ledger.owned(owner) ?? []).filter(({ marks }) => marks.registration === id);
      return {
        owner,
        ...(current ? { outcome: said } : {}),
        registered: standing.length,
        healthy: standing.filter(({ health }) => health === 'healthy').length,
      };
    });
  }

  function told(object: Registration | RegistryObject, blocked: string | undefined) {
    const releaseAt = guards.handledBy(object);
    return { ...(blocked === undefined ? {} : { blocked }), ...(releaseAt === undefined ? {} : { releaseAt }) };
  }

  /** The Services that the registration covers, after precedence. */
  function matched(registration: Registration, registry: RegistryObject): readonly ObjectKey[] {
    const { namespace } = registration.metadata;
    if (registration.kind === 'ServiceRegistration' && registration.spec.serviceRef !== undefined) {
      return [`${namespace}/${registration.spec.serviceRef.name}`];
    }
    const services = namespace === undefined ? [...caches.services.all()] : caches.services.by('namespace', namespace);
    return services.map(keyOf).filter((owner) => coveringOf(surroundings, registry, owner).includes(registration));
  }

  function ofRegistry(id: string): StatusUpdate | undefined {
    const registry = findRegistry(caches, id);
    if (registry === undefined || registry.metadata.deletionTimestamp !== undefined) return undefined;
    const slot = registries.get(id);
    const link = slot?.worker?.link ?? OPENING;
    const unknown = link.state === 'opening' || (link.state === 'up' && isCatchingUp(id));
    if (isAnswered(registry) && unknown && slot?.problem === undefined) return undefined;
    const status = registryStatus({
      registry,
      ...(slot?.problem === undefined ? {} : { problem: slot.problem }),
      link: factsOf(link),
      ...(slot?.worker?.ledger.loaded === true ? { owned: slot.worker.ledger.size } : {}),
      ...told(registry, heldIn(id, registry)),
      now: now(),
    });
    return update(registry, status);
  }

  /** Until everything has been looked at after a start, what the process before held may still be. */
  function heldIn(id: string, registry: RegistryObject): string | undefined {
    const held = guards.held(id);
    if (held.size === 0) return guards.isResuming(id) ? blockedBefore(registry.status)?.message : undefined;
    return blockedMessage(blockedIn(registry, held), releaseCommand(registry));
  }

  return { desired, matched };
}

/** What a person must do before the registry can be reached. */
function needs({ code }: RegistryError): { readonly needs?: 'Unauthorized' | 'AddressNotAllowed' } {
  if (code === 'not-allowed') return { needs: 'AddressNotAllowed' };
  return code === 'unauthorized' || code === 'forbidden' ? { needs: 'Unauthorized' } : {};
}

/** An earlier process has answered this very spec: what it said stands until more is known than it knew. */
const isAnswered = ({ metadata, status }: Registration | RegistryObject): boolean =>
  status?.conditions !== undefined && status.observedGeneration === metadata.generation;

const sameRequest = (handled: string | undefined, { metadata }: Registration): boolean =>
  handled === metadata.annotations['roster.dev/reconcile-at'];

/** A registry that this version cannot serve at all refuses its registrations; any other trouble of it only delays them. */
function unusable(slot: RegistrySlot | undefined) {
  const { problem, worker } = slot ?? {};
  if (problem?.reason !== 'NotYetSupported' || worker !== undefined) return undefined;
  return { code: 'NotYetSupported', message: problem.message } as const;
}

const OPENING: Link = { state: 'opening' };

const FENCED =
  'another process writes here for the same cluster, and each takes the right to write from the other: run one operator for a cluster name, ' +
  'with --leader-elect=true for all its replicas; this one tries again within a minute';

function factsOf(link: Link): RegistryFacts['link'] {
  // Nobody is told of a registry that another replica leads.
  if (link.state === 'standby') return { state: 'opening' };
  if (link.state !== 'down') return link;
  const { code, message, context } = link.error;
  const { owner } = context;
  if (code === 'owned')
    return { state: 'contested', reason: 'OwnedByAnother', message, ...(typeof owner === 'string' && { owner }) };
  if (code === 'fenced') return { state: 'contested', reason: 'Fenced', message: FENCED };
  return { state: 'down', message, ...needs(link.error) };
}

function stateOf(slot: RegistrySlot | undefined): RegistryState {
  const link = slot?.worker?.link;
  if (link === undefined)
    return slot?.problem ? { state: 'down', message: slot.problem.message } : { state: 'opening' };
  if (link.state === 'standby') return { state: 'opening' };
  return link.state === 'down' ? { state: 'down', message: link.error.message } : link;
}

const RESOURCES: Readonly<Record<(Registration | RegistryObject)['kind'], Resource>> = {
  ServiceRegistration: resources.serviceRegistrations,
  ClusterServiceRegistration: resources.clusterServiceRegistrations,
  Registry: resources.registries,
  ClusterRegistry: resources.clusterRegistries,
};

export function targetOf({ kind, metadata }: Registration | RegistryObject) {
  const { name, uid, namespace } = metadata;
  return { resource: RESOURCES[kind], name, uid, ...(namespace === undefined ? {} : { namespace }) };
}

function update(object: Registration | RegistryObject, status: object): StatusUpdate {
  const conditions = 'conditions' in status && Array.isArray(status.conditions) ? status.conditions : [];
  const ready: { status?: string; reason?: string } = conditions.find(({ type }) => type === 'Ready') ?? {};
  const settled = ready.status === 'True' || (ready.status === 'False' && !MAY_COME.has(ready.reason ?? ''));
  const { resourceVersion } = object.metadata;
  return { ...targetOf(object), resourceVersion, current: object.status, status: { ...status }, settled };
}
