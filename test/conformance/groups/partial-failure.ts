import assert from 'node:assert/strict';
import { assertStanding, failureIn, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { freshCluster, register, samplesOf } from '../samples.ts';

export function partialFailure(harness: Harness, it: Collect): void {
  for (const [name, count, bad] of [
    ['one among ten', 10, [4]],
    ['the first and the last', 10, [0, 9]],
    ['a few in several batches', 400, [3, 130, 131, 399]],
  ] as const) {
    it(`bad changes, ${name}, fail alone, as invalid, in their places`, () =>
      using(harness.open, async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, count).map((instance) => stored(registry, instance));
        const isBad = (position: number) => (bad as readonly number[]).includes(position);
        const changes = instances.map((instance, position) =>
          register(isBad(position) ? harness.spoil(instance) : instance),
        );
        const results = await registry.apply(changes, never);
        assert.equal(results.length, count);
        results.forEach((result, position) => {
          if (isBad(position)) assert.equal(failureIn(result).code, 'invalid');
          else assert.ok(result.ok, `change ${position} failed`);
        });
        await assertStanding(
          harness,
          registry,
          cluster,
          instances.filter((_, position) => !isBad(position)),
        );
      }));
  }

  it('an apply of nothing gives no results', () =>
    using(harness.open, async (registry) => {
      assert.deepEqual(await registry.apply([], never), []);
    }));
}
