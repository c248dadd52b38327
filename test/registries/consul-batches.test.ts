import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type Limits, learnLimits, nextBatch, type Parcel, TXN_LIMITS } from '../../src/registries/consul/batches.ts';

type Operation = { readonly item?: number; readonly node?: string; readonly text: string };

const parcels = fc.array(
  fc.record({
    texts: fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { minLength: 1, maxLength: 4 }),
    node: fc.option(fc.constantFrom('a', 'b', 'c')),
  }),
  { maxLength: 40 },
);

const limits = fc.record({ operations: fc.integer({ min: 1, max: 12 }), bytes: fc.integer({ min: 2, max: 600 }) });

it('no batch is over the limits, nothing is lost, split or out of order, and what is shared comes once and first', () => {
  fc.assert(
    fc.property(parcels, limits, (specs, bounds) => {
      const items = specs.map((_, item) => item);
      const parcelOf = (item: number): Parcel<Operation> => {
        const { texts, node } = specs[item] ?? assert.fail();
        return {
          own: texts.map((text) => ({ item, text })),
          shared: node === null ? [] : [{ key: node, operation: { node, text: 'shared' } }],
        };
      };
      const seen: number[] = [];
      for (let queue = items; queue.length > 0; ) {
        const { taken, operations, origins, bytes } = nextBatch(queue, parcelOf, bounds);
        assert.ok(operations.length <= bounds.operations);
        assert.ok(taken.length === 0 || Buffer.byteLength(JSON.stringify(operations)) <= bounds.bytes);
        assert.deepEqual(taken, queue.slice(0, taken.length));
        if (taken.length > 0)
          assert.ok(Buffer.byteLength(JSON.stringify(operations)) <= bytes && bytes <= bounds.bytes);
        if (taken.length === 0) assert.ok(isOversized(parcelOf(queue[0] ?? assert.fail()), bounds));

        const own = operations.filter(({ item }) => item !== undefined);
        assert.deepEqual(
          own,
          taken.flatMap((item) => parcelOf(item).own),
        );
        const nodes = operations.flatMap(({ node }) => (node === undefined ? [] : [node]));
        assert.equal(nodes.length, new Set(nodes).size);
        operations.forEach(({ item, node }, position) => {
          const needing = node === undefined ? [item] : taken.filter((one) => specs[one]?.node === node);
          assert.deepEqual(origins[position], needing);
          const wants = item === undefined ? null : (specs[item]?.node ?? null);
          if (wants !== null) assert.ok(operations.findIndex((one) => one.node === wants) < position);
        });
        seen.push(...(taken.length === 0 ? queue.slice(0, 1) : taken));
        queue = queue.slice(Math.max(1, taken.length));
      }
      assert.deepEqual(seen, items);
    }),
    { numRuns: 500 },
  );
});

it('a batch is as full as it can be', () => {
  const items = Array.from({ length: 300 }, (_, item) => item);
  const one = (item: number): Parcel<Operation> => ({ own: [{ item, text: '' }], shared: [] });
  assert.equal(nextBatch(items, one, TXN_LIMITS).taken.length, 128);
  const wide = (item: number): Parcel<Operation> => ({ own: [{ item, text: 'é'.repeat(10_000) }], shared: [] });
  // 524,288 bytes for 20,000 each and some 20 around them.
  assert.equal(nextBatch(items, wide, TXN_LIMITS).taken.length, 26);
});

it('the limit of a server is found by what it takes and refuses, from above, in a few steps, and never from above again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: TXN_LIMITS.bytes - 1 }), (limit) => {
      const learnt = learnLimits(TXN_LIMITS);
      let refusals = 0;
      for (let batch = 0; batch < 200; batch++) {
        const { bytes } = learnt.current;
        if (bytes <= limit) learnt.accepted(bytes);
        else {
          refusals++;
          learnt.refused(bytes);
          assert.ok(learnt.current.bytes < bytes);
        }
      }
      assert.ok(refusals <= 14 && learnt.current.bytes <= limit && learnt.current.bytes > limit / 2);
    }),
  );
});

it('without a refusal the limit stays what it was', () => {
  const learnt = learnLimits(TXN_LIMITS);
  learnt.accepted(1_000);
  assert.deepEqual(learnt.current, TXN_LIMITS);
});

function isOversized({ own, shared }: Parcel<Operation>, bounds: Limits): boolean {
  const all = [...shared.map(({ operation }) => operation), ...own];
  return all.length > bounds.operations || Buffer.byteLength(JSON.stringify(all)) + 1 > bounds.bytes;
}
