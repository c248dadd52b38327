import { setImmediate as nextTurn } from 'node:timers/promises';
import type { View } from '../mirror/view.ts';
import type { AbsenceProof } from './cluster/absence.ts';
import { findRegistration, findRegistry, keyOf } from './cluster/caches.ts';
import type { DeletionGuards } from './deletion-guards.ts';
import { gather, type Surroundings } from './gather.ts';
import { reconcile, withClaims } from './reconcile.ts';
import type { Propagation } from './registry/propagation.ts';
import type { RegistrySet } from './registry/registry-set.ts';
import type { RegistryWorker } from './registry/registry-worker.ts';
import type { RunResult } from './registry/work-queue.ts';
import type { Outcomes } from './reporting/outcomes.ts';

export interface ReconcilerOptions {
  readonly surroundings: Surroundings;
  readonly registries: Pick<RegistrySet, 'get'>;
  readonly outcomes: Outcomes;
  readonly propagation: Propagation;
  readonly absences: AbsenceProof;
  readonly guards: Pick<DeletionGuards, 'guardOf' | 'begin' | 'caughtUp'>;
  /** The status of a registration or registry may have changed. */
  touch(id: string): void;
  /** So may those of a registry and of all its registrations. */
  touchRegistry(id: string): void;
  finalize(registration: string): void;
}

/** The reconcile of one Service in one registry, with what is known of the cluster before it and what is told of it after. */
export function createReconciler({
  surroundings,
  registries,
  outcomes,
  propagation,
  absences,
  guards,
  ...tell
}: ReconcilerOptions) {
  const { caches } = surroundings;
  /** By registry: Services not looked at since it was opened and listed. */
  const catchingUp = new Map<string, Set<string>>();

  /** Every Service that may stand or should stand in the registry. The claims on names come first, so that no order of looks decides them. */
  function lookAtAll(worker: RegistryWorker): void {
    const object = findRegistry(caches, worker.id);
    if (object === undefined) return;
    const owners = new Set([...caches.services.all()].map(keyOf));
    for (const registration of caches.serviceRegistrations.by('registry', worker.id)) {
      const { serviceRef } = registration.spec;
      if (serviceRef !== undefined) owners.add(`${registration.metadata.namespace}/${serviceRef.name}`);
    }
    for (const owner of worker.ledger.owners()) owners.add(owner);
    const seen = [...owners].map((owner) => gather(surroundings, object, owner, worker.ledger.owned(owner)));
    for (const view of seen) withClaims(view, worker.claims, () => {});
    const concerned = seen.filter(({ covering, observed }) => covering.length > 0 || observed.length > 0);
    if (!catchingUp.has(worker.id)) catchingUp.set(worker.id, new Set(concerned.map(({ owner }) => owner)));
    for (const { owner } of concerned) worker.queue.add(owner);
    if (concerned.length === 0) caughtUp(worker.id);
  }

  function caughtUp(id: string): void {
    guards.caughtUp(id);
    tell.touchRegistry(id);
  }

  async function run(worker: RegistryWorker, owner: string): Promise<RunResult> {
    // What came in one read, as the backlog of a watch, is seen whole before anything is decided from its beginning.
    await nextTurn();
    // Its newest rules, though the connection may still be in the making; those it had, while it lingers.
    const object = findRegistry(caches, worker.id) ?? registries.get(worker.id)?.object;
    if (object === undefined) return { kind: 'done' };
    const acknowledged = propagation.begin(worker.id, owner);
    const {
      view,
      plan,
      outcomes: said,
      result,
    } = await reconcile(worker, owner, {
      look: (one) => gather(surroundings, object, one, worker.ledger.owned(one)),
      guard: guards.guardOf(worker.id, object),
    });
    if (plan.changes.length > 0 && result.kind === 'done') acknowledged();
    if (plan.changes.length > 0) tell.touch(worker.id);
    if (catchingUp.get(worker.id)?.delete(owner) && catchingUp.get(worker.id)?.size === 0) caughtUp(worker.id);
    const concerned = new Set([...outcomes.set(worker.id, owner, said), ...Object.keys(view.registrations)]);
    for (const id of concerned) {
      tell.touch(id);
      if (view.registrations[id] === 'deleting') tell.finalize(id);
    }
    if (plan.leftAlone.some(({ because }) => because === 'unconfirmed')) await proveAbsences(view, worker);
    return result;
  }

  async function proveAbsences({ owner, service, registrations }: View, worker: RegistryWorker): Promise<void> {
    if (service.state === 'missing') await absences.missed('Service', owner);
    for (const [id, state] of Object.entries(registrations)) {
      const [kind = '', ...key] = id.split('/');
      if (state === 'missing') await absences.missed(kind, key.join('/'));
    }
    const proved =
      (service.state === 'missing' && caches.services.wasDeleted(owner)) ||
      Object.entries(registrations).some(
        ([id, state]) => state === 'missing' && findRegistration(caches, id).deletion !== undefined,
      );
    if (proved) worker.queue.add(owner);
  }

  return {
    lookAtAll,
    reconcile: run,
    /** The registry was opened anew. */
    startOver(id: string): void {
      catchingUp.delete(id);
      const object = findRegistry(caches, id);
      if (object !== undefined) guards.begin(id, object);
    },
    /** Not every Service has been looked at since the registry was opened, and nothing but time stands in the way. */
    isCatchingUp(id: string): boolean {
      const { worker, problem } = registries.get(id) ?? {};
      return catchingUp.get(id)?.size !== 0 && worker?.link.state !== 'down' && problem === undefined;
    },
  };
}
