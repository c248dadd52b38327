import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { canonical, type Instance } from '../../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../../src/registries/registry.ts';
import { assertOk, assertSame, assertStanding, failureOf, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { deregister, freshCluster, register, samplesOf, update } from '../samples.ts';

export function concurrency(harness: Harness, it: Collect): void {
  it('applies at once, of one service and of many, lose nothing', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const ours = samplesOf(cluster, 120).map((instance, n) =>
        stored(registry, n % 2 === 0 ? instance : { ...instance, service: `${cluster}-${n}` }),
      );
      const [stay, change, go] = thirds(ours);
      assertOk((await Promise.all(ours.map((one) => registry.apply([register(one)], never)))).flat());
      await assertStanding(harness, registry, cluster, ours);

      const changed = change.map((one) => ({ ...one, health: 'unhealthy' as const, metadata: { team: 'search' } }));
      const changes = [...changed.map((one, n) => update(one, change[n] ?? one)), ...go.map(deregister)];
      assertOk((await Promise.all(changes.map((one) => registry.apply([one], never)))).flat());
      await assertStanding(harness, registry, cluster, [...stay, ...changed]);
    }));

  it('who reads while others write sees each entry whole, as it was or as it became, and all that nobody touches', () =>
    using(harness.open, (registry) =>
      using(harness.open, async (reader) => {
        const cluster = freshCluster();
        const ours = samplesOf(cluster, 90).map((instance) => stored(registry, instance));
        const [stay, change, go] = thirds(ours);
        const changed = change.map((one) => ({
          ...one,
          port: 9090,
          weight: 7,
          metadata: { team: 'search', more: 'x' },
        }));
        const come = samplesOf(cluster, 120)
          .slice(90)
          .map((instance) => stored(registry, instance));
        assertOk(await registry.apply(ours.map(register), never));

        const changes = [
          ...changed.map((one, n) => update(one, change[n] ?? one)),
          ...go.map(deregister),
          ...come.map(register),
        ];
        const known = new Set([...ours, ...changed, ...come].map(canonical));
        const look = async (read: () => Promise<readonly Instance[]>) => {
          const seen = (await read()).map(canonical);
          assert.deepEqual(
            seen.filter((one) => !known.has(one)),
            [],
          );
          assert.equal(new Set(seen).size, seen.length, 'an entry is there twice');
          assert.deepEqual(
            stay.map(canonical).filter((one) => !seen.includes(one)),
            [],
          );
        };
        const views = [registry, reader].flatMap((client) => [
          () => client.list(cluster, never),
          () => client.discover(`${cluster}-web`, never),
        ]);
        let writing = true;
        const reading = Promise.allSettled(
          views.map(async (view) => {
            do {
              await look(view);
              // A registry of this process would never get to anything else.
              await setImmediate();
            } while (writing);
          }),
        );
        try {
          assertOk((await Promise.all(changes.map((one) => registry.apply([one], never)))).flat());
        } finally {
          writing = false;
        }
        for (const outcome of await reading) if (outcome.status === 'rejected') throw outcome.reason;
        await assertStanding(harness, reader, cluster, [...stay, ...changed, ...come]);
      }),
    ));

  it('clients of two clusters write under one service name, and neither has or loses anything of the other', () =>
    using(harness.open, (one) =>
      using(harness.open, async (two) => {
        const service = `${freshCluster()}-shared`;
        const parts = [one, two].map((client, part) => {
          const cluster = freshCluster();
          const both = samplesOf(cluster, 120);
          const all = both.slice(part * 60, part * 60 + 60).map((instance) => stored(client, { ...instance, service }));
          return { client, cluster, all, rest: all.slice(30) };
        });
        const each = async (write: (part: (typeof parts)[number]) => Promise<unknown>[]) => {
          await Promise.all(parts.flatMap(write));
        };
        await each(({ client, all }) =>
          inParts(all, 6).map(async (part) => assertOk(await client.apply(part.map(register), never))),
        );
        for (const { client, cluster, all } of parts) await assertStanding(harness, client, cluster, all);
        assertSame(
          await one.discover(service, never),
          parts.flatMap(({ all }) => all),
        );
        await each(({ client, cluster, all }) => [
          ...inParts(all.slice(0, 30), 6).map(async (part) =>
            assertOk(await client.apply(part.map(deregister), never)),
          ),
          client.list(cluster, never),
        ]);
        for (const { client, cluster, rest } of parts) await assertStanding(harness, client, cluster, rest);
        assertSame(
          await two.discover(service, never),
          parts.flatMap(({ rest }) => rest),
        );
      }),
    ));

  it('two clients of one cluster at once lose nothing of each other', () =>
    using(harness.open, (one) =>
      using(harness.open, async (two) => {
        const cluster = freshCluster();
        const all = samplesOf(cluster, 80).map((instance) => stored(one, instance));
        const write = (client: ServiceRegistry, mine: readonly Instance[]) =>
          inParts(mine, 10).map(async (part) => assertOk(await client.apply(part.map(register), never)));
        await Promise.all([...write(one, all.slice(0, 40)), ...write(two, all.slice(40))]);
        await assertStanding(harness, one, cluster, all);
        // Each changes what the other one wrote.
        const changed = all.map((instance) => ({ ...instance, weight: 7 }));
        await Promise.all([...write(one, changed.slice(40)), ...write(two, changed.slice(0, 40))]);
        await assertStanding(harness, two, cluster, changed);
      }),
    ));

  it('who closes a client at work hears of every call, and what was acknowledged stands', async () => {
    const cluster = freshCluster();
    const registry = harness.open();
    const all = samplesOf(cluster, 200).map((instance) => stored(registry, instance));
    await registry.check(never);
    const writes = inParts(all, 10).map(async (part) => {
      const results = await registry.apply(part.map(register), never);
      return part.filter((_, n) => results[n]?.ok === true);
    });
    const reads = [registry.list(cluster, never), registry.discover(`${cluster}-web`, never), registry.check(never)];
    const settled = Promise.allSettled(writes);
    const outcomes = Promise.allSettled<unknown>([...writes, ...reads]);
    await Promise.race(writes);
    await registry.close();
    for (const outcome of await outcomes) {
      if (outcome.status === 'rejected') assert.equal((await failureOf(Promise.reject(outcome.reason))).code, 'closed');
    }
    const acknowledged = (await settled).flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    const standing = new Set((await harness.peek(cluster)).map(canonical));
    assert.ok(acknowledged.length > 0);
    assert.deepEqual(
      acknowledged.map(canonical).filter((one) => !standing.has(one)),
      [],
    );
    await using(harness.open, async (next) => {
      assertOk(await next.apply(all.map(register), never));
      await assertStanding(harness, next, cluster, all);
    });
  });
}

const thirds = (all: readonly Instance[]) =>
  [0, 1, 2].map((third) => all.filter((_, n) => n % 3 === third)) as [Instance[], Instance[], Instance[]];

const inParts = (all: readonly Instance[], size: number): readonly (readonly Instance[])[] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
