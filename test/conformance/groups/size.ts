import { assertOk, assertStanding, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { deregister, freshCluster, register, samplesOf } from '../samples.ts';

export function size(harness: Harness, it: Collect): void {
  it('1,000 instances in one service, then none', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 1_000).map((instance) => stored(registry, instance));
      assertOk(await registry.apply(instances.map(register), never));
      await assertStanding(harness, registry, cluster, instances);
      assertOk(await registry.apply(instances.map(deregister), never));
      await assertStanding(harness, registry, cluster, []);
    }));

  it('1,000 services of one instance, in parallel', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 1_000).map((instance, number) =>
        stored(registry, {
          ...instance,
          service: `${cluster}-${number}`,
          health: number % 3 === 0 ? 'unhealthy' : 'healthy',
        }),
      );
      const parts = [0, 1, 2, 3].map((part) => instances.filter((_, number) => number % 4 === part));
      const results = await Promise.all(parts.map((part) => registry.apply(part.map(register), never)));
      assertOk(results.flat());
      await assertStanding(harness, registry, cluster, instances);
    }));
}
