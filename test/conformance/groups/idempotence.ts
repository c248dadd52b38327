import assert from 'node:assert/strict';
import type { Instance } from '../../../src/mirror/instance.ts';
import { assertOk, assertSame, assertStanding, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { deregister, freshCluster, register, sampleOf, update } from '../samples.ts';

export function idempotence(harness: Harness, it: Collect): void {
  const state = (cluster: string) => [
    sampleOf(cluster, { number: 1 }),
    sampleOf(cluster, { number: 2, health: 'unhealthy' }),
    sampleOf(cluster, { number: 3, weight: 0 }),
  ];

  it('the same changes applied twice change nothing the second time', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const changes = state(cluster).map((instance) => register(stored(registry, instance)));
      assertOk(await registry.apply(changes, never));
      const before = await harness.revision(cluster);
      assertOk(await registry.apply(changes, never));
      assert.equal(await harness.revision(cluster), before);
    }));

  it('another client that knows of nothing changes nothing with them either', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = state(cluster).map((instance) => stored(registry, instance));
      assertOk(await registry.apply(instances.map(register), never));
      const before = await harness.revision(cluster);
      await using(harness.open, async (other) => {
        assertOk(await other.apply(instances.map(register), never));
        await assertStanding(harness, other, cluster, instances);
      });
      assert.equal(await harness.revision(cluster), before);
    }));

  it('a register of what stands already in another state leaves nothing of that state', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instance = stored(registry, sampleOf(cluster));
      for (const health of ['unhealthy', 'healthy', 'draining', 'healthy'] as const) {
        assertOk(await registry.apply([register({ ...instance, health })], never));
        // Not by a list, from which the client could learn what it should know.
        assertSame(await harness.peek(cluster), [{ ...instance, health }]);
      }
    }));

  it('a client mends the health that another one wrote since', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const healthy = stored(registry, sampleOf(cluster));
      const unhealthy = { ...healthy, health: 'unhealthy' as const };
      assertOk(await registry.apply([register(healthy)], never));
      await using(harness.open, async (other) => assertOk(await other.apply([update(unhealthy, healthy)], never)));
      assertOk(await registry.apply([update(healthy, unhealthy)], never));
      await assertStanding(harness, registry, cluster, [healthy]);
    }));

  it('removing what is not there succeeds', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const gone = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([deregister(gone)], never));
      assertOk(await registry.apply([register(gone)], never));
      assertOk(await registry.apply([deregister(gone)], never));
      assertOk(await registry.apply([deregister(gone)], never));
      await assertStanding(harness, registry, cluster, []);
    }));

  it('an update of what is not there makes it stand', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instance = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([update(instance, { ...instance, port: 1 })], never));
      await assertStanding(harness, registry, cluster, [instance]);
    }));

  const turns: readonly [string, Partial<Instance>, Partial<Instance>][] = [
    ['health, to and fro', { health: 'unhealthy' }, { health: 'healthy' }],
    ['weight, to 0 and back', { weight: 0 }, { weight: 100 }],
    ['the service name', { service: 'moved' }, { service: 'moved-on' }],
    ['metadata and tags', { metadata: {}, tags: [] }, { metadata: { a: '1', b: '2' }, tags: ['x'] }],
    ['the retained mark', {}, {}],
  ];
  for (const [name, first, second] of turns) {
    it(`an update of ${name} leaves nothing of before, with a client that wrote it and with one that did not`, () =>
      using(harness.open, async (writer) => {
        const cluster = freshCluster();
        const named = (over: Partial<Instance>, retained: boolean): Instance => {
          const base = sampleOf(cluster);
          const service = over.service === undefined ? base.service : `${cluster}-${over.service}`;
          return stored(writer, { ...base, ...over, service, marks: { ...base.marks, retained } });
        };
        const [a, b, c] = [named({}, false), named(first, true), named(second, false)];
        assertOk(await writer.apply([register(a)], never));
        assertOk(await writer.apply([update(b, a)], never));
        await assertStanding(harness, writer, cluster, [b]);
        await using(harness.open, async (other) => {
          assertOk(await other.apply([update(c, b)], never));
          await assertStanding(harness, other, cluster, [c]);
        });
        assertOk(await writer.apply([deregister(c)], never));
        await assertStanding(harness, writer, cluster, []);
      }));
  }
}
