// What a Nacos server of one's own is needed for: accounts, and servers that come and go. Its views are renewed as late as by default.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { NacosSettings } from '../../src/registries/nacos/settings.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openNacosLink } from '../links/nacos-link.ts';
import { openNacos } from '../servers/nacos.ts';
import { until } from '../servers/until.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { SECRET } from './harness.ts';
import { openAt, rawNacos } from './nacos-client.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';

const server = await openNacos({ auth: true });
after(() => server.stop());

const account = { username: 'nacos', password: 'nacos' };
const login = await fetch(`${server.address}/nacos/v1/auth/login?username=nacos&password=nacos`, { method: 'POST' });
const { accessToken: token } = (await login.json()) as { accessToken: string };
const raw = rawNacos(server.address, 'DEFAULT_GROUP', { token });
after(() => raw.close());

const open = (over: Partial<NacosSettings> = {}) => openAt(server.address, { ...account, ...over });
const one = (registry: ServiceRegistry, over: Partial<Instance> = {}) =>
  stored(registry, sampleOf(freshCluster(), over));

describe('a Nacos server that wants a login', () => {
  for (const protocol of ['Auto', 'Grpc', 'Http'] as const) {
    it(`takes an account over ${protocol}, and tells one that it does not know`, async () => {
      await using(
        () => open({ protocol }),
        async (registry) => {
          const { version } = await registry.check(never);
          assert.match(version, /^2\.2\./);
          const entry = one(registry);
          assertOk(await registry.apply([register(entry)], never));
          assertSame(await registry.list(entry.marks.cluster, never), [entry]);
          assertOk(await registry.apply([deregister(entry)], never));
        },
      );
      const wrong = { protocol, username: 'nacos', password: SECRET };
      for (const over of [wrong, { ...wrong, username: SECRET }, { protocol, username: undefined }]) {
        await using(
          () => open(over),
          async (registry) => {
            const entry = one(registry);
            assert.equal((await failureOf(registry.check(never))).code, 'unauthorized');
            assert.equal((await failureOf(registry.list(entry.marks.cluster, never))).code, 'unauthorized');
            const [result] = await registry.apply([register(entry)], never);
            assert.equal(failureIn(result).code, 'unauthorized');
          },
        );
      }
    });
  }
});

describe('an entry in Nacos', () => {
  it('is in a service that the server does not check, with the protectThreshold of the registry', () =>
    using(
      () => open({ protectThreshold: 0.25 }),
      async (registry) => {
        const entry = one(registry);
        assertOk(await registry.apply([register(entry)], never));
        assert.deepEqual(await raw.service(entry.service), { checker: 'NONE', protectThreshold: 0.25 });
        assertOk(await registry.apply([deregister(entry)], never));
      },
    ));

  it('is not checked either where strangers have the service already, and they are checked as before', () =>
    using(open, async (registry) => {
      const entry = one(registry);
      const theirs = { service: entry.service, ip: '10.1.0.9', port: 9, clusterName: 'THEIRS' };
      await raw.put({ ...theirs, weight: 1, healthy: true, enabled: true, ephemeral: false, metadata: {} });
      await raw.settle();
      assertOk(await registry.apply([register(entry)], never));
      assert.equal((await raw.service(entry.service)).checker, 'NONE');
      assert.equal((await raw.service(entry.service, 'THEIRS')).checker, 'TCP');
      assertOk(await registry.apply([deregister(entry)], never));
    }));

  it('tells consumers by healthy and weight what it is good for, from 0 to 10000', () =>
    using(open, async (registry) => {
      const cluster = freshCluster();
      const states: readonly Partial<Instance>[] = [
        { weight: 0 },
        { weight: 10_000 },
        { health: 'draining', weight: 7 },
        { health: 'unhealthy', weight: 7 },
      ];
      const all = states.map((over, number) => stored(registry, sampleOf(cluster, { number, ...over })));
      assertOk(await registry.apply(all.map(register), never));
      await raw.settle();
      const seen = (await raw.viewOf(`${cluster}-web`)).map(({ ip, weight, healthy, enabled }) => [
        ip,
        weight,
        healthy,
        enabled,
      ]);
      assert.deepEqual(seen.sort(), [
        ['10.1.0.0', 0, true, true],
        ['10.1.0.1', 10_000, true, true],
        ['10.1.0.2', 0, true, true],
        ['10.1.0.3', 7, false, true],
      ]);
      assert.equal(registry.normalise(sampleOf(cluster, { weight: 10_001 })).ok, false);
      assertOk(await registry.apply(all.map(deregister), never));
    }));

  it('is alone in its place: of two that want it in one batch, the second is told so', () =>
    using(open, async (registry) => {
      const cluster = freshCluster();
      const first = stored(registry, sampleOf(cluster));
      const second = { ...first, id: `${cluster}/shop/other/10.1.0.1:8080` };
      for (const liveness of ['persistent', 'leased'] as const) {
        const both = [first, second].map((entry) => ({ ...entry, service: `${cluster}-${liveness}`, liveness }));
        const [taken, refused] = await registry.apply(both.map(register), never);
        assert.ok(taken?.ok);
        assert.equal(failureIn(refused).code, 'conflict');
        assertSame(await registry.discover(`${cluster}-${liveness}`, never), both.slice(0, 1));
      }
    }));

  it('of one kind keeps entries of the other out of its service, as a conflict', () =>
    using(open, async (registry) => {
      const cluster = freshCluster();
      for (const [there, beside] of [
        ['persistent', 'leased'],
        ['leased', 'persistent'],
      ] as const) {
        const [first, second] = samplesOf(cluster, 2).map((entry, n) =>
          stored(registry, { ...entry, service: `${cluster}-${there}`, liveness: n === 0 ? there : beside }),
        );
        assert.ok(first !== undefined && second !== undefined);
        assertOk(await registry.apply([register(first)], never));
        assert.equal(failureIn((await registry.apply([register(second)], never))[0]).code, 'conflict');
        assertSame(await registry.discover(first.service, never), [first]);
      }
    }));

  it('of a namespace, group or Nacos cluster is in that one alone', () =>
    using(open, async (elsewhere) => {
      const own = { namespace: 'shop', group: 'shop:eu-1.a', cluster: 'eu-1' };
      await using(
        () => open(own),
        async (registry) => {
          const entry = one(registry);
          assertOk(await registry.apply([register(entry)], never));
          assertSame(await registry.list(entry.marks.cluster, never), [entry]);
          assert.deepEqual(await elsewhere.list(entry.marks.cluster, never), []);
          assert.deepEqual(await elsewhere.discover(entry.service, never), []);
          const params = { namespaceId: 'shop', groupName: own.group, serviceName: entry.service, clusters: 'eu-1' };
          const { hosts } = JSON.parse(await raw.call('GET', '/instance/list', params));
          assert.deepEqual(
            hosts.map(({ ip, clusterName }: { ip: string; clusterName: string }) => [ip, clusterName]),
            [[entry.address, 'eu-1']],
          );
          assertOk(await registry.apply([deregister(entry)], never));
        },
      );
    }));
});

describe('a Nacos whose gRPC port is closed', () => {
  it('is asked over HTTP by Auto, which holds persistent entries and tells what it cannot', async () => {
    const link = await openNacosLink(Number(new URL(server.address).port), { grpc: false });
    after(() => link.close());
    for (const protocol of ['Auto', 'Http'] as const) {
      await using(
        () => openAt(link.address, { ...account, protocol }),
        async (registry) => {
          const entry = one(registry, { health: 'draining' });
          assertOk(await registry.apply([register(entry)], never));
          assertSame(await registry.list(entry.marks.cluster, never), [entry]);
          assert.match((await registry.check(never)).version, /^2\.2\./);
          const changed = { ...entry, health: 'healthy' as const };
          assertOk(await registry.apply([update(changed, entry)], never));
          assertSame(await registry.discover(entry.service, never), [changed]);

          const isHttp = protocol === 'Http';
          assert.equal(registry.capabilities.leased, !isHttp);
          assert.equal(registry.capabilities.watch, !isHttp);
          const leased = sampleOf(freshCluster(), { liveness: 'leased' });
          if (isHttp) assert.equal(registry.normalise(leased).ok, false);
          else
            assert.equal(
              failureIn((await registry.apply([register(stored(registry, leased))], never))[0]).code,
              'unreachable',
            );
          assertOk(await registry.apply([deregister(changed)], never));
        },
      );
    }
  });
});

// These end the server, so they come last.
describe('a Nacos server that comes and goes', () => {
  const cluster = freshCluster();
  const shown = async () => {
    const entries = await Promise.all([`${cluster}-web`, `${cluster}-leased`].map((service) => raw.viewOf(service)));
    return entries.flat().map(({ ip, ephemeral }) => `${ip} ${ephemeral ? 'leased' : 'persistent'}`);
  };
  const showsBoth = () =>
    until(
      'both kinds of entries to stand',
      async () => {
        const seen = await shown().catch(() => []);
        return seen.length === 2 ? seen : undefined;
      },
      120_000,
    );

  it('restarted, frozen or wiped, it gets leased entries back without being asked; persistent ones stay, or are missed', () =>
    using(
      () => open({ requestMs: 2_000 }),
      async (registry) => {
        const stays = stored(registry, sampleOf(cluster));
        const leased = stored(
          registry,
          sampleOf(cluster, { number: 2, service: `${cluster}-leased`, liveness: 'leased' }),
        );
        assertOk(await registry.apply([register(stays), register(leased)], never));
        const before = (await showsBoth()).sort();

        await server.restart();
        assert.deepEqual((await showsBoth()).sort(), before);
        await listed(registry, [stays, leased]);

        server.kill('SIGSTOP');
        const failure = await failureOf(registry.list(cluster, never));
        server.kill('SIGCONT');
        assert.ok(failure.code === 'timeout' || failure.code === 'unreachable', failure.message);
        assert.deepEqual((await showsBoth()).sort(), before);
        await listed(registry, [stays, leased]);

        server.kill('SIGKILL');
        await rm(join(dirname(server.logPath), 'data'), { recursive: true, force: true, maxRetries: 5 });
        await server.restart();
        await listed(registry, [leased]);
        assertOk(await registry.apply([register(stays)], never));
        await listed(registry, [stays, leased]);
        assert.deepEqual((await showsBoth()).sort(), before);
        assert.deepEqual((await raw.service(stays.service)).checker, 'NONE');
      },
    ));

  /** Until it answers, and the leased entries are back. */
  const listed = (registry: ServiceRegistry, expected: readonly Instance[]) =>
    until(
      `${expected.length} entries to be listed`,
      async () => {
        const seen = await registry.list(cluster, never).catch(() => []);
        if (seen.length !== expected.length) return undefined;
        assertSame(seen, expected);
        return true;
      },
      120_000,
    );
});
