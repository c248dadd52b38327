import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Registration, RegistryObject, RegistryStatus } from '../../src/api/kinds.generated.ts';
import type { LeftAlone, Removal } from '../../src/mirror/change.ts';
import { createDeletionGuards } from '../../src/operator/deletion-guards.ts';
import { clusterRegistry, condition, instance, registration, view } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';

const REGISTRY = 'ClusterRegistry/consul';
const WEB = 'ServiceRegistration/shop/web';
const BLOCKED: RegistryStatus = { observedGeneration: 1, conditions: [condition('DeletionBlocked')] };

const FORTY: readonly Removal[] = Array.from({ length: 40 }, (_, n) => ({
  action: 'deregister',
  reason: 'EndpointRemoved',
  evidence: 'NewerVersion',
  instance: instance(`10.0.0.${n}`),
}));
const UNPROVED: LeftAlone = {
  instance: instance('10.9.9.9'),
  because: 'unconfirmed',
  message: 'it is being confirmed',
};

/** Guards of one registry, as operators that start one after the other keep them. */
function stage(status?: RegistryStatus) {
  const clock = virtualClock();
  const state = {
    registry: { ...clusterRegistry(), ...(status === undefined ? {} : { status }) } as RegistryObject,
    registration: registration() as Registration,
    catchingUp: false,
  };
  const told: string[] = [];
  const open = () =>
    createDeletionGuards({
      clock,
      find: (id) => (id === REGISTRY ? state.registry : state.registration),
      isCatchingUp: () => state.catchingUp,
      look: (_, owner) => told.push(`look ${owner}`),
      touch: () => {},
      onResumed: () => told.push('resumed'),
      onChange: ({ owner, held, before }) => told.push(`${owner} ${before} -> ${held}`),
      onReleased: (id, removals) => told.push(`released ${removals} of ${id}`),
    });
  let guards = open();
  guards.begin(REGISTRY, state.registry);
  return {
    clock,
    state,
    told,
    get guards() {
      return guards;
    },
    /** How many went, and how many were left alone by the guard. */
    ask(removals = FORTY, leftAlone: readonly LeftAlone[] = [], owner = 'shop/web'): string {
      const given = view({ owner, observed: FORTY.map((one) => one.instance) });
      const guard = guards.guardOf(REGISTRY, state.registry);
      const { plan } = guard.judge(given, { changes: removals, leftAlone }, 40);
      const ids = new Set(plan.changes.map((change) => change.instance.id));
      guard.acknowledged(owner, ids);
      return `${ids.size} go, ${plan.leftAlone.filter(({ because }) => because === 'deletion-guard').length} held`;
    },
    restart(blocked: boolean) {
      state.registry = { ...state.registry, ...(blocked ? { status: { ...state.registry.status, ...BLOCKED } } : {}) };
      guards = open();
      guards.begin(REGISTRY, state.registry);
    },
    /** What the person writes, and what the status echoes. */
    annotate(value: string, of: 'registry' | 'registration' = 'registry') {
      const annotations = { 'roster.dev/release': value };
      const { [of]: object } = state;
      Object.assign(state, { [of]: { ...object, metadata: { ...object.metadata, annotations } } });
    },
    echo() {
      const lastHandledReleaseAt = guards.handledBy(state.registry);
      const status = {
        ...state.registry.status,
        ...(lastHandledReleaseAt === undefined ? {} : { lastHandledReleaseAt }),
      };
      state.registry = { ...state.registry, status: { observedGeneration: 1, ...status } };
    },
  };
}

describe('what the deletion guards keep', () => {
  it('is told when it begins, when it changes and when it ends', () => {
    const { ask, told, guards } = stage();
    assert.equal(ask(), '0 go, 40 held');
    assert.equal(ask(), '0 go, 40 held');
    assert.equal(ask(FORTY.slice(1)), '0 go, 39 held');
    assert.deepEqual([...guards.held(REGISTRY)], [['shop/web', 39]]);
    assert.deepEqual([guards.total(REGISTRY), guards.held(REGISTRY, WEB).get('shop/web')], [39, 39]);
    assert.equal(guards.held(REGISTRY, 'ServiceRegistration/shop/other').size, 0);
    assert.equal(ask([]), '0 go, 0 held');
    assert.deepEqual(told, ['shop/web 0 -> 40', 'shop/web 40 -> 39', 'shop/web 39 -> 0']);
    assert.equal(guards.total(REGISTRY), 0);
  });

  it('is of one object: a registry that was made anew begins anew', () => {
    const { ask, state, guards } = stage();
    ask();
    state.registry = clusterRegistry({}, { uid: 'another' });
    assert.equal(ask([]), '0 go, 0 held');
    assert.equal(guards.total(REGISTRY), 0);
  });

  it('outlives a connection that is made anew', () => {
    const { ask, state, guards } = stage();
    ask();
    guards.begin(REGISTRY, state.registry);
    assert.equal(guards.isResuming(REGISTRY), true);
    assert.equal(ask(FORTY.slice(0, 5)), '0 go, 5 held');
  });
});

describe('after a start with removals held', () => {
  it('nothing goes before everything was looked at', () => {
    const { ask, state, guards, told } = stage(BLOCKED);
    state.catchingUp = true;
    assert.equal(ask(FORTY.slice(0, 1)), '0 go, 1 held');
    assert.equal(ask([]), '0 go, 0 held');
    assert.equal(guards.isResuming(REGISTRY), true);
    state.catchingUp = false;
    guards.caughtUp(REGISTRY);
    assert.equal(guards.isResuming(REGISTRY), false);
    assert.ok(told.includes('resumed'));
    assert.equal(ask(FORTY.slice(0, 1)), '1 go, 0 held');
  });

  it('nothing goes before what must be proved is proved, for three minutes at most', async () => {
    const { ask, clock, guards } = stage(BLOCKED);
    assert.equal(ask([], [UNPROVED], 'shop/api'), '0 go, 0 held');
    await clock.advance(100_000);
    assert.equal(ask(FORTY.slice(0, 5), [], 'shop/db'), '0 go, 5 held');
    await clock.advance(80_000);
    assert.equal(ask([], [UNPROVED], 'shop/api'), '0 go, 0 held');
    assert.equal(guards.isResuming(REGISTRY), false);
    assert.equal(ask(FORTY.slice(0, 5), [], 'shop/db'), '0 go, 5 held', 'and what is held by then stays held');
  });
});

describe('a release', () => {
  it('lets go what is held then, once', () => {
    const { ask, annotate, guards, told } = stage();
    ask();
    annotate('t1');
    guards.heed(REGISTRY);
    assert.deepEqual(told.slice(1), ['look shop/web', `released 40 of ${REGISTRY}`]);
    guards.heed(REGISTRY);
    assert.equal(told.length, 3);
    assert.equal(ask(), '40 go, 0 held');
    assert.equal(ask(), '0 go, 40 held', 'the same again is another accident');
  });

  it('of a registration lets go what bears its name', () => {
    const { ask, annotate, guards } = stage();
    const others = FORTY.slice(20).map((one) => ({
      ...one,
      instance: { ...one.instance, marks: { ...one.instance.marks, registration: 'ServiceRegistration/shop/other' } },
    }));
    const all = [...FORTY.slice(0, 20), ...others];
    ask(all);
    annotate('t1', 'registration');
    guards.heed(WEB);
    assert.equal(ask(all), '20 go, 20 held');
  });

  it('with nothing held is spent, so that it frees nothing later, not even after a restart', () => {
    const one = stage();
    one.annotate('t1');
    one.guards.heed(REGISTRY);
    one.ask();
    one.guards.heed(REGISTRY);
    assert.equal(one.ask(), '0 go, 40 held');
    one.echo();
    one.restart(true);
    one.ask();
    one.guards.caughtUp(REGISTRY);
    one.guards.heed(REGISTRY);
    assert.equal(one.ask(), '0 go, 40 held');
  });

  it('that comes before everything was looked at waits when something was held, and is spent when nothing was', () => {
    for (const [status, after] of [
      [BLOCKED, '40 go, 0 held'],
      [undefined, '0 go, 40 held'],
    ] as const) {
      const { ask, annotate, guards, state } = stage(status);
      state.catchingUp = true;
      annotate('t1');
      guards.heed(REGISTRY);
      ask();
      state.catchingUp = false;
      guards.caughtUp(REGISTRY);
      guards.heed(REGISTRY);
      assert.equal(ask(), after);
    }
  });

  it('is remembered when its annotation is gone, and told as long as a status can hold it', () => {
    const { annotate, guards, echo, state } = stage();
    annotate('t'.repeat(300));
    guards.heed(REGISTRY);
    echo();
    assert.equal(state.registry.status?.lastHandledReleaseAt, 't'.repeat(253));
    Object.assign(state, {
      registry: { ...state.registry, metadata: { ...state.registry.metadata, annotations: {} } },
    });
    assert.equal(guards.handledBy(state.registry), 't'.repeat(253));
  });
});
