import { assertOk, assertSame, assertStanding, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { freshCluster, register, samplesOf, update } from '../samples.ts';

export function drift(harness: Harness, it: Collect): void {
  it('an entry changed behind our back is listed as it stands, and an update mends it', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const [one, two] = samplesOf(cluster, 2).map((instance) => stored(registry, instance));
      if (one === undefined || two === undefined) return;
      assertOk(await registry.apply([register(one), register(two)], never));
      await harness.intruder.setPort(one, 9999);
      const changed = { ...one, port: 9999 };
      assertSame(await registry.list(cluster, never), [changed, two]);
      assertOk(await registry.apply([update(one, changed)], never));
      await assertStanding(harness, registry, cluster, [one, two]);
    }));

  it('an entry removed behind our back is not listed, and a register mends it', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const [one, two] = samplesOf(cluster, 2).map((instance) => stored(registry, { ...instance, health: 'draining' }));
      if (one === undefined || two === undefined) return;
      assertOk(await registry.apply([register(one), register(two)], never));
      await harness.intruder.remove(one);
      assertSame(await registry.list(cluster, never), [two]);
      assertOk(await registry.apply([register(one)], never));
      await assertStanding(harness, registry, cluster, [one, two]);
    }));

  it('a change that was decided before the intrusion was seen converges too', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const [one, two] = samplesOf(cluster, 2).map((instance) => stored(registry, instance));
      if (one === undefined || two === undefined) return;
      assertOk(await registry.apply([register(one), register(two)], never));
      await harness.intruder.setPort(one, 9999);
      await harness.intruder.remove(two);
      const wanted = [one, two].map((instance) => ({ ...instance, weight: 7 }));
      assertOk(await registry.apply([update({ ...one, weight: 7 }, one), update({ ...two, weight: 7 }, two)], never));
      await assertStanding(harness, registry, cluster, wanted);
    }));
}
