import assert from 'node:assert/strict';
import { assertOk, assertSame, assertStanding, failureIn, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { deregister, freshCluster, register, sampleOf, update } from '../samples.ts';

export function ownership(harness: Harness, it: Collect): void {
  it('a stranger under the same service name is neither listed, changed nor removed, and consumers see it', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const ours = stored(registry, sampleOf(cluster));
      const stranger = await harness.intruder.addStranger(ours.service);
      assertOk(await registry.apply([register(ours)], never));
      await assertStanding(harness, registry, cluster, [ours]);

      const seen = await registry.discover(ours.service, never);
      assert.equal(seen.length, 2);
      const theirs = seen.filter(({ id }) => id !== ours.id);
      assert.deepEqual(
        theirs.map(({ marks }) => marks),
        [{ cluster: '', owner: '', registration: '', retained: false }],
      );

      assertOk(await registry.apply([deregister(ours)], never));
      assert.ok(await stranger.isIntact());
    }));

  it('two operators share a registry: neither lists, changes or removes what the other wrote', () =>
    using(harness.open, async (registry) => {
      const [mine, theirs] = [freshCluster(), freshCluster()];
      const [ours, others] = [mine, theirs].map((cluster, number) =>
        stored(registry, sampleOf(cluster, { service: `${mine}-shared`, number })),
      );
      assert.ok(ours !== undefined && others !== undefined);
      assertOk(await registry.apply([register(ours)], never));
      await using(harness.open, async (other) => assertOk(await other.apply([register(others)], never)));
      await assertStanding(harness, registry, mine, [ours]);
      assertSame(await registry.discover(ours.service, never), [ours, others]);

      const before = await harness.revision(theirs);
      assertOk(await registry.apply([deregister(ours)], never));
      await assertStanding(harness, registry, mine, []);
      await assertStanding(harness, registry, theirs, [others]);
      assert.equal(await harness.revision(theirs), before);
    }));

  it('three clusters whose names begin alike share a service name: each lists, changes and removes its own alone', () =>
    using(harness.open, (first) =>
      using(harness.open, (second) =>
        using(harness.open, async (third) => {
          const name = freshCluster();
          const service = `${name}-shared`;
          const fleets = [first, second, third].map((registry, at) => {
            const cluster = [name, `${name}-1`, `${name}1`][at] ?? name;
            const all = Array.from({ length: 25 }, (_, n) => sampleOf(cluster, { service, number: at * 250 + n + 1 }));
            return { registry, cluster, ours: all.map((instance) => stored(registry, instance)) };
          });
          const all = () => fleets.flatMap(({ ours }) => ours);
          await Promise.all(
            fleets.map(async ({ registry, ours }) => assertOk(await registry.apply(ours.map(register), never))),
          );
          for (const fleet of fleets) {
            const { registry, cluster } = fleet;
            await assertStanding(harness, registry, cluster, fleet.ours);
            const [gone, changed, ...kept] = fleet.ours;
            assert.ok(gone !== undefined && changed !== undefined);
            const heavier = { ...changed, weight: 7 };
            assertOk(await registry.apply([deregister(gone), update(heavier, changed)], never));
            fleet.ours = [heavier, ...kept];
            for (const one of fleets) await assertStanding(harness, registry, one.cluster, one.ours);
          }
          assertSame(await first.discover(service, never), all());
          for (const { registry, ours } of fleets) assertOk(await registry.apply(ours.map(deregister), never));
        }),
      ),
    ));

  for (const informed of [true, false]) {
    it(`a stranger's entry under our id is left as it is, ${informed ? 'though ours stood there before' : 'by a client that knows of nothing'}`, () =>
      using(harness.open, async (writer) => {
        const cluster = freshCluster();
        const ours = stored(writer, sampleOf(cluster));
        const good = stored(writer, sampleOf(cluster, { number: 2 }));
        assertOk(await writer.apply([register(ours)], never));
        const stranger = await harness.intruder.takeOver(ours);

        await using(harness.open, async (fresh) => {
          const registry = informed ? writer : fresh;
          const changed = { ...ours, port: 9090 };
          for (const change of [register(ours), update(changed, ours)]) {
            const [refused, taken] = await registry.apply([change, register(good)], never);
            assert.equal(failureIn(refused).code, 'conflict');
            assert.ok(taken?.ok, 'the change beside it failed too');
          }
          assertOk(await registry.apply([deregister(ours)], never));
          assert.ok(await stranger.isIntact());
          await assertStanding(harness, registry, cluster, [good]);
        });
      }));
  }
}
