import type { EndpointSlice, Namespace, ObjectKey, Service } from '../../api/core.ts';
import type { Registration } from '../../api/kinds.generated.ts';
import type { Delta } from '../../kubernetes/intake.ts';
import { referencedRegistry } from '../../mirror/selection.ts';
import { registrationId } from '../../mirror/view.ts';
import type { Propagation } from '../registry/propagation.ts';
import type { RegistryWorker } from '../registry/registry-worker.ts';
import { type Caches, candidatesFor, keyOf, serviceOf } from './caches.ts';
import type { Terminations } from './terminations.ts';

/** Which Services a change of the cluster concerns. Only keys go on: what changed, the reconcile finds out by looking. */

export interface TriggerOptions {
  readonly caches: Caches;
  readonly emptied: Set<ObjectKey>;
  readonly terminations: Pick<Terminations, 'note'>;
  readonly propagation: Propagation;
  workers(): Iterable<RegistryWorker>;
  /** The status of the registration may have changed. */
  touch(registration: string): void;
}

const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

export function createTriggers({ caches, emptied, terminations, propagation, workers, touch }: TriggerOptions) {
  function look(owner: ObjectKey, urgency: 'normal' | 'urgent' = 'normal', triggeredAt?: string): void {
    const asked = new Set(candidatesFor(caches, owner).map(referencedRegistry));
    for (const worker of workers()) {
      if (!asked.has(worker.id) && !worker.ledger.has(owner)) continue;
      propagation.noted(worker.id, owner, triggeredAt);
      worker.queue.add(owner, urgency);
    }
  }

  return {
    look,

    onService(delta: Delta<Service>): void {
      const owner = keyOf(delta.object);
      look(owner, delta.type === 'deleted' ? 'urgent' : 'normal');
      const labels = delta.type === 'applied' ? JSON.stringify(delta.previous?.metadata.labels) : undefined;
      if (labels === JSON.stringify(delta.object.metadata.labels)) return;
      for (const registration of candidatesFor(caches, owner)) touch(registrationId(registration));
    },

    onSlice(delta: Delta<EndpointSlice>): void {
      const owner = serviceOf(delta.object);
      if (delta.type === 'applied') {
        terminations.note(owner, delta.object);
        emptied.delete(owner);
      } else if (caches.slices.by('service', owner).length === 0) emptied.add(owner);
      const before = delta.type === 'applied' ? delta.previous : delta.object;
      // A slice can be handed to another Service by its label.
      if (before !== undefined && serviceOf(before) !== owner) look(serviceOf(before), 'urgent');
      const urgent = delta.type === 'deleted' || loses(before, delta.object);
      look(owner, urgent ? 'urgent' : 'normal', delta.object.metadata.annotations[TRIGGER_TIME]);
    },

    onNamespace(delta: Delta<Namespace>): void {
      if (delta.type === 'deleted') return;
      if (JSON.stringify(delta.previous?.metadata.labels) === JSON.stringify(delta.object.metadata.labels)) return;
      const namespace = delta.object.metadata.name;
      const owners = new Set(caches.services.by('namespace', namespace).map(keyOf));
      for (const registration of caches.clusterServiceRegistrations.all()) touch(registrationId(registration));
      for (const registration of caches.serviceRegistrations.all()) {
        if (registration.metadata.namespace !== namespace) continue;
        touch(registrationId(registration));
        // What it names may not be there; whether the registry admits it is told all the same.
        const { serviceRef } = registration.spec;
        if (serviceRef !== undefined) owners.add(`${namespace}/${serviceRef.name}`);
      }
      for (const owner of owners) look(owner);
    },

    /** Gives the Services concerned to the queue of the registration's registry. */
    onRegistration(delta: Delta<Registration>): void {
      const { object } = delta;
      const id = registrationId(object);
      if (delta.type === 'applied' && delta.previous !== undefined && !asksAnew(delta.previous, object)) return;
      const registry = referencedRegistry(object);
      for (const worker of workers()) {
        if (worker.id !== registry) {
          // One of its name wrote there before: what becomes of that depends on this one being there.
          for (const owner of writtenBy(id, worker)) worker.queue.add(owner);
          continue;
        }
        for (const owner of concerned(caches, worker, object)) worker.queue.add(owner);
        // A Service that it named before may have nothing in the registry but the claim on a name.
        if (delta.type === 'applied' && delta.previous !== undefined) {
          for (const owner of concerned(caches, worker, delta.previous)) worker.queue.add(owner);
        }
      }
      touch(id);
    },
  };
}

export type Triggers = ReturnType<typeof createTriggers>;

/** Our own status writes come back as events, and ask for no look at a Service. */
function asksAnew(before: Registration, after: Registration): boolean {
  const [a, b] = [before.metadata, after.metadata];
  return (
    a.uid !== b.uid ||
    a.generation !== b.generation ||
    a.deletionTimestamp !== b.deletionTimestamp ||
    JSON.stringify(a.annotations) !== JSON.stringify(b.annotations)
  );
}

function writtenBy(registration: string, { ledger }: RegistryWorker): readonly ObjectKey[] {
  if (ledger.countOf(registration) === 0) return [];
  return [...ledger.owners()].filter((owner) =>
    ledger.owned(owner).some(({ marks }) => marks.registration === registration),
  );
}

/** Those that it may select, and those whose entries in the registry may name it. */
function concerned(caches: Caches, worker: RegistryWorker, registration: Registration): ReadonlySet<ObjectKey> {
  const owners = new Set<ObjectKey>();
  const { namespace } = registration.metadata;
  if (registration.kind === 'ServiceRegistration' && registration.spec.serviceRef !== undefined) {
    owners.add(`${namespace}/${registration.spec.serviceRef.name}`);
  } else {
    const services = namespace === undefined ? caches.services.all() : caches.services.by('namespace', namespace);
    for (const service of services) owners.add(keyOf(service));
  }
  for (const owner of worker.ledger.owners()) {
    if (namespace === undefined || owner.startsWith(`${namespace}/`)) owners.add(owner);
  }
  return owners;
}

/** An address went or began to terminate: consumers should stop using it without delay. */
function loses(before: EndpointSlice | undefined, after: EndpointSlice): boolean {
  if (before === undefined) return false;
  const serving = new Set(servingAddresses(after));
  return servingAddresses(before).some((address) => !serving.has(address));
}

const servingAddresses = (slice: EndpointSlice): readonly string[] =>
  slice.subsets.flatMap(({ endpoints }) =>
    endpoints.filter(({ terminating }) => !terminating).flatMap(({ addresses }) => addresses.slice(0, 1)),
  );
