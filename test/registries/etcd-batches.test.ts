import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { nextBatch, type Parcel, requestOf } from '../../src/registries/etcd/transaction.ts';

const step = fc.record(
  {
    key: fc.integer({ min: 0, max: 200 }).map((number) => `/services/web/${number}`),
    revision: fc.constantFrom('0', '7'),
    value: fc.string({ maxLength: 300 }),
    lease: fc.constantFrom('0', '1234'),
    remove: fc.boolean(),
  },
  { requiredKeys: ['key', 'revision', 'lease', 'remove'], noNullPrototype: true },
);
const parcel = fc.uniqueArray(step, { minLength: 1, maxLength: 4, selector: ({ key }) => key }) as fc.Arbitrary<Parcel>;
const limits = fc.record({
  items: fc.integer({ min: 1, max: 50 }),
  operations: fc.integer({ min: 1, max: 128 }),
  bytes: fc.integer({ min: 200, max: 20_000 }),
});

const guards = ['prod', 'test'].map((cluster) => ({ cluster, key: `/services/.owner/${cluster}`, value: 'us 1234' }));
const guard = fc.constantFrom(undefined, ...guards);
/** One change: what it needs, and what must stand for it. */
const item = fc.record({ steps: parcel, guard }, { noNullPrototype: true });
type Item = { readonly steps: Parcel; readonly guard: (typeof guards)[number] | undefined };
const packing = { parcelOf: ({ steps }: Item) => steps, guardOf: (one: Item) => one.guard };

it('a batch is the longest run of changes within the limits and takes no key twice', () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 60 }), limits, fc.array(step), (items, limit, others) => {
      const busy = new Set(others.slice(0, 3).map(({ key }) => key));
      const before = new Set(busy);
      const { taken, guards: compared, operations, bytes } = nextBatch(items, packing, limit, busy);
      const run = taken.map(([item]) => item);
      assert.deepEqual(run, items.slice(0, run.length));

      const keys = run.flatMap(({ steps }) => steps).map(({ key }) => key);
      assert.equal(new Set(keys).size, keys.length);
      assert.ok(keys.every((key) => !before.has(key) && busy.has(key)));
      assert.ok(run.length <= limit.items && operations <= limit.operations && bytes <= limit.bytes);

      assert.deepEqual(compared, new Set(run.map((one) => one.guard).filter((one) => one !== undefined)));
      const request = requestOf(run.map(packing.parcelOf), compared);
      const { compare, success, failure } = request;
      assert.ok(Math.max(compare.length, success.length, failure.length) <= Math.max(1, operations));
      assert.deepEqual(
        compare.slice(0, compared.size).map(({ key, value }) => `${key} ${value}`),
        [...compared].map(({ key, value }) => `${key} ${value}`),
      );

      const next = items[run.length];
      if (next === undefined) return;
      const fits = nextBatch([next], packing, limit, new Set()).taken.length === 1;
      const more = next.guard === undefined || compared.has(next.guard) ? 0 : 1;
      const room =
        run.length < limit.items &&
        operations + next.steps.length + more <= limit.operations &&
        next.steps.every(({ key }) => !keys.includes(key) && !before.has(key));
      if (fits && room) assert.ok(bytes + nextBatch([next], packing, limit, new Set()).bytes > limit.bytes);
    }),
    { numRuns: 1_000 },
  );
});

it('a transaction that changes nothing asks for a key all the same: else any member would compare what it happens to have', () => {
  const { compare, success } = requestOf(
    [[{ key: '/services/web/1', revision: '7', lease: '0', remove: false }]],
    new Set(),
  );
  assert.deepEqual(
    compare.map(({ mod_revision, target, result }) => [mod_revision, target, result]),
    [['7', 'Mod', 'Equal']],
  );
  assert.deepEqual(success, [{ request_range: { key: Buffer.from('/services/web/1'), count_only: true } }]);
});
