import assert from 'node:assert/strict';
import fc from 'fast-check';
import { instances } from '../../registries/arbitrary-instance.ts';
import { assertOk, assertSame, assertStanding, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { freshCluster, nastySamples, register, sampleOf } from '../samples.ts';

export function roundTrip(harness: Harness, it: Collect): void {
  for (const name of nastySamples('').keys()) {
    const rule = harness.refuses.get(name);
    if (rule !== undefined) {
      it(`refuses ${name}, naming the rule`, () =>
        using(harness.open, async (registry) => {
          const sample = nastySamples(freshCluster()).get(name) ?? assert.fail();
          const answer = registry.normalise(sample);
          assert.ok(!answer.ok, 'normalise took it');
          assert.match(answer.message, rule);
        }));
      continue;
    }
    it(`${name} stands in the registry as normalise said, and comes back so`, () =>
      using(harness.open, async (registry) => {
        const cluster = freshCluster();
        const instance = stored(registry, nastySamples(cluster).get(name) ?? assert.fail());
        assertOk(await registry.apply([register(instance)], never));
        await assertStanding(harness, registry, cluster, [instance]);
        assertOk(await registry.apply([{ action: 'deregister', instance, reason: 'EndpointRemoved' }], never));
        await assertStanding(harness, registry, cluster, []);
      }));
  }

  it('whatever normalise takes, the server takes, and gives back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(instances('unset'), { minLength: 30, maxLength: 60 }), (asked) =>
        using(harness.open, async (registry) => {
          const cluster = freshCluster();
          const taken = asked.flatMap((instance, number) => {
            const id = `${cluster}/${number}`;
            const answer = registry.normalise({ ...instance, id, marks: { ...instance.marks, cluster } });
            return answer.ok ? [answer.instance] : [];
          });
          assertOk(await registry.apply(taken.map(register), never));
          await assertStanding(harness, registry, cluster, taken);
        }),
      ),
      { numRuns: 10 },
    );
  });

  it('normalise changes neither its argument nor, asked twice, its mind', () =>
    using(harness.open, async (registry) => {
      for (const sample of nastySamples(freshCluster()).values()) {
        const before = structuredClone(sample);
        assert.deepEqual(registry.normalise(sample), registry.normalise(sample));
        assert.deepEqual(sample, before);
      }
    }));

  it('a consumer finds all instances of a service, and only those', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const both = [1, 2].map((number) => stored(registry, sampleOf(cluster, { number })));
      const other = stored(registry, sampleOf(cluster, { number: 3, service: `${cluster}-other` }));
      assertOk(await registry.apply([...both, other].map(register), never));
      assertSame(await registry.discover(`${cluster}-web`, never), both);
      assertSame(await registry.discover(`${cluster}-nobody`, never), []);
    }));

  it('a consumer sees health and weight, or only what takes traffic', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const all = (['healthy', 'draining', 'unhealthy'] as const).flatMap((health, row) =>
        [0, 7].map((weight, column) =>
          stored(registry, sampleOf(cluster, { number: row * 2 + column, health, weight })),
        ),
      );
      assertOk(await registry.apply(all.map(register), never));
      const visible = all.filter((instance) => harness.hides?.(instance) !== true);
      assert.ok(visible.length > 0);
      assertSame(await registry.discover(`${cluster}-web`, never), visible);
    }));

  it('check gives the version of the server', () =>
    using(harness.open, async (registry) => {
      const { version } = await registry.check(never);
      assert.match(version, /\S/);
    }));
}
