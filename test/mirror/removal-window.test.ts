import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DeletionGuard } from '../../src/api/kinds.generated.ts';
import type { Removal } from '../../src/mirror/change.ts';
import { acknowledged, beginGuard, judge, noOwner } from '../../src/mirror/deletion-guard.ts';
import { entriesOf, first, type MeasuredMap, mapsMeasuredBy, valueAt } from '../../src/mirror/measured-map.ts';
import {
  type Budget,
  emptyWindow,
  fits,
  limitOf,
  type Moment,
  type Passage,
  passed,
  type RemovalWindow,
  type Standing,
  taken,
  windowOf,
  within,
} from '../../src/mirror/removal-window.ts';
import { instance } from './objects.ts';

/** The same window as a plain list that is gone through for every question. */
interface PlainWindow {
  readonly passages: readonly Passage[];
}

const without = (all: ReadonlySet<string>, others: ReadonlySet<string>) =>
  new Set([...all].filter((id) => !others.has(id)));

const plain = {
  within({ passages }: PlainWindow, { owner, settings, now }: Moment, planned: ReadonlySet<string>): PlainWindow {
    const recent = passages.filter(({ at }) => at > now - windowOf(settings));
    const left = recent.map((one) => (one.owner === owner ? { ...one, open: without(one.open, planned) } : one));
    return { passages: left.filter(({ open, gone }) => open.size + gone > 0) };
  },
  taken: ({ passages }: PlainWindow, owner: string, ids: ReadonlySet<string>): PlainWindow => ({
    passages: passages.map((one) => {
      if (one.owner !== owner) return one;
      const open = without(one.open, ids);
      return { ...one, open, gone: one.gone + one.open.size - open.size };
    }),
  }),
  passed: ({ passages }: PlainWindow, passage: Passage): PlainWindow => ({ passages: [...passages, passage] }),
  fits(
    { passages }: PlainWindow,
    planned: number,
    budget: Budget,
    { owner, standing, settings }: Moment & { readonly standing: Standing },
  ): boolean {
    const scope = budget === 'owner' ? 'owner' : 'registry';
    const counted = passages.filter((one) => budget === 'burst' || !one.burst);
    const mine = counted.filter((one) => budget !== 'owner' || one.owner === owner);
    const windows = mine.map((begin, from) => ({
      removals: mine.slice(from).reduce((sum, { open, gone }) => sum + open.size + gone, planned),
      limit: limitOf(begin.standing[scope], settings),
    }));
    return planned <= limitOf(standing[scope], settings) && windows.every(({ removals, limit }) => removals <= limit);
  },
};

const SETTINGS: readonly DeletionGuard[] = [
  { maxPercent: 20, minInstances: 3, windowSeconds: 10 },
  { maxPercent: 50, minInstances: 0, windowSeconds: 20 },
  { maxPercent: 0, minInstances: 6, windowSeconds: 5 },
];

const ids = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { maxLength: 4 }).map((all) => new Set(all));
const step = fc.record({
  what: fc.constantFrom('pass', 'pass', 'take'),
  owner: fc.constantFrom('shop/web', 'shop/api', 'shop/db'),
  ids,
  burst: fc.boolean(),
  standing: fc.record({ owner: fc.nat(20), registry: fc.nat(60) }),
  laterMs: fc.constantFrom(0, 0, 500, 3_000, 9_000),
  settings: fc.constantFrom(SETTINGS[0], SETTINGS[0], SETTINGS[0], ...SETTINGS).filter((one) => one !== undefined),
});

describe('the window of removals', () => {
  it('says of every plan what a list says that is gone through', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        let window: RemovalWindow = emptyWindow;
        let list: PlainWindow = { passages: [] };
        let now = 0;
        for (const { what, owner, ids, burst, standing, laterMs, settings } of steps) {
          now += laterMs;
          const moment = { owner, settings, now, standing };
          if (what === 'take') {
            [window, list] = [taken(window, owner, ids), plain.taken(list, owner, ids)];
            continue;
          }
          [window, list] = [within(window, moment, ids), plain.within(list, moment, ids)];
          assert.deepEqual(
            [...entriesOf(window.all)].map(([, passage]) => passage),
            list.passages,
          );
          for (const budget of ['owner', 'registry', 'burst'] as const)
            for (let planned = 0; planned < 12; planned++)
              assert.equal(fits(window, planned, budget, moment), plain.fits(list, planned, budget, moment));
          const passage = { owner, at: now, burst, standing, open: ids, gone: 0 };
          if (ids.size > 0) [window, list] = [passed(window, passage), plain.passed(list, passage)];
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('is asked about what stood a few times for each Service of a burst, not once for each pair of them', () => {
    const looksAt = (services: number): number => {
      let looks = 0;
      const stood = (count: number): Standing => ({
        get owner() {
          looks++;
          return 10;
        },
        get registry() {
          looks++;
          return 10 * services - count;
        },
      });
      let registry = beginGuard(undefined, false, 0);
      for (let n = 0; n < services; n++) {
        const owner = `shop/s${n}`;
        const removal: Removal = {
          action: 'deregister',
          reason: 'EndpointRemoved',
          evidence: 'NewerVersion',
          instance: instance('10.0.0.1', {}, owner),
        };
        const settings = { maxPercent: 20, minInstances: 10, windowSeconds: 60 };
        const asked = { owner, removals: [removal], standing: stood(n), settings, now: n };
        const { passed: gone, registry: after } = judge(noOwner, registry, asked);
        assert.equal(gone.length, 1);
        registry = acknowledged(after, owner, new Set([removal.instance.id]));
      }
      return looks;
    };
    const [few, many] = [looksAt(500), looksAt(4_000)];
    assert.ok(many < few * 8 * 1.6, `8 times as many Services: ${few} looks, then ${many}`);
  });
});

describe('a map that is measured', () => {
  const text = mapsMeasuredBy<number, string, string>({ of: (value) => value, join: (a, b) => a + b });
  type Text = MeasuredMap<number, string, string>;

  it('holds and measures in order what was put in and not taken out, and stays what it was before', () => {
    const change = fc.record({ key: fc.nat(40), value: fc.constantFrom('a', 'b', 'c'), put: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { minLength: 30, maxLength: 120 }), (changes) => {
        let map: Text;
        let known: readonly (readonly [number, string])[] = [];
        for (const { key, value, put } of changes) {
          const [before, was] = [map, known];
          map = put ? text.put(map, key, value) : text.remove(map, key);
          const others = known.filter(([one]) => one !== key);
          known = (put ? [...others, [key, value] as const] : others).toSorted(([a], [b]) => a - b);
          assert.deepEqual([...entriesOf(map)], known);
          assert.deepEqual([...entriesOf(before)], was);
          assert.equal(map?.measured ?? '', known.map(([, one]) => one).join(''));
          assert.equal(valueAt(map, key), put ? value : undefined);
          assert.deepEqual(map && first(map).key, known[0]?.[0]);
        }
      }),
    );
  });

  const depthOf = (map: Text): number =>
    map === undefined ? 0 : 1 + Math.max(depthOf(map.before), depthOf(map.after));

  it('stays shallow, whether it grows at its end, goes at its beginning, or is changed anywhere', () => {
    let map: Text;
    for (let n = 0; n < 4_096; n++) map = text.put(map, n, '');
    assert.ok(depthOf(map) <= 24, `${depthOf(map)}`);
    for (let n = 0; n < 3_072; n++) map = text.remove(map, n);
    assert.ok(depthOf(map) <= 20, `${depthOf(map)}`);
    for (let n = 0; n < 512; n++) map = text.remove(map, 3_072 + ((n * 577) % 1_024));
    assert.equal(map?.size, 512);
    assert.ok(depthOf(map) <= 18, `${depthOf(map)}`);
  });
});
