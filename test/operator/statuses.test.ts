import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Registration, RegistrationStatus, RegistryStatus } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import type { Outcome } from '../../src/mirror/status.ts';
import { createCaches } from '../../src/operator/cluster/caches.ts';
import { createLedger } from '../../src/operator/registry/ledger.ts';
import type { RegistrySlot } from '../../src/operator/registry/registry-set.ts';
import type { Link, RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { createOutcomes } from '../../src/operator/reporting/outcomes.ts';
import { createStatuses } from '../../src/operator/reporting/statuses.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { brokenRules } from '../mirror/condition-rules.ts';
import {
  CLUSTER,
  clusterRegistration,
  clusterRegistry,
  condition,
  endpoint,
  instance,
  NOW,
  namespace,
  registration,
  service,
  slice,
} from '../mirror/objects.ts';

const SELF = 'ServiceRegistration/shop/web';
const REGISTRY = 'ClusterRegistry/consul';
const UP: Link = { state: 'up', version: '1' };

const outcome = (changes: Partial<Outcome> = {}): Outcome => ({
  uid: registration().metadata.uid,
  generation: 1,
  desired: 1,
  standing: 1,
  names: ['web'],
  notes: [],
  refused: [],
  withheld: 0,
  ...changes,
});

interface Given {
  readonly of?: Registration;
  readonly outcome?: Outcome;
  readonly standing?: readonly Instance[];
  readonly link?: Link;
  readonly slot?: Partial<RegistrySlot>;
  readonly catchingUp?: boolean;
  readonly open?: boolean;
  /** What the deletion guard holds, by Service. */
  readonly held?: ReadonlyMap<string, number>;
  readonly resuming?: boolean;
  readonly released?: string;
  readonly leads?: boolean;
}

function stage({
  of = registration(),
  outcome: said,
  standing = [],
  link = UP,
  slot = {},
  catchingUp = false,
  open = true,
  held = new Map(),
  resuming = false,
  released,
  leads = true,
}: Given) {
  const { caches, writers } = createCaches();
  writers.namespaces.put(namespace('shop'));
  writers.services.put(service());
  writers.clusterRegistries.put(clusterRegistry());
  if (of.kind === 'ServiceRegistration') writers.serviceRegistrations.put(of);
  else writers.clusterServiceRegistrations.put(of);
  const outcomes = createOutcomes();
  if (said !== undefined)
    outcomes.set(
      REGISTRY,
      'shop/web',
      new Map([[`${of.kind}/${of.kind === 'ServiceRegistration' ? 'shop/' : ''}${of.metadata.name}`, said]]),
    );
  const ledger = createLedger();
  ledger.beginList()(standing);
  const worker = { ledger, link } as RegistryWorker;
  const statuses = createStatuses({
    surroundings: { cluster: CLUSTER, caches, reservedNamespaces: new Set(), isUnreadable: () => false },
    registries: { get: () => ({ object: clusterRegistry(), ...(open ? { worker } : {}), ...slot }) },
    outcomes,
    leads: () => leads,
    isCatchingUp: () => catchingUp,
    guards: { held: () => held, isResuming: () => resuming, handledBy: () => released },
    unreadable: { status: () => undefined },
    now: () => NOW,
  });
  return { statuses, writers };
}

function told(given: Given): Readonly<Record<string, string>> {
  const update = stage(given).statuses.desired(SELF);
  assert.ok(update);
  const status = update.status as unknown as RegistrationStatus;
  assert.deepEqual(brokenRules({ ...(given.of ?? registration()), status }), []);
  return Object.fromEntries((status.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

describe('the status that a registration should have', () => {
  const standing = [instance('10.0.0.1')];

  it('is what the last reconcile of each of its Services says', () => {
    assert.equal(told({ outcome: outcome(), standing })['Synced'], 'True Synced');
  });

  const stale: readonly [name: string, outcome: Outcome, of: Registration][] = [
    ['an older generation', outcome(), registration({}, { generation: 2 })],
    ['another object of the same name, however young', outcome({ uid: 'another', generation: 9 }), registration()],
    [
      'an older request',
      outcome({ reconcileAt: 't1' }),
      registration({}, { annotations: { 'roster.dev/reconcile-at': 't2' } }),
    ],
  ];
  for (const [name, said, of] of stale) {
    it(`is not what was said of ${name}`, () =>
      assert.equal(told({ of, outcome: said, standing })['Synced'], 'False Progressing'));
  }

  it('is not Synced while entries of other Services bear its name', () => {
    const elsewhere = [...standing, instance('10.0.0.1', { marks: { registration: SELF } }, 'shop/old')];
    assert.equal(told({ outcome: outcome(), standing: elsewhere })['Synced'], 'False Progressing');
  });

  it('tells of a registry that is down, being opened, or cannot be configured', () => {
    const down: Link = { state: 'down', error: new RegistryError('unreachable', 'no route') };
    assert.equal(told({ link: down })['Ready'], 'Unknown RegistryUnreachable');
    assert.equal(told({ link: { state: 'opening' } })['Ready'], 'Unknown Progressing');
    const problem = { reason: 'SecretNotFound', message: 'create it' } as const;
    assert.equal(told({ open: false, slot: { problem } })['Ready'], 'Unknown RegistryUnreachable');
    const never = { reason: 'NotYetSupported', message: 'not in this version' } as const;
    assert.equal(told({ open: false, slot: { problem: never } })['Accepted'], 'False NotYetSupported');
    assert.equal(told({ slot: { problem: never }, outcome: outcome(), standing })['Accepted'], 'True Accepted');
  });

  it('stands as an earlier process left it until as much is known again', () => {
    const answered = registration({}, { status: { observedGeneration: 1, conditions: [condition('Ready')] } });
    assert.equal(stage({ of: answered, catchingUp: true }).statuses.desired(SELF), undefined);
    assert.ok(stage({ of: answered }).statuses.desired(SELF));
    assert.ok(stage({ catchingUp: true }).statuses.desired(SELF), 'one that has none gets one at once');
    const newer = registration(
      {},
      { generation: 2, status: { observedGeneration: 1, conditions: [condition('Ready')] } },
    );
    assert.ok(stage({ of: newer, catchingUp: true }).statuses.desired(SELF));
  });

  it('is blocked while removals of its entries are held, before all else, also while it is being deleted', () => {
    const held = new Map([['shop/web', 40]]);
    const blocked = {
      Accepted: 'True Accepted',
      DeletionBlocked: 'True TooManyRemovals',
      Ready: 'False TooManyRemovals',
      Stalled: 'True TooManyRemovals',
      Synced: 'False TooManyRemovals',
    };
    assert.deepEqual(told({ outcome: outcome(), standing, held }), blocked);
    const down: Link = { state: 'down', error: new RegistryError('unreachable', 'no route') };
    assert.deepEqual(told({ outcome: outcome(), standing, held, link: down }), blocked);
    const going = registration({}, { deletionTimestamp: NOW });
    assert.equal(told({ of: going, standing, held })['DeletionBlocked'], 'True TooManyRemovals');
  });

  it('tells how many removals of which Services are held, and what releases them', () => {
    const held = new Map(['f', 'e', 'd', 'c', 'b', 'a'].map((name, n) => [`shop/${name}`, n + 1]));
    const update = stage({ held }).statuses.desired(SELF);
    const status = update?.status as unknown as RegistrationStatus | undefined;
    assert.equal(
      status?.conditions?.find(({ type }) => type === 'DeletionBlocked')?.message,
      'the deletion guard holds back 21 removals (6 of shop/a, 5 of shop/b, 4 of shop/c, 3 of shop/d, 2 of shop/e and of 1 more Services): ' +
        'more than 10 and than 20 % would go within 60 s. They go when they are released (roster release shop/web); ' +
        'they are not removed any more when their endpoints are back',
    );
  });

  it('tells that v1 Endpoints say nothing of Pods that were told to end, where a Service with held removals has them', () => {
    const { statuses, writers } = stage({ held: new Map([['shop/web', 40]]) });
    const messageOf = (id: string) => {
      const status = statuses.desired(id)?.status as unknown as RegistrationStatus | undefined;
      return status?.conditions?.find(({ type }) => type === 'DeletionBlocked')?.message ?? '';
    };
    writers.slices.put({ ...slice([endpoint('10.0.0.1')], {}, 'shop/api'), hidesTermination: true });
    writers.slices.put(slice([endpoint('10.0.0.1')]));
    for (const id of [SELF, REGISTRY]) assert.doesNotMatch(messageOf(id), /v1 Endpoints/);
    writers.slices.put({ ...slice([endpoint('10.0.0.1')]), hidesTermination: true });
    for (const id of [SELF, REGISTRY])
      assert.match(messageOf(id), /v1 Endpoints do not say whether Pods were told to end, .* raise deletionGuard/);
  });

  it('says which release was acted on last', () => {
    const status = stage({ released: 't1' }).statuses.desired(SELF)?.status as unknown as
      | RegistrationStatus
      | undefined;
    assert.equal(status?.lastHandledReleaseAt, 't1');
    assert.equal('lastHandledReleaseAt' in (stage({}).statuses.desired(SELF)?.status ?? {}), false);
  });

  it('is none while it is being deleted, or when it is not there', () => {
    assert.equal(stage({ of: registration({}, { deletionTimestamp: NOW }) }).statuses.desired(SELF), undefined);
    assert.equal(stage({}).statuses.desired('ServiceRegistration/shop/none'), undefined);
  });

  it('is final, unless work goes on or what is missing may come in the same breath', () => {
    const settled = (given: Given) => stage(given).statuses.desired(SELF)?.settled;
    const trouble = (code: 'PortNotFound' | 'NameConflict') => outcome({ desired: 0, problem: { code, message: 'm' } });
    assert.equal(settled({ outcome: outcome(), standing }), true);
    assert.equal(settled({}), false);
    assert.equal(settled({ outcome: trouble('PortNotFound') }), false);
    assert.equal(settled({ outcome: trouble('NameConflict') }), true);
  });

  it('names the very object that it was computed for', () => {
    const update = stage({}).statuses.desired(SELF);
    assert.deepEqual([update?.namespace, update?.name, update?.uid], ['shop', 'web', registration().metadata.uid]);
  });
});

describe('a replica that does not lead the registry', () => {
  it('tells nothing of it and of its registrations', () => {
    const { statuses } = stage({ outcome: outcome(), standing: [instance('10.0.0.1')], leads: false });
    assert.deepEqual([statuses.desired(SELF), statuses.desired(REGISTRY)], [undefined, undefined]);
  });
});

describe('the Services of a registration', () => {
  it('are what it covers, after precedence', () => {
    const of = clusterRegistration();
    const { statuses, writers } = stage({ of });
    writers.services.put(service('shop/api'));
    assert.deepEqual(statuses.matched(of, clusterRegistry()), ['shop/web', 'shop/api']);
    const closer = registration();
    writers.serviceRegistrations.put(closer);
    assert.deepEqual(statuses.matched(of, clusterRegistry()), ['shop/api']);
    assert.deepEqual(statuses.matched(closer, clusterRegistry()), ['shop/web']);
  });

  it('are the one it names, there or not', () => {
    const absent = registration({ serviceRef: { name: 'absent' } });
    assert.deepEqual(stage({ of: absent }).statuses.matched(absent, clusterRegistry()), ['shop/absent']);
  });
});

describe('the status that a registry should have', () => {
  const status = (given: Given) => {
    const update = stage(given).statuses.desired(REGISTRY);
    const read = update?.status as unknown as RegistryStatus | undefined;
    if (read !== undefined) assert.deepEqual(brokenRules({ ...clusterRegistry(), status: read }), []);
    return read;
  };
  const ready = (given: Given) => status(given)?.conditions?.find(({ type }) => type === 'Ready');

  it('tells of its link and of our entries', () => {
    assert.equal(ready({})?.status, 'True');
    assert.deepEqual(status({ standing: [instance('10.0.0.1')] })?.instances, { owned: 1 });
  });

  for (const code of ['unauthorized', 'forbidden'] as const) {
    it(`needs a person when it says ${code}`, () => {
      const given = ready({ link: { state: 'down', error: new RegistryError(code, 'no') } });
      assert.deepEqual([given?.status, given?.reason], ['False', 'Unauthorized']);
    });
  }

  it('needs a person when it is where it may not be', () => {
    const given = ready({ link: { state: 'down', error: new RegistryError('not-allowed', 'no') } });
    assert.deepEqual([given?.status, given?.reason], ['False', 'AddressNotAllowed']);
  });

  it('needs a person when another operator writes there, names it, and forgets it when that is over', () => {
    const context = { owner: 'other/roster-system' };
    const link: Link = {
      state: 'down',
      error: new RegistryError('owned', 'another operator writes here', { context }),
    };
    const owned = status({ link });
    const said = owned?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`);
    assert.deepEqual(said, ['Reachable True Reachable', 'Ready False OwnedByAnother', 'Stalled True OwnedByAnother']);
    assert.equal(owned?.otherOwner, 'other/roster-system');
    assert.equal(status({})?.otherOwner, undefined);
    assert.equal(told({ link })['Synced'], 'Unknown RegistryUnreachable');
  });

  it('needs a person when another process of the same operator takes the registry again and again', () => {
    const given = ready({ link: { state: 'down', error: new RegistryError('fenced', 'gone') } });
    assert.deepEqual([given?.status, given?.reason], ['False', 'Fenced']);
    assert.match(given?.message ?? '', /--leader-elect=true/);
  });

  it('needs nobody while it merely does not answer', () => {
    assert.equal(ready({ link: { state: 'down', error: new RegistryError('timeout', 'slow') } })?.status, 'Unknown');
  });

  it('is blocked while removals are held in it, whatever else there is to tell', () => {
    const blocked = (given: Given) => {
      const { conditions = [] } = status(given) ?? {};
      return Object.fromEntries(conditions.map(({ type, status: is, reason }) => [type, `${is} ${reason}`]));
    };
    const held = new Map([['shop/web', 40]]);
    assert.deepEqual(blocked({ held }), {
      DeletionBlocked: 'True TooManyRemovals',
      Reachable: 'True Reachable',
      Ready: 'False TooManyRemovals',
      Stalled: 'True TooManyRemovals',
    });
    const down: Link = { state: 'down', error: new RegistryError('unreachable', 'no route') };
    assert.equal(blocked({ held, link: down })['Ready'], 'False TooManyRemovals');
  });
});
