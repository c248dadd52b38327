import assert from 'node:assert/strict';
import type { Change } from '../../../src/mirror/change.ts';
import { assertOk, assertStanding, failureIn, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { deregister, freshCluster, register, samplesOf, update } from '../samples.ts';

export function ambiguity({ link, ...harness }: Harness, it: Collect): void {
  if (link === undefined) return;
  const cuts = [
    ['lost', link.cutNextAnswer],
    ['cut off in its middle', link.truncateNextAnswer],
  ] as const;

  for (const [kind, cut] of cuts) {
    it(`an answer ${kind} is told as such, and the same changes applied again converge`, () =>
      using(link.open, async (registry) => {
        const cluster = freshCluster();
        const dressed = { ...harness, link };
        const first = samplesOf(cluster, 60).map((instance) => stored(registry, instance));
        const second = first.slice(20).map((instance) => ({ ...instance, health: 'unhealthy' as const }));
        const third = second.map((instance) => ({ ...instance, health: 'healthy' as const, port: 9090 }));
        const before = new Map<string, (typeof first)[number]>();

        for (const wanted of [first, second, third]) {
          const changes = changesTo(before, wanted);
          cut();
          const results = await registry.apply(changes, never);
          const failures = results.filter(({ ok }) => !ok || link.oneByOne !== true).map(failureIn);
          assert.ok(failures.some(({ ambiguous }) => ambiguous));
          if (link.oneByOne !== true) assert.ok(failures.every(({ ambiguous }) => ambiguous));
          assertOk(await registry.apply(changes, never));
          await assertStanding(dressed, registry, cluster, wanted);
          before.clear();
          for (const instance of wanted) before.set(instance.id, instance);
        }
      }));
  }

  it('what was read again after it is mended by the changes that follow from it', () =>
    using(link.open, async (registry) => {
      const cluster = freshCluster();
      const [one] = samplesOf(cluster, 1).map((instance) => stored(registry, { ...instance, health: 'unhealthy' }));
      assert.ok(one !== undefined);
      link.cutNextAnswer();
      assert.ok(failureIn((await registry.apply([register(one)], never))[0]).ambiguous);
      // Written, then wanted healthy by someone who was told that it failed.
      const healthy = { ...one, health: 'healthy' as const };
      assertOk(await registry.apply([register(healthy)], never));
      await assertStanding({ ...harness, link }, registry, cluster, [healthy]);
    }));
}

function changesTo<I extends ReturnType<typeof samplesOf>[number]>(
  before: ReadonlyMap<string, I>,
  wanted: readonly I[],
): Change[] {
  const keep = new Set(wanted.map(({ id }) => id));
  return [
    ...wanted.map((instance) => {
      const previous = before.get(instance.id);
      return previous === undefined ? register(instance) : update(instance, previous);
    }),
    ...[...before.values()].filter(({ id }) => !keep.has(id)).map(deregister),
  ];
}
