// Watches and key-value pairs on a real Consul, and on scripted ones for what a real one does seldom.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import ConsulClient from 'consul';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openProxy, type RecordingProxy } from '../links/consul-proxy.ts';
import { openTcpLink } from '../links/tcp-link.ts';
import { openConsul } from '../servers/consul.ts';
import { sharedConsul } from '../servers/shared.ts';
import { until } from '../servers/until.ts';
import { sweepAfter } from './conformance.ts';
import { consulHarness, openAt } from './consul-harness.ts';
import { assertOk, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';

const server = await sharedConsul();
const harness = await consulHarness(server);
const { port } = new URL(server.address);
const raw = new ConsulClient({ host: '127.0.0.1', port: Number(port) });

afterEach(() => sweepAfter(harness));

/** Resolves when nothing but renewals has been asked for a while: whatever a change leads to has been done. */
async function quiet({ requests }: RecordingProxy): Promise<void> {
  const asked = () => requests.filter(({ path }) => !path.startsWith('/v1/session/renew/')).length;
  let seen = -1;
  while (seen !== asked()) {
    seen = asked();
    await delay(1_500);
  }
}

const watchCluster = (registry: ServiceRegistry, cluster: string) =>
  watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));

describe('a watch of a cluster', () => {
  it('hints at what others write, of whatever kind, and not at own writes', async () => {
    const proxy = await openProxy(server.address, () => undefined);
    await using(
      () => openAt(proxy.address, { ttlMs: 6_000 }),
      async (registry) => {
        const cluster = freshCluster();
        const watch = await watchCluster(registry, cluster);
        const [one, two, three] = samplesOf(cluster, 3).map((instance) => stored(registry, instance)) as [
          Instance,
          Instance,
          Instance,
        ];
        const sick = { ...one, health: 'unhealthy' as const };
        const own: readonly (() => Promise<unknown>)[] = [
          async () => assertOk(await registry.apply([one, two, three].map(register), never)),
          async () => assertOk(await registry.apply([update(sick, one)], never)),
          async () => assertOk(await registry.apply([update({ ...two, weight: 7 }, two), deregister(three)], never)),
          async () => assertOk(await registry.apply([update({ ...two, liveness: 'leased' }, two)], never)),
          () => registry.list(cluster, never),
          async () =>
            assertOk(await registry.apply([update(one, sick), update(two, { ...two, liveness: 'leased' })], never)),
          () => registry.kv.put(`${cluster}-web`, 'key', 'value', never),
        ];
        for (const write of own) {
          await write();
          await quiet(proxy);
          assert.equal(watch.hints(), 1);
        }
        const { intruder } = harness;
        const [{ Node }] = (await raw.catalog.service.nodes(one.service)) as [{ Node: string }];
        const foreign: readonly (() => Promise<unknown>)[] = [
          () => intruder.setPort(one, 9),
          () => intruder.remove(two),
          () => using(harness.open, async (other) => assertOk(await other.apply([register(three)], never))),
          () => using(harness.open, async (other) => assertOk(await other.apply([update(sick, one)], never))),
          () => server.request('PUT', '/v1/catalog/deregister', { Node, CheckID: `${one.id}/readiness` }),
          () => using(harness.open, async (other) => assertOk(await other.apply([deregister(one)], never))),
        ];
        for (const [n, write] of foreign.entries()) {
          await write();
          await watch.reach(n + 2);
          await quiet(proxy);
          assert.equal(watch.hints(), n + 2);
        }
        watch.abort();
        assert.equal((await watch.ended).code, 'aborted');
      },
    );
  });

  it('hints when a lease ends, be it another client’s', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const other = openAt(server.address, { ttlMs: 4_000 });
      assertOk(await other.apply([register(sampleOf(cluster, { liveness: 'leased' }))], never));
      const watch = await watchCluster(registry, cluster);
      await other.close();
      await delay(500);
      assert.equal(watch.hints(), 1);
      await watch.reach(2);
      watch.abort();
      await watch.ended;
    }));

  it('is not led astray by a busy Consul: no hint, no reading, and few questions', async () => {
    const proxy = await openProxy(server.address, () => undefined);
    await using(
      () => openAt(proxy.address),
      async (registry) => {
        const cluster = freshCluster();
        assertOk(await registry.apply([register(sampleOf(cluster, { health: 'unhealthy' }))], never));
        const watch = await watchCluster(registry, cluster);
        await quiet(proxy);
        const before = proxy.requests.length;
        const start = performance.now();
        const node = `stranger-${cluster}`;
        for (let n = 0; n < 300; n++) {
          await server.request('PUT', '/v1/catalog/register', {
            Node: node,
            Address: '10.9.9.9',
            Service: { Service: `${cluster}-other`, ID: `s${n % 5}`, Port: n + 1 },
            Check: { CheckID: `c${n % 5}`, Name: 'theirs', Status: n % 2 === 0 ? 'passing' : 'critical' },
          });
        }
        await quiet(proxy);
        const asked = proxy.requests.slice(before);
        assert.ok(asked.length > 0, 'the checks of strangers were not even noticed');
        const seconds = (performance.now() - start) / 1_000;
        assert.ok(asked.length <= 12 + 2 * seconds, `${asked.length} requests in ${seconds} s`);
        assert.deepEqual(
          asked.filter(({ path }) => path.includes('/catalog/node')),
          [],
        );
        assert.equal(watch.hints(), 1);
        watch.abort();
        await watch.ended;
      },
    );
  });

  it('ends with the server, and hints no more', async () => {
    const own = await openConsul();
    try {
      await using(
        () => openAt(own.address),
        async (registry) => {
          const watches = [
            await watchCluster(registry, freshCluster()),
            await watching((onHint, signal) => registry.watch({ service: 'web' }, onHint, signal)),
            await watching((onHint, signal) => registry.kv.watch('web', 'key', onHint, signal)),
          ];
          own.kill('SIGKILL');
          for (const watch of watches) assert.match((await watch.ended).code, /^(unreachable|unavailable)$/);
          await own.restart();
          await own.request('PUT', '/v1/kv/roster/web/key', 'x');
          await delay(500);
          assert.deepEqual(
            watches.map((watch) => watch.hints()),
            [1, 1, 1],
          );
        },
      );
    } finally {
      await own.stop();
    }
  });

  it('ends with its client, at once, and leaves no connection', async () => {
    const link = await openTcpLink(Number(port));
    const registry = openAt(`http://127.0.0.1:${link.port}`);
    const watches = [
      await watchCluster(registry, freshCluster()),
      await watching((onHint, signal) => registry.watch({ service: 'web' }, onHint, signal)),
    ];
    assert.ok(link.connections() <= 16 + 3, `${link.connections()} connections`);
    await registry.close();
    for (const watch of watches) assert.equal((await watch.ended).code, 'closed');
    await until('all connections to close', async () => (link.connections() === 0 ? true : undefined));
    await link.close();
  });
});

describe('a watch of a service', () => {
  it('hints at what consumers would see change, whoever wrote it', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const one = stored(registry, sampleOf(cluster));
      const watch = await watching((onHint, signal) => registry.watch({ service: one.service }, onHint, signal));
      assertOk(await registry.apply([register(one)], never));
      await watch.reach(2);
      await harness.intruder.addStranger(one.service);
      await watch.reach(3);
      assertOk(await registry.apply([register(sampleOf(cluster, { service: `${cluster}-other` }))], never));
      assertOk(await registry.apply([deregister(one)], never));
      await watch.reach(4);
      await delay(500);
      assert.equal(watch.hints(), 4);
      watch.abort();
      await watch.ended;
    }));

  it('is one of 48 at most, beside which everything else goes on', () =>
    using(harness.open, async (registry) => {
      const open = (n: number) =>
        watching((onHint, signal) => registry.watch({ service: `${n}-nobody` }, onHint, signal));
      const watches = await Promise.all(Array.from({ length: 48 }, (_, n) => open(n)));
      const [first] = watches;
      const beyond = registry.watch({ service: 'one-more' }, () => {}, never);
      assert.equal((await failureOf(beyond)).code, 'rate-limited');
      const cluster = freshCluster();
      assertOk(await registry.apply(samplesOf(cluster, 300).map(register), never));
      assert.equal((await registry.list(cluster, never)).length, 300);
      first?.abort();
      await first?.ended;
      watches.push(await open(49));
      assert.equal(watches.at(-1)?.hints(), 1);
      for (const watch of watches) watch.abort();
      for (const watch of watches) await watch.ended;
    }));

  it('asks from the beginning when the index goes back, never for index 0, and hints once for one answer', async () => {
    const indexes = [10, 12, 3, 3, undefined];
    const seen: (string | null)[] = [];
    const proxy = await openProxy(undefined, ({ query }) => {
      seen.push(query.get('index'));
      const index = indexes[seen.length - 1];
      // The last answer stands still.
      return seen.length > indexes.length ? undefined : { body: [], ...(index === undefined ? {} : { index }) };
    });
    await using(
      () => openAt(proxy.address),
      async (registry) => {
        const watch = await watching((onHint, signal) => registry.watch({ service: 'web' }, onHint, signal));
        assert.equal((await watch.ended).code, 'protocol');
        // 404 was the sixth answer.
        assert.deepEqual(seen, [null, '10', '12', null, '3', null]);
        assert.equal(watch.hints(), 1);
      },
    );
  });

  it('of a hot service asks a few times at once, and then once a second', async () => {
    let index = 0;
    const proxy = await openProxy(undefined, () => ({ index: ++index, body: [] }));
    await using(
      () => openAt(proxy.address),
      async (registry) => {
        const watch = await watching((onHint, signal) => registry.watch({ service: 'web' }, onHint, signal));
        const start = performance.now();
        await delay(3_000);
        const seconds = (performance.now() - start) / 1_000;
        watch.abort();
        await watch.ended;
        assert.ok(index >= 6 && index <= 7 + seconds, `${index} questions in ${seconds} s`);
      },
    );
  });
});
