import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DeletionGuard } from '../../src/api/kinds.generated.ts';
import type { Evidence, Reason, Removal } from '../../src/mirror/change.ts';
import {
  acknowledged,
  beginGuard,
  type Judged,
  judge,
  noOwner,
  type OwnerState,
  release,
  resumed,
} from '../../src/mirror/deletion-guard.ts';
import { limitOf } from '../../src/mirror/removal-window.ts';
import { instance } from './objects.ts';

const SETTINGS: DeletionGuard = { maxPercent: 20, minInstances: 10, windowSeconds: 60 };
const WINDOW_MS = 60_000;

interface Kind {
  readonly owner?: string;
  readonly evidence?: Evidence;
  readonly reason?: Reason;
  readonly registration?: string;
}

const removal = (n: number, kind: Kind = {}): Removal => {
  const { owner = 'shop/web', evidence = 'NewerVersion', reason = 'EndpointRemoved', registration } = kind;
  const marks = registration === undefined ? {} : { registration };
  return { action: 'deregister', reason, evidence, instance: instance(`10.0.${n >> 8}.${n & 255}`, { marks }, owner) };
};
/** Those of the addresses `from` to `to`, both included. */
const removals = (from: number, to: number, kind: Kind = {}): readonly Removal[] =>
  Array.from({ length: to - from + 1 }, (_, i) => removal(from + i, kind));

/** A registry between the guard and whoever asks: what is let through is gone. */
function guard(standing: Readonly<Record<string, number>>, settings = SETTINGS, blocked = false) {
  const left = new Map(Object.entries(standing));
  const owners = new Map<string, OwnerState>();
  let registry = beginGuard(undefined, blocked, 0);
  let now = 0;
  return {
    pass: (ms: number) => {
      now += ms;
    },
    /** How many went of those that are not wanted any more. */
    ask(
      all: readonly Removal[],
      owner = 'shop/web',
    ): { readonly gone: number; readonly held: number } & Partial<Pick<Judged, 'againMs'>> {
      const sizes = {
        owner: left.get(owner) ?? 0,
        registry: [...left.values()].reduce((sum, count) => sum + count, 0),
      };
      const judged = judge(owners.get(owner) ?? noOwner, registry, {
        owner,
        removals: all,
        standing: sizes,
        settings,
        now,
      });
      const { passed } = judged;
      owners.set(owner, judged.owner);
      registry = acknowledged(judged.registry, owner, new Set(passed.map((one) => one.instance.id)));
      left.set(owner, sizes.owner - passed.length);
      const { againMs } = judged;
      return { gone: passed.length, held: judged.owner.held.length, ...(againMs === undefined ? {} : { againMs }) };
    },
    release(owner = 'shop/web', registration?: string) {
      owners.set(owner, release(owners.get(owner) ?? noOwner, registration));
    },
    resume: () => {
      registry = resumed(registry, now);
    },
    /** Nothing is remembered but what a status can say. */
    restart() {
      const blocked = [...owners.values()].some(({ held }) => held.length > 0);
      owners.clear();
      registry = beginGuard(undefined, blocked, now);
    },
  };
}

describe('the deletion guard, for one Service', () => {
  it('lets go what is within the threshold', () => {
    const { ask } = guard({ 'shop/web': 40 });
    assert.deepEqual(ask(removals(1, 10)), { gone: 10, held: 0 });
  });

  it('holds all of a plan that is above it, and nothing of it frees itself', () => {
    const { ask, pass } = guard({ 'shop/web': 40 });
    assert.deepEqual(ask(removals(1, 40)), { gone: 0, held: 40 });
    pass(10 * WINDOW_MS);
    assert.deepEqual(ask(removals(1, 40)), { gone: 0, held: 40 });
  });

  const thresholds: readonly [standing: number, settings: Partial<DeletionGuard>, most: number][] = [
    [40, {}, 10],
    [100, {}, 20],
    [104, {}, 20],
    [105, {}, 21],
    [5, { minInstances: 0 }, 1],
    [4, { minInstances: 0 }, 0],
    [40, { maxPercent: 0, minInstances: 0 }, 0],
    [40, { maxPercent: 0, minInstances: 3 }, 3],
    [40, { maxPercent: 100, minInstances: 0 }, 40],
  ];
  for (const [standing, changes, most] of thresholds) {
    it(`lets ${most} of ${standing} go with ${JSON.stringify({ ...SETTINGS, ...changes })}`, () => {
      const settings = { ...SETTINGS, ...changes };
      assert.equal(limitOf(standing, settings), most);
      assert.deepEqual(guard({ 'shop/web': standing }, settings).ask(removals(1, most)), { gone: most, held: 0 });
      if (most === standing) return;
      const { gone, held } = guard({ 'shop/web': standing }, settings).ask(removals(1, most + 1));
      assert.deepEqual([gone, held], [0, most + 1]);
    });
  }

  it('counts what went within the window, and holds the rest until it has passed without a change', () => {
    const { ask, pass } = guard({ 'shop/web': 40 });
    assert.deepEqual(ask(removals(1, 8)), { gone: 8, held: 0 });
    pass(1_000);
    assert.deepEqual(ask(removals(9, 12)), { gone: 0, held: 4, againMs: WINDOW_MS });
    pass(WINDOW_MS - 1);
    assert.deepEqual(ask(removals(9, 12)), { gone: 0, held: 4, againMs: 1 });
    pass(1);
    assert.deepEqual(ask(removals(9, 12)), { gone: 4, held: 0 });
  });

  it('measures by what stood at the beginning of the window', () => {
    const { ask, pass } = guard({ 'shop/web': 100 });
    assert.equal(ask(removals(1, 15)).gone, 15);
    pass(30_000);
    assert.equal(ask(removals(16, 20)).gone, 5, '20 of 100');
    assert.equal(ask(removals(21, 21)).gone, 0, '21 of 100');
  });

  it('removes nothing when endpoints vanish and come back one by one', () => {
    const { ask, pass } = guard({ 'shop/web': 40 });
    for (let left = 40; left > 0; left--) {
      assert.deepEqual(ask(removals(1, left)).gone, 0, `${left} are away`);
      pass(WINDOW_MS / 2);
    }
    assert.deepEqual(ask([]), { gone: 0, held: 0 });
    assert.deepEqual(ask(removals(1, 3)), { gone: 3, held: 0 }, 'and it is free again');
  });

  it('does not count twice what the registry did not take', () => {
    const asked = { owner: 'shop/web', standing: { owner: 40, registry: 40 }, settings: SETTINGS };
    const first = judge(noOwner, beginGuard(undefined, false, 0), { ...asked, removals: removals(1, 8), now: 0 });
    const again = judge(first.owner, first.registry, { ...asked, removals: removals(1, 8), now: 1 });
    assert.equal(again.passed.length, 8);
    const more = judge(again.owner, again.registry, { ...asked, removals: removals(1, 11), now: 2 });
    assert.equal(more.passed.length, 0);
  });

  it('counts twice what went, came back and goes again', () => {
    const { ask } = guard({ 'shop/web': 40 });
    assert.equal(ask(removals(1, 8)).gone, 8);
    assert.deepEqual(ask(removals(1, 8)), { gone: 0, held: 8, againMs: WINDOW_MS });
  });

  it('never holds what was seen to be deleted, nor counts it', () => {
    const { ask } = guard({ 'shop/web': 60 });
    assert.deepEqual(ask(removals(1, 40, { evidence: 'ObjectDeleted' })), { gone: 40, held: 0 });
    assert.deepEqual(ask(removals(41, 50)), { gone: 10, held: 0 });
    assert.deepEqual(ask([...removals(51, 53), ...removals(54, 60, { evidence: 'ObjectDeleted' })]), {
      gone: 7,
      held: 3,
      againMs: WINDOW_MS,
    });
  });

  it('holds absences that were proved like everything else', () => {
    const { ask } = guard({ 'shop/web': 40 });
    assert.deepEqual(ask(removals(1, 40, { evidence: 'AbsenceProved', reason: 'ServiceDeleted' })), {
      gone: 0,
      held: 40,
    });
  });

  it('lets go what is released, that and nothing else', () => {
    const { ask, release: free } = guard({ 'shop/web': 80 });
    assert.equal(ask(removals(1, 40)).held, 40);
    free();
    const { gone, held } = ask(removals(1, 80));
    assert.deepEqual([gone, held], [40, 40], 'what came after the release is held');
  });

  it('forgets a release when the entry is wanted again', () => {
    const { ask, release: free } = guard({ 'shop/web': 40 });
    ask(removals(1, 40));
    free();
    assert.deepEqual(ask([]), { gone: 0, held: 0 });
    assert.deepEqual(ask(removals(1, 40)), { gone: 0, held: 40 });
  });

  it('releases by registration', () => {
    const { ask, release: free } = guard({ 'shop/web': 40 });
    const other = 'ServiceRegistration/shop/other';
    const all = [...removals(1, 20), ...removals(21, 40, { registration: other })];
    assert.equal(ask(all).held, 40);
    free('shop/web', other);
    const { gone, held } = ask(all);
    assert.deepEqual([gone, held], [20, 20]);
  });
});

describe('the deletion guard, for a registry', () => {
  const services = (n: number, each: number) =>
    Object.fromEntries(Array.from({ length: n }, (_, i) => [`shop/s${i}`, each]));
  const allOf = (owner: string, kind: Kind = {}) => removals(1, 5, { ...kind, owner });

  it('holds all Services once together they exceed its threshold', () => {
    const { ask } = guard(services(20, 5));
    const gone = Array.from({ length: 20 }, (_, i) => ask(allOf(`shop/s${i}`), `shop/s${i}`).gone);
    assert.deepEqual(gone, [5, 5, 5, 5, ...Array(16).fill(0)], '20 of 100');
  });

  it('stays shut for the small ones while others are held, and opens when all of them are wanted again', () => {
    const { ask, pass } = guard(services(20, 5));
    for (let i = 0; i < 20; i++) ask(allOf(`shop/s${i}`), `shop/s${i}`);
    pass(5 * WINDOW_MS);
    assert.equal(ask([removal(1, { owner: 'shop/s1' })], 'shop/s1').gone, 0);
    for (let i = 0; i < 20; i++) ask([], `shop/s${i}`);
    assert.deepEqual(ask([removal(1, { owner: 'shop/s7' })], 'shop/s7'), { gone: 1, held: 0 });
  });

  it('is not shut by a Service that its own threshold holds', () => {
    const { ask } = guard({ 'shop/web': 40, 'shop/api': 5 });
    assert.equal(ask(removals(1, 40)).held, 40);
    assert.deepEqual(ask(allOf('shop/api'), 'shop/api'), { gone: 5, held: 0 });
  });

  const going = (owner: string, from = 1, to = 40): readonly Removal[] =>
    removals(from, to, {
      owner,
      evidence: 'ObjectDeleted',
      reason: 'RegistrationDeleted',
      registration: `ServiceRegistration/${owner}`,
    });

  it('lets one deleted registration of any size go', () => {
    const { ask } = guard({ 'shop/web': 40 });
    assert.deepEqual(ask(going('shop/web')), { gone: 40, held: 0 });
  });

  it('holds a burst of deleted registrations, however long it lasts', () => {
    const { ask, pass } = guard({ 'shop/a': 40, 'shop/b': 40, 'shop/c': 40 });
    assert.equal(ask(going('shop/a'), 'shop/a').gone, 40);
    pass(1_000);
    assert.deepEqual(ask(going('shop/b'), 'shop/b'), { gone: 0, held: 40 });
    pass(10 * WINDOW_MS);
    assert.deepEqual(ask(going('shop/c'), 'shop/c'), { gone: 0, held: 40 });
    assert.deepEqual(ask(going('shop/b'), 'shop/b'), { gone: 0, held: 40 });
  });

  it('lets registrations go that are deleted one in a window', () => {
    const { ask, pass } = guard({ 'shop/a': 40, 'shop/b': 40 });
    assert.equal(ask(going('shop/a'), 'shop/a').gone, 40);
    pass(WINDOW_MS);
    assert.equal(ask(going('shop/b'), 'shop/b').gone, 40);
  });

  it('lets several small ones go', () => {
    const { ask } = guard({ 'shop/a': 5, 'shop/b': 5, 'shop/c': 5 });
    assert.equal(ask(going('shop/a', 1, 5), 'shop/a').gone, 5);
    assert.equal(ask(going('shop/b', 1, 5), 'shop/b').gone, 5);
    assert.equal(ask(going('shop/c', 1, 5), 'shop/c').gone, 0, '15 within a minute are more than 10');
  });

  it('does not take from others what a deleted registration needed', () => {
    const { ask } = guard({ 'shop/web': 40, 'shop/api': 5 });
    assert.equal(ask(going('shop/web')).gone, 40);
    assert.equal(ask(allOf('shop/api'), 'shop/api').gone, 5);
  });
});

describe('the deletion guard, after a restart', () => {
  it('holds again what was held, and the rest of a window that was partly spent', () => {
    const { ask, restart, resume, pass } = guard({ 'shop/web': 40 });
    assert.equal(ask(removals(1, 8)).gone, 8);
    assert.equal(ask(removals(9, 15)).held, 7);
    restart();
    assert.deepEqual([ask(removals(9, 15)).gone, ask(removals(9, 15)).held], [0, 7], '7 of 32 would be free otherwise');
    resume();
    pass(WINDOW_MS - 1);
    assert.equal(ask(removals(9, 15)).gone, 0);
    pass(1);
    assert.equal(ask(removals(9, 15)).gone, 7, 'a whole window without a change');
  });

  it('frees nothing before everything was looked at, and all that is not held then', () => {
    const { ask, resume, pass } = guard({ 'shop/web': 40, 'shop/api': 5 }, SETTINGS, true);
    assert.deepEqual(ask([]), { gone: 0, held: 0 });
    pass(2 * WINDOW_MS);
    assert.equal(ask(removals(1, 5, { owner: 'shop/api' }), 'shop/api').gone, 0);
    assert.equal(ask([], 'shop/api').gone, 0);
    resume();
    assert.equal(ask(removals(1, 5, { owner: 'shop/api' }), 'shop/api').gone, 5);
  });
});

describe('the deletion guard, in any history', () => {
  const OWNERS = ['shop/a', 'shop/b', 'shop/c'];
  const settings = fc.record({
    maxPercent: fc.constantFrom(0, 20, 50, 99),
    minInstances: fc.constantFrom(0, 1, 3, 10),
    windowSeconds: fc.constant(60),
  });
  /** Which of 20 addresses a Service has now, and how those that it lacks went. */
  const step = fc.record({
    owner: fc.constantFrom(...OWNERS),
    present: fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 20 }),
    evidence: fc.constantFrom<Evidence>('NewerVersion', 'NewerVersion', 'AbsenceProved', 'ObjectDeleted'),
    refused: fc.boolean(),
    ms: fc.constantFrom(0, 1, 10_000, 30_000, 59_999, 60_000, 200_000),
  });

  interface Gone {
    readonly owner: string;
    readonly at: number;
    readonly standing: { readonly owner: number; readonly registry: number };
  }

  /** A registry that takes what is asked, and puts back at once what is wanted again. */
  function play(
    history: readonly { owner: string; present: readonly number[]; evidence: Evidence; refused: boolean; ms: number }[],
    of: DeletionGuard,
    blocked = false,
  ) {
    const standing = new Map(OWNERS.map((owner) => [owner, new Set(Array.from({ length: 20 }, (_, i) => i + 1))]));
    const owners = new Map<string, OwnerState>();
    let registry = beginGuard(undefined, blocked, 0);
    let now = 0;
    const gone: Gone[] = [];
    const judgements: { readonly before: OwnerState; readonly judged: Judged; readonly asked: readonly Removal[] }[] =
      [];
    for (const { owner, present, evidence, refused, ms } of history) {
      now += ms;
      const mine = standing.get(owner) ?? assert.fail();
      for (const n of present) mine.add(n);
      const all = [...mine]
        .filter((n) => !present.includes(n))
        .map((n) => ({ n, removal: removal(n, { owner, evidence }) }));
      const sizes = { owner: mine.size, registry: [...standing.values()].reduce((sum, one) => sum + one.size, 0) };
      const before = owners.get(owner) ?? noOwner;
      const asked = all.map((one) => one.removal);
      const judged = judge(before, registry, { owner, removals: asked, standing: sizes, settings: of, now });
      owners.set(owner, judged.owner);
      judgements.push({ before, judged, asked });
      const through = all.filter((one) => judged.passed.includes(one.removal));
      registry = refused
        ? judged.registry
        : acknowledged(judged.registry, owner, new Set(through.map((one) => one.removal.instance.id)));
      if (refused) continue;
      for (const { n, removal: one } of through) {
        mine.delete(n);
        if (one.evidence !== 'ObjectDeleted') gone.push({ owner, at: now, standing: sizes });
      }
    }
    return { gone, judgements };
  }

  it('lets no more go in any window than the threshold, of a Service and of the registry, without a deletion that was seen', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), settings, fc.boolean(), (history, of, blocked) => {
        const { gone } = play(history, of, blocked);
        for (const [n, first] of gone.entries()) {
          const within = gone.slice(n).filter(({ at }) => at < first.at + WINDOW_MS);
          assert.ok(within.filter(({ owner }) => owner === first.owner).length <= limitOf(first.standing.owner, of));
          assert.ok(within.length <= limitOf(first.standing.registry, of));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('holds all or nothing, loses none, and never what was seen to be deleted', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), settings, (history, of) => {
        for (const { judged, asked } of play(history, of).judgements) {
          const held = judged.owner.held.map(({ removal: one }) => one);
          assert.equal(held.length + judged.passed.length, asked.length);
          assert.ok(held.every(({ evidence }) => evidence !== 'ObjectDeleted'));
          if (held.length > 0) assert.ok(judged.passed.every(({ evidence }) => evidence === 'ObjectDeleted'));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('keeps what it holds until it is wanted again, or has not changed for a window', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), settings, (history, of) => {
        let now = 0;
        const { judgements } = play(history, of);
        judgements.forEach(({ before, judged }, n) => {
          now += history[n]?.ms ?? 0;
          const freed = before.held.filter(({ removal: one }) =>
            judged.passed.some(
              ({ instance: { id }, evidence }) => id === one.instance.id && evidence !== 'ObjectDeleted',
            ),
          );
          if (freed.length > 0) assert.ok(now - before.changedAt >= WINDOW_MS);
        });
      }),
      { numRuns: 1_000 },
    );
  });
});
