// Consul servers that come and go, freeze, lose their leader or their data, and have had enough.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import { openTcpLink } from '../links/tcp-link.ts';
import { openConsul } from '../servers/consul.ts';
import { sharedConsul } from '../servers/shared.ts';
import { until } from '../servers/until.ts';
import { assertEnds } from './client-process.ts';
import { sweepAfter } from './conformance.ts';
import { consulHarness, openAt } from './consul-harness.ts';
import { assertOutlivesCrash, untilItFails } from './crashes.ts';
import { assertOk, assertSame, assertStanding, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';

const server = await sharedConsul();
const harness = await consulHarness(server);

afterEach(() => sweepAfter(harness));

describe('Consul servers that come and go', () => {
  it('one that lost everything is filled again by a client that remembers, without a list in between', async () => {
    const forgetful = await openConsul();
    const cluster = freshCluster();
    try {
      await using(
        () => openAt(forgetful.address),
        async (registry) => {
          const instances = samplesOf(cluster, 300).map((instance, n) =>
            stored(registry, {
              ...instance,
              service: `${cluster}-${n % 20}`,
              health: n % 3 === 0 ? 'unhealthy' : 'healthy',
            }),
          );
          assertOk(await registry.apply(instances.map(register), never));
          await forgetful.restart();
          const changed = instances.map((instance) => ({ ...instance, weight: 5 }));
          assertOk(
            await registry.apply(
              changed.map((instance, n) => update(instance, instances[n] ?? assert.fail())),
              never,
            ),
          );
          await assertStanding(await consulHarness(forgetful), registry, cluster, changed);

          await forgetful.restart();
          assertOk(await registry.apply(changed.map(deregister), never));
          assert.deepEqual(await registry.list(cluster, never), []);
        },
      );
    } finally {
      await forgetful.stop();
    }
  });

  it('entries outlive a crash of the server, which is told as such until it is back', async () => {
    const server = await openConsul({ persistent: true });
    await assertOutlivesCrash({ server, open: () => openAt(server.address), harness: () => consulHarness(server) });
  });

  it('of several addresses the next one is taken when one is down, at once and for good', async () => {
    const one = await openTcpLink(Number(new URL(server.address).port));
    const two = await openTcpLink(Number(new URL(server.address).port));
    const addresses = ['http://127.0.0.1:9', `http://127.0.0.1:${one.port}`, `http://127.0.0.1:${two.port}`];
    const cluster = freshCluster();
    await using(
      () => openAt(addresses),
      async (registry) => {
        const [a, b] = samplesOf(cluster, 2).map((instance) => stored(registry, instance)) as [Instance, Instance];
        assertOk(await registry.apply([register(a)], never));
        assert.ok(one.connections() > 0 && two.connections() === 0);
        await one.close();
        // Until Node has noticed that the idle connections of the pool are closed, one may be taken and break.
        await registry.check(never);
        assertOk(await registry.apply([register(b)], never));
        assert.ok(two.connections() > 0);
        await assertStanding(harness, registry, cluster, [a, b]);
      },
    );
    await two.close();
    await using(
      () => openAt(['http://127.0.0.1:9', 'http://127.0.0.1:10']),
      async (registry) => assert.equal((await failureOf(registry.check(never))).code, 'unreachable'),
    );
  });

  it('one that takes less at once gets less at once', async () => {
    const small = await openConsul({
      config: { limits: { txn_max_req_len: 7_500, kv_max_value_size: 7_500, http_max_conns_per_client: 2_000 } },
    });
    try {
      await using(
        () => openAt(small.address),
        async (registry) => {
          const cluster = freshCluster();
          const instances = samplesOf(cluster, 100).map((instance) => stored(registry, instance));
          const wide = (instance: Instance, pairs: number): Instance => ({
            ...instance,
            metadata: Object.fromEntries(Array.from({ length: pairs }, (_, n) => [`k${n}`, 'x'.repeat(500)])),
          });
          // 50 is over the limit; 60 is under it, and over half of it.
          const wanted = instances.map((one, n) => (n === 50 ? wide(one, 20) : n === 60 ? wide(one, 13) : one));
          const results = await registry.apply(wanted.map(register), never);
          assert.equal(failureIn(results[50]).code, 'too-large');
          assertOk(results.filter((_, n) => n !== 50));
          await assertStanding(
            await consulHarness(small),
            registry,
            cluster,
            wanted.filter((_, n) => n !== 50),
          );
        },
      );
    } finally {
      await small.stop();
    }
  });

  it('a program that used a client ends by itself, closed or not, and after a cancelled call', async () => {
    const program = `
      import { openConsulRegistry } from ${JSON.stringify(new URL('../../src/registries/consul/consul.ts', import.meta.url).href)};
      const registry = openConsulRegistry({ addresses: [process.env.ADDRESS], prefix: '', healthChecks: true, ttlMs: 180000, leasesAll: false, connectMs: 5000, requestMs: 3600000 });
      await registry.check(new AbortController().signal);
      const abort = new AbortController();
      const cancelled = registry.list('nobody', abort.signal).catch((error) => error.code);
      abort.abort();
      process.stdout.write(String(await cancelled));
      if (process.env.CLOSE) await registry.close();
    `;
    for (const CLOSE of ['', 'yes']) {
      await assertEnds(program, { env: { ADDRESS: server.address, CLOSE }, wrote: 'aborted' });
    }
  });

  it('one that is frozen is a time-out, after which a write may have happened; when it goes on, so does everything', async () => {
    const frozen = await openConsul();
    const cluster = freshCluster();
    try {
      await using(
        () => openAt(frozen.address, { requestMs: 1_000, ttlMs: 120_000 }),
        async (registry) => {
          const [one, two, three] = samplesOf(cluster, 3).map((sample) => stored(registry, sample));
          assert.ok(one && two && three);
          assertOk(await registry.apply([register(one), register({ ...two, liveness: 'leased' })], never));
          const watch = await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));
          frozen.kill('SIGSTOP');
          const [result] = await registry.apply([register(three)], never);
          const failures = [
            failureIn(result),
            await failureOf(registry.list(cluster, never)),
            await failureOf(registry.check(never)),
            await failureOf(registry.kv.put('web', 'key', 'value', never)),
          ];
          assert.deepEqual(
            failures.map(({ code, ambiguous }) => `${code} ${ambiguous}`),
            ['timeout true', 'timeout false', 'timeout false', 'timeout true'],
          );
          frozen.kill('SIGCONT');
          await until('an answer', () => registry.list(cluster, never).catch(() => undefined));
          assertOk(await registry.apply([register(three), register({ ...two, liveness: 'leased' })], never));
          await assertStanding(await consulHarness(frozen), registry, cluster, [
            one,
            { ...two, liveness: 'leased' },
            three,
          ]);
          watch.abort();
          await watch.ended;
        },
      );
    } finally {
      await frozen.stop();
    }
  });

  it('one that has lost its leader is unavailable or out of time, and goes on with the next leader', async () => {
    const first = await openConsul({ persistent: true });
    try {
      const second = await openConsul({ joins: first });
      try {
        await until('two voters', async () => {
          const { body } = await first.request('GET', '/v1/operator/raft/configuration');
          const servers: { Voter: boolean }[] = body.Servers ?? [];
          return servers.filter(({ Voter }) => Voter).length === 2 ? true : undefined;
        });
        const cluster = freshCluster();
        await using(
          () => openAt(first.address, { requestMs: 2_000, ttlMs: 240_000 }),
          async (registry) => {
            const [one, two, three] = samplesOf(cluster, 3).map((sample) => stored(registry, sample));
            assert.ok(one && two && three);
            const leased = { ...two, liveness: 'leased' as const };
            assertOk(await until('a write', () => written(registry, [one, leased])));
            second.kill('SIGSTOP');
            // Reads may be served until the leader notices; a write needs both servers.
            const [result] = await registry.apply([register(three)], never);
            assert.match(failureIn(result).code, /^(unavailable|timeout)$/);
            const lost = await failureOf(untilItFails(() => registry.list(cluster, never)));
            assert.match(lost.code, /^(unavailable|timeout)$/);
            second.kill('SIGCONT');
            await until('a leader', () => written(registry, [three]));
            await assertStanding(await consulHarness(first), registry, cluster, [one, leased, three]);
          },
        );
      } finally {
        await second.stop();
      }
    } finally {
      await first.stop();
    }
  });

  it('one that was set back to a snapshot gives a hint, though its indexes go back, and is written to as it stands', async () => {
    const restored = await openConsul({ persistent: true });
    const cluster = freshCluster();
    try {
      await using(
        () => openAt(restored.address),
        async (registry) => {
          const [one, ...others] = samplesOf(cluster, 20).map((sample) => stored(registry, sample));
          assert.ok(one);
          assertOk(await registry.apply([register(one)], never));
          await registry.kv.put('web', 'key', '1', never);
          const snapshot = await (await fetch(`${restored.address}/v1/snapshot`)).bytes();
          assertOk(await registry.apply([update({ ...one, weight: 3 }, one), ...others.map(register)], never));
          await registry.kv.put('web', 'key', '2', never);
          const watches = [
            await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal)),
            await watching((onHint, signal) => registry.kv.watch('web', 'key', onHint, signal)),
          ];
          await fetch(`${restored.address}/v1/snapshot`, { method: 'PUT', body: snapshot });
          for (const watch of watches) await watch.reach(2);
          assertSame(await registry.list(cluster, never), [one]);
          assert.equal(await registry.kv.get('web', 'key', never), '1');
          assertOk(await registry.apply([update({ ...one, weight: 4 }, one), ...others.map(register)], never));
          await assertStanding(await consulHarness(restored), registry, cluster, [{ ...one, weight: 4 }, ...others]);
          for (const watch of watches) watch.abort();
          for (const watch of watches) await watch.ended;
        },
      );
    } finally {
      await restored.stop();
    }
  });

  it('one that limits the rate of requests says so, of reads and writes, and has done nothing', async () => {
    const limits = {
      http_max_conns_per_client: 2_000,
      request_limits: { mode: 'enforcing', read_rate: 30, write_rate: 3 },
    };
    const strict = await openConsul({ config: { limits } });
    try {
      await using(
        () => openAt(strict.address),
        async (registry) => {
          const cluster = freshCluster();
          const taken: Instance[] = [];
          let tried = 0;
          const refusals = await until('a write that is refused', async () => {
            const burst = Array.from({ length: 100 }, () => stored(registry, sampleOf(cluster, { number: ++tried })));
            const results = await Promise.all(burst.map((sample) => registry.apply([register(sample)], never)));
            taken.push(...burst.filter((_, n) => results[n]?.[0]?.ok));
            const failed = results.flat().filter(({ ok }) => !ok);
            return failed.length > 0 ? failed.map(failureIn) : undefined;
          });
          for (const { code, ambiguous } of refusals) assert.deepEqual([code, ambiguous], ['rate-limited', false]);
          const codes = await until('a reading that is refused', async () => {
            const reads = await Promise.allSettled(Array.from({ length: 200 }, () => registry.discover('web', never)));
            const refused = reads.flatMap((read) => (read.status === 'rejected' ? [String(read.reason.code)] : []));
            return refused.length > 0 ? new Set(refused) : undefined;
          });
          assert.deepEqual([...codes], ['rate-limited']);
          await until('a list', async () => {
            const list = await registry.list(cluster, never).catch(() => undefined);
            if (list === undefined) return undefined;
            assertSame(list, taken);
            return true;
          });
        },
      );
    } finally {
      await strict.stop();
    }
  });

  it('one that grants fewer connections than a client would take says so too', async () => {
    const narrow = await openConsul({ config: { limits: { http_max_conns_per_client: 4 } } });
    try {
      await using(
        () => openAt(narrow.address),
        async (registry) => {
          const lists = await Promise.allSettled(Array.from({ length: 16 }, () => registry.list('nobody', never)));
          const codes = lists.map((list) => (list.status === 'rejected' ? String(list.reason.code) : 'fulfilled'));
          assert.ok(codes.includes('rate-limited'), codes.join(' '));
          await until('a list', () => registry.list('nobody', never).catch(() => undefined));
        },
      );
    } finally {
      await narrow.stop();
    }
  });

  it('one with the limits that it has by default serves a thousand services, watched as a cluster, by 18 connections', async () => {
    const usual = await openConsul({ config: { limits: {} } });
    const link = await openTcpLink(Number(new URL(usual.address).port));
    try {
      await using(
        () => openAt(`http://127.0.0.1:${link.port}`),
        async (registry) => {
          const cluster = freshCluster();
          const samples = samplesOf(cluster, 1_000).map((sample, n) =>
            stored(registry, {
              ...sample,
              service: `${cluster}-${n}`,
              liveness: n % 2 === 0 ? 'leased' : 'persistent',
            }),
          );
          const watch = await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));
          const parts = [0, 1, 2, 3].map((part) => samples.filter((_, n) => n % 4 === part));
          assertOk((await Promise.all(parts.map((part) => registry.apply(part.map(register), never)))).flat());
          await Promise.all([1, 2, 3, 4].map(() => registry.list(cluster, never)));
          assert.ok(link.connections() <= 18, `${link.connections()} connections`);
          const other = samples[0] ?? assert.fail();
          await using(
            () => openAt(usual.address),
            async (stranger) => assertOk(await stranger.apply([deregister(other)], never)),
          );
          await watch.reach(2);
          assertSame(await registry.list(cluster, never), samples.slice(1));
          assert.ok(link.connections() <= 18, `${link.connections()} connections`);
          watch.abort();
          await watch.ended;
        },
      );
    } finally {
      await link.close();
      await usual.stop();
    }
  });
});

/** Undefined unless all of them were. */
async function written(registry: ServiceRegistry, instances: readonly Instance[]) {
  const results: readonly ChangeResult[] = await registry.apply(instances.map(register), never);
  return results.every(({ ok }) => ok) ? results : undefined;
}
