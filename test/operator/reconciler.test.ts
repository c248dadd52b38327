import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createClaimIndex } from '../../src/mirror/claims.ts';
import { createCaches, findOurs } from '../../src/operator/cluster/caches.ts';
import { createDeletionGuards } from '../../src/operator/deletion-guards.ts';
import { createReconciler } from '../../src/operator/reconciler.ts';
import { createLedger } from '../../src/operator/registry/ledger.ts';
import { createPropagation } from '../../src/operator/registry/propagation.ts';
import type { RegistrySlot } from '../../src/operator/registry/registry-set.ts';
import type { Link, RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { createOutcomes } from '../../src/operator/reporting/outcomes.ts';
import { createStatuses } from '../../src/operator/reporting/statuses.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { openMemory } from '../../src/registries/memory.ts';
import {
  CLUSTER,
  clusterRegistry,
  condition,
  endpoint,
  NOW,
  namespace,
  registration,
  service,
  slice,
} from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';

const REGISTRY = 'ClusterRegistry/consul';
const ANSWERED = { status: { observedGeneration: 1, conditions: [condition('Ready')] } };

/** Two Services whose registrations and registry an earlier process has answered. This one has read the cluster, and begins with the registry. */
function begin() {
  const { caches, writers } = createCaches();
  const object = { ...clusterRegistry(), ...ANSWERED };
  writers.namespaces.put(namespace('shop'));
  writers.clusterRegistries.put(object);
  for (const name of ['web', 'api']) {
    writers.services.put(service(`shop/${name}`));
    writers.slices.put(slice([endpoint('10.0.0.1')], {}, `shop/${name}`));
    writers.serviceRegistrations.put(registration({ serviceRef: { name } }, { name, ...ANSWERED }));
  }
  const clock = virtualClock();
  const now: { link: Link; problem?: RegistrySlot['problem'] } = { link: { state: 'opening' } };
  const queued: string[] = [];
  const ledger = createLedger();
  const worker = {
    id: REGISTRY,
    registry: openMemory(),
    ledger,
    claims: createClaimIndex(),
    queue: { add: (owner: string) => queued.push(owner) },
    writer: { submit: async (changes: readonly object[]) => changes.map(() => ({ ok: true })) },
    get link() {
      return now.link;
    },
  } as unknown as RegistryWorker;
  const surroundings = { cluster: CLUSTER, caches, reservedNamespaces: new Set<string>(), isUnreadable: () => false };
  const registries = { get: (): RegistrySlot => ({ object, worker, ...(now.problem && { problem: now.problem }) }) };
  const outcomes = createOutcomes();
  const touched: string[] = [];
  const guards = createDeletionGuards({
    clock,
    find: (id) => findOurs(caches, id),
    isCatchingUp: (id) => reconciler.isCatchingUp(id),
    look: (_id, owner) => queued.push(owner),
    touch() {},
    onResumed() {},
    onChange() {},
    onReleased() {},
  });
  const reconciler = createReconciler({
    surroundings,
    registries,
    outcomes,
    propagation: createPropagation({ clock, wallNow: () => 0, observe: () => {} }),
    absences: { async missed() {} },
    guards,
    touch() {},
    touchRegistry: (id) => touched.push(id),
    finalize() {},
  });
  const statuses = createStatuses({
    surroundings,
    registries,
    outcomes,
    leads: () => true,
    isCatchingUp: (id) => reconciler.isCatchingUp(id),
    guards,
    unreadable: { status: () => undefined },
    now: () => NOW,
  });
  return {
    now,
    queued,
    touched,
    reconciler,
    worker,
    /** The link is up, and the registry was listed. */
    list() {
      ledger.beginList()([]);
      now.link = { state: 'up', version: '1' };
      reconciler.lookAtAll(worker);
    },
    /** What is told of the registry and of the registrations of both Services. */
    told: () =>
      [REGISTRY, 'ServiceRegistration/shop/web', 'ServiceRegistration/shop/api'].map(
        (id) => statuses.desired(id) !== undefined,
      ),
  };
}

const NOTHING = [false, false, false];
const ALL = [true, true, true];

describe('a registry that was just opened', () => {
  it('tells nothing before each of its Services was looked at', async () => {
    const { list, told, queued, touched, reconciler, worker } = begin();
    assert.deepEqual(told(), NOTHING, 'not read yet');
    list();
    assert.deepEqual(queued, ['shop/web', 'shop/api']);
    assert.deepEqual(told(), NOTHING, 'read, and nothing looked at');
    await reconciler.reconcile(worker, 'shop/web');
    assert.deepEqual(told(), NOTHING, 'one of two looked at');
    assert.deepEqual(touched, []);
    await reconciler.reconcile(worker, 'shop/api');
    assert.deepEqual(told(), ALL);
    assert.deepEqual(touched, [REGISTRY], 'whoever kept silent is asked again');
  });

  it('tells that it is down, or cannot be used, whatever was looked at', () => {
    const { list, told, now } = begin();
    now.link = { state: 'down', error: new RegistryError('unreachable', 'no route') };
    assert.deepEqual(told(), ALL);
    list();
    assert.deepEqual(told(), NOTHING);
    now.problem = { reason: 'SecretNotFound', message: 'create it' };
    assert.deepEqual(told(), ALL);
  });

  it('keeps silent again from the beginning of the next term', async () => {
    const { list, told, reconciler, worker } = begin();
    list();
    for (const owner of ['shop/web', 'shop/api']) await reconciler.reconcile(worker, owner);
    reconciler.startOver(REGISTRY);
    assert.deepEqual(told(), NOTHING);
    reconciler.lookAtAll(worker);
    for (const owner of ['shop/web', 'shop/api']) await reconciler.reconcile(worker, owner);
    assert.deepEqual(told(), ALL);
  });

  it('does not fall silent when it comes back: what was told of it is known to this process', async () => {
    const { list, told, reconciler, worker } = begin();
    list();
    for (const owner of ['shop/web', 'shop/api']) await reconciler.reconcile(worker, owner);
    list();
    assert.deepEqual(told(), ALL);
  });
});
