// The operator's decisions with nothing around them: every Service is decided until nothing changes any more, and each change counts as written.
import assert from 'node:assert/strict';
import type { Registration } from '../../src/api/kinds.generated.ts';
import type { Change } from '../../src/mirror/change.ts';
import { createClaimIndex } from '../../src/mirror/claims.ts';
import { referencedRegistry, registryId } from '../../src/mirror/selection.ts';
import { registrationId } from '../../src/mirror/view.ts';
import { findOurs, keyOf } from '../../src/operator/cluster/caches.ts';
import { createDeletionGuards } from '../../src/operator/deletion-guards.ts';
import { gather, type Surroundings } from '../../src/operator/gather.ts';
import { reconcile } from '../../src/operator/reconcile.ts';
import { createLedger } from '../../src/operator/registry/ledger.ts';
import type { RegistrySlot } from '../../src/operator/registry/registry-set.ts';
import type { RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { createOutcomes } from '../../src/operator/reporting/outcomes.ts';
import { createStatuses } from '../../src/operator/reporting/statuses.ts';
import type { Json } from '../e2e/kube.ts';
import { brokenRules } from '../mirror/condition-rules.ts';
import { virtualClock } from '../virtual-clock.ts';
import type { Rules } from './expectation.ts';
import type { World } from './play.ts';
import { openPureCluster } from './pure-cluster.ts';
import { completed, type RegistrySpec, sharedRegistry } from './registries.ts';

/** More than the longest chain of Services that wait for each other's names. */
const ROUNDS = 20;

export function openPureWorld(spec: RegistrySpec, rules: Rules): World {
  const slots = new Map<string, RegistrySlot & { readonly worker: RegistryWorker }>();
  /** Looks that the look at another Service asked for. */
  let touched = 0;
  const cluster = openPureCluster((object) => {
    const id = registryId(object);
    slots.set(id, { object, worker: slots.get(id)?.worker ?? pureWorker(id, rules, () => void touched++) });
  });
  const { caches } = cluster;
  const surroundings: Surroundings = {
    cluster: 'pure',
    caches,
    reservedNamespaces: new Set(['kube-system', 'roster-system']),
    isUnreadable: () => false,
  };
  const outcomes = createOutcomes();
  const guards = createDeletionGuards({
    clock: virtualClock(),
    find: (id) => findOurs(caches, id),
    isCatchingUp: () => false,
    look: () => void touched++,
    touch: () => {},
    onResumed: () => {},
    onChange: () => {},
    onReleased: () => {},
  });
  const statuses = createStatuses({
    surroundings,
    registries: { get: (id) => slots.get(id) },
    outcomes,
    leads: () => true,
    isCatchingUp: () => false,
    guards,
    unreadable: { status: () => undefined },
    now: cluster.now,
  });

  async function settle(): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      touched = 0;
      let changes = 0;
      for (const object of cluster.all().filter(({ kind }) => kind.endsWith('Registration'))) guards.heed(idOf(object));
      for (const { object, worker } of slots.values()) {
        guards.heed(worker.id);
        const look = (owner: string) => gather(surroundings, object, owner, worker.ledger.owned(owner));
        for (const owner of ownersIn(worker)) {
          const said = await reconcile(worker, owner, { look, guard: guards.guardOf(worker.id, object) });
          outcomes.set(worker.id, owner, said.outcomes);
          changes += said.plan.changes.length;
        }
      }
      if (changes + touched + letGo() === 0) return report();
    }
    assert.fail(`the decisions did not come to rest in ${ROUNDS} rounds`);
  }

  function ownersIn({ ledger }: RegistryWorker): ReadonlySet<string> {
    const named = [...caches.serviceRegistrations.all()].flatMap(({ metadata, spec }) =>
      spec.serviceRef === undefined ? [] : [`${metadata.namespace}/${spec.serviceRef.name}`],
    );
    return new Set([...[...caches.services.all()].map(keyOf), ...named, ...ledger.owners()]);
  }

  /** Those registrations go whose entries are gone, or marked to stay: of the others a finalizer would take care. */
  function letGo(): number {
    const all: readonly Registration[] = [
      ...caches.serviceRegistrations.all(),
      ...caches.clusterServiceRegistrations.all(),
    ];
    const free = all.filter((registration) => {
      const { metadata, spec } = registration;
      const id = registrationId(registration);
      const ledger = slots.get(referencedRegistry(registration))?.worker.ledger;
      const left = spec.deletionPolicy === 'Retain' ? ledger?.unretainedOf(id) : ledger?.countOf(id);
      return metadata.deletionTimestamp !== undefined && (left ?? 0) === 0;
    });
    for (const { kind, metadata } of free) cluster.drop({ kind, ...metadata });
    return free.length;
  }

  /** By the rules that every status must keep. */
  function report(): void {
    for (const object of cluster.all()) {
      if (!object.apiVersion.startsWith('roster.dev/')) continue;
      const { kind, metadata } = object;
      const update = statuses.desired(idOf(object));
      if (update === undefined) continue;
      const { status } = update;
      assert.deepEqual(brokenRules({ ...object, status }, { previous: object }), [], `${kind} ${metadata.name}`);
      cluster.report(object, status);
    }
  }

  cluster.write(sharedRegistry('registry', spec));
  return {
    apply: async (manifest) => cluster.write(completed(manifest, spec)),
    patch: async (target, change) => cluster.patch(target, change),
    remove: async (target) => cluster.remove(target),
    standing: async (namespaces) =>
      [...slots.values()]
        .flatMap(({ worker: { ledger } }) => [...ledger.owners()].flatMap((owner) => ledger.owned(owner)))
        .filter(({ marks }) => namespaces.has(marks.owner.split('/')[0] ?? '')),
    object: async (target) => cluster.get(target),
    async reaches(awaited, check) {
      await settle();
      await check().catch((error: unknown) =>
        assert.fail(`${awaited}\n${error instanceof Error ? error.message : error}`),
      );
    },
    // Nothing can happen any more.
    keeps: async () => {},
  };
}

const idOf = ({ kind, metadata }: Json): string => [kind, metadata.namespace, metadata.name].filter(Boolean).join('/');

function pureWorker(id: string, rules: Rules, onTouched: () => void): RegistryWorker {
  const ledger = createLedger();
  ledger.beginList()([]);
  return {
    id,
    registry: rules,
    ledger,
    claims: createClaimIndex(),
    link: { state: 'up', version: 'pure' },
    queue: { add: onTouched },
    writer: {
      submit: async (changes: readonly Change[]) => {
        for (const change of changes) ledger.acknowledge(change);
        return changes.map(() => ({ ok: true }));
      },
    },
  } as unknown as RegistryWorker;
}
