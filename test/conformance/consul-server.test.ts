// What only Consul has: nodes, checks, access control and TLS.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { after, afterEach, describe, it } from 'node:test';
import ConsulClient from 'consul';
import { createRegistry } from '../../src/registries/create.ts';
import { openProxy } from '../links/consul-proxy.ts';
import { openTcpLink } from '../links/tcp-link.ts';
import { openConsul } from '../servers/consul.ts';
import { sharedConsul } from '../servers/shared.ts';
import { until } from '../servers/until.ts';
import { sweepAfter } from './conformance.ts';
import { consulHarness, openAt } from './consul-harness.ts';
import {
  assertDistrusted,
  assertOk,
  assertSame,
  assertStanding,
  failureIn,
  failureOf,
  never,
  stored,
  using,
} from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';

const server = await sharedConsul();
const harness = await consulHarness(server);

/** As the npm package `consul` gives it. */
interface Found {
  readonly Service: {
    readonly Address: string;
    readonly Port: number;
    readonly Tags: readonly string[];
    readonly Meta: Readonly<Record<string, string>>;
    readonly Weights: { readonly Passing: number };
  };
}

afterEach(() => sweepAfter(harness));

const get = async (path: string) => (await server.request('GET', `/v1${path}`)).body;

describe('what stands in Consul', () => {
  it('who writes for a cluster is on a node without entries, with another check for each claim', () =>
    using(harness.open, async (registry) => {
      for (const cluster of [freshCluster(), `${freshCluster()}/Straße`]) {
        const terms = new Set<string>();
        for (let times = 0; times < 2; times++) {
          await registry.claim({ cluster, owner: 'roster/us' }, never);
          const [node] = await get(`/catalog/nodes?consistent&node-meta=roster-claim:${encodeURIComponent(cluster)}`);
          if (/^[a-z0-9-]+$/.test(cluster)) assert.equal(node.Node, `roster-${cluster}-claim`);
          else assert.match(node.Node, /^roster--[0-9a-f]{32}-claim$/);
          assert.equal(node.Address, '192.0.2.1');
          assert.deepEqual(node.Meta, {
            'managed-by': 'roster',
            'roster-claim': cluster,
            'roster-claimed-by': 'roster/us',
          });
          const [check, ...others] = await get(`/health/node/${node.Node}?consistent`);
          assert.deepEqual([check.Status, check.Output, check.ServiceID, others], ['passing', 'roster/us', '', []]);
          terms.add(check.CheckID);
        }
        assert.equal(terms.size, 2);
      }
    }));

  it('a claim whose node somebody emptied or wrote anew holds no more, and nobody knows whose that is', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const Node = `roster-${cluster}-claim`;
      await registry.claim({ cluster, owner: 'roster/us' }, never);
      const [{ CheckID }] = await get(`/health/node/${Node}?consistent`);
      await server.request('PUT', '/v1/catalog/deregister', { Node, CheckID });
      assert.equal((await failureOf(registry.check(never))).code, 'fenced');
      await registry.claim({ cluster, owner: 'roster/us' }, never);
      await server.request('PUT', '/v1/catalog/deregister', { Node });
      await server.request('PUT', '/v1/catalog/register', { Node, Address: '10.9.9.9' });
      const [result] = await registry.apply([register(stored(registry, sampleOf(cluster)))], never);
      assert.equal(failureIn(result).code, 'fenced');
      const refused = await failureOf(registry.claim({ cluster, owner: 'roster/us' }, never));
      assert.deepEqual([refused.code, refused.context['owner']], ['owned', 'unknown']);
      await registry.claim({ cluster, owner: 'roster/us', adopt: 'unknown' }, never);
      await registry.check(never);
    }));

  it('an entry is where the documentation says, under its readable id, with an address of its own and Roster’s marks', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instance = stored(
        registry,
        sampleOf(cluster, { metadata: { 'app.kubernetes.io/name': 'web' }, weight: 7, tags: ['v2'] }),
      );
      assertOk(await registry.apply([register(instance)], never));
      const [{ Node, Service, Checks }] = await get(`/health/service/${instance.service}`);
      assert.match(Node.Node, new RegExp(`^roster-${cluster}-\\d{3}$`));
      assert.deepEqual(Node.Meta, { 'managed-by': 'roster', 'roster-cluster': cluster });
      assert.deepEqual([Service.ID, Service.Address, Service.Port], [instance.id, instance.address, 8080]);
      assert.deepEqual([Service.Tags, Service.Weights], [['v2'], { Passing: 7, Warning: 0 }]);
      assert.deepEqual(Service.Meta, {
        'app-kubernetes-io-name': 'web',
        'managed-by': 'roster',
        'roster-cluster': cluster,
        'roster-owner': 'shop/web',
        'roster-registration': 'ServiceRegistration/shop/web',
      });
      assert.deepEqual(Checks, []);
    }));

  it('an entry of either kind is found by a client that knows nothing of Roster, and by DNS, with all that was said of it', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const kinds = ['persistent', 'leased'] as const;
      const instances = kinds.map((liveness, n) =>
        stored(registry, sampleOf(cluster, { number: n + 1, liveness, weight: n + 3, metadata: { zone: `z${n}` } })),
      );
      assertOk(await registry.apply(instances.map(register), never));
      const service = `${cluster}-web`;
      const raw = new ConsulClient({ host: '127.0.0.1', port: Number(new URL(server.address).port) });
      const tags: Record<string, string[]> = await raw.catalog.service.list();
      assert.deepEqual(tags[service]?.sort(), ['v2', 'web']);
      const found: Found[] = await raw.health.service({ service, passing: true });
      const said = found.map(({ Service: { Address, Port, Tags, Meta, Weights } }) =>
        [`${Address}:${Port}`, ...Tags.toSorted(), Meta['zone'], Weights.Passing].join(' '),
      );
      assert.deepEqual(said.sort(), ['10.1.0.1:8080 v2 web z0 3', '10.1.0.2:8080 v2 web z1 4']);
      const dns = new Resolver();
      const { DebugConfig } = await get('/agent/self');
      dns.setServers([`127.0.0.1:${DebugConfig.DNSPort}`]);
      assert.deepEqual((await dns.resolve4(`${service}.service.consul`)).sort(), ['10.1.0.1', '10.1.0.2']);
      const records = await dns.resolveSrv(`${service}.service.consul`);
      assert.deepEqual(records.map(({ port, weight }) => `${port} ${weight}`).sort(), ['8080 3', '8080 4']);
    }));

  it('who asks for passing instances gets the healthy ones with a weight, and all of those', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const states = [{}, { health: 'draining' }, { health: 'unhealthy' }, { weight: 0 }] as const;
      const all = states.map((state, number) => stored(registry, sampleOf(cluster, { number, ...state })));
      const passing = async () => {
        const found: { Service: { ID: string } }[] = await get(`/health/service/${cluster}-web?passing`);
        return found.map(({ Service }) => Service.ID).sort();
      };
      assertOk(await registry.apply(all.map(register), never));
      assert.deepEqual(await passing(), [all[0]?.id]);

      const recovered = all.map((instance) => ({ ...instance, health: 'healthy', weight: 100 }) as const);
      assertOk(
        await registry.apply(
          recovered.map((instance, n) => update(instance, all[n] ?? assert.fail())),
          never,
        ),
      );
      assert.deepEqual(await passing(), all.map(({ id }) => id).sort());
      assert.deepEqual(await get(`/health/state/any?node-meta=roster-cluster:${cluster}`), []);
    }));

  it('without health checks no check is written, and those of before go', async () => {
    const cluster = freshCluster();
    const before = sampleOf(cluster, { health: 'unhealthy' });
    await using(harness.open, async (registry) => assertOk(await registry.apply([register(before)], never)));
    await using(
      () => openAt(server.address, { healthChecks: false }),
      async (registry) => {
        const [standing] = await registry.list(cluster, never);
        const wanted = [before, sampleOf(cluster, { number: 2, health: 'unhealthy' })].map((one) =>
          stored(registry, one),
        );
        assertOk(
          await registry.apply(
            [update(wanted[0] ?? assert.fail(), standing ?? assert.fail()), ...wanted.slice(1).map(register)],
            never,
          ),
        );
        assert.deepEqual(await get(`/health/state/any?node-meta=roster-cluster:${cluster}`), []);
        await assertStanding(harness, registry, cluster, wanted);
      },
    );
  });

  it('a prefix stands before the name for consumers, and a list gives it', () =>
    using(
      () => openAt(server.address, { prefix: 'k8s-' }),
      async (registry) => {
        const cluster = freshCluster();
        const instance = stored(registry, sampleOf(cluster));
        assert.equal(instance.service, `k8s-${cluster}-web`);
        assertOk(await registry.apply([register(instance)], never));
        assertSame(await registry.discover(`k8s-${cluster}-web`, never), [instance]);
        await assertStanding(harness, registry, cluster, [instance]);
      },
    ));

  it('a cluster name that is no node name has nodes and entries of its own all the same', () =>
    using(harness.open, async (registry) => {
      const base = freshCluster();
      const clusters = [`${base}/Straße:1`, `${base}/straße:1`, base];
      for (const cluster of clusters) {
        const instance = stored(registry, sampleOf(cluster, { service: `${base}-web` }));
        assertOk(await registry.apply([register(instance)], never));
      }
      for (const cluster of clusters) {
        await assertStanding(harness, registry, cluster, [sampleOf(cluster, { service: `${base}-web` })]);
        await harness.sweep(cluster);
      }
    }));

  it('a node that lost our marks, and with them its entries in every list, is ours again after the next write', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 3).map((instance) => stored(registry, instance));
      assertOk(await registry.apply(instances.map(register), never));
      const [{ Node, Address }] = await get(`/catalog/service/${cluster}-web`);
      await server.request('PUT', '/v1/catalog/register', { Node, Address, NodeMeta: {} });
      assert.deepEqual(await registry.list(cluster, never), []);
      assertOk(await registry.apply(instances.map(register), never));
      await assertStanding(harness, registry, cluster, instances);
    }));

  it('a name that changes takes the instance to another node in one transaction: no consumer sees it twice or not at all', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const before = samplesOf(cluster, 40).map((instance) => stored(registry, { ...instance, health: 'draining' }));
      const after_ = before.map((instance, n) => ({ ...instance, service: `${cluster}-${n}` }));
      assertOk(await registry.apply(before.map(register), never));
      const indexBefore = await harness.revision(cluster);
      assertOk(
        await registry.apply(
          after_.map((instance, n) => update(instance, before[n] ?? assert.fail())),
          never,
        ),
      );
      await assertStanding(harness, registry, cluster, after_);
      assert.notEqual(await harness.revision(cluster), indexBefore);
      for (const { id, service } of after_) {
        const [{ Service }] = await get(`/health/service/${service}`);
        // Set in the transaction that deleted the other.
        assert.equal(Service.ID, id);
      }
    }));
});

describe('what consumers of a name get', () => {
  it('is told for every name that somebody may have registered', () =>
    using(harness.open, async (registry) => {
      const base = freshCluster();
      for (const end of [' with a space', '/a/b', 'é\u{1f600}', '?#%2f&', '__proto__', 'n'.repeat(512)]) {
        const service = `${base}${end}`;
        await harness.intruder.addStranger(service);
        const [found, ...others] = await registry.discover(service, never);
        assert.deepEqual([found?.service, others], [service, []]);
      }
      assert.deepEqual(await registry.discover('__proto__', never), []);
    }));

  it('is invalid for a name that none can have, or that Consul would read as another', () =>
    using(harness.open, async (registry) => {
      for (const name of ['', '.', '..', 'a//b', 'a/../b', '/a', 'a\u0000', 'a\nb', 'a\u2028', '\ud83d']) {
        assert.equal((await failureOf(registry.discover(name, never))).code, 'invalid');
        assert.equal((await failureOf(registry.watch({ service: name }, () => {}, never))).code, 'invalid');
      }
    }));
});

describe('lists of Consul', () => {
  it('a node that goes while it is read is no reason for a list that lacks it', async () => {
    const cluster = freshCluster();
    const instances = [1, 2, 3, 4].map((number) => sampleOf(cluster, { number, service: `${cluster}-${number}` }));
    await using(harness.open, async (registry) => assertOk(await registry.apply(instances.map(register), never)));

    // Hides the second node from everyone who reads its content, as if it went after each list of nodes.
    let hidden = 1;
    const nodes: { Node: string }[] = await get(`/catalog/nodes?node-meta=roster-cluster:${cluster}`);
    const proxy = await openProxy(server.address, ({ path }) =>
      path.includes(`/catalog/node/${nodes[1]?.Node}`) && hidden-- > 0 ? { body: null } : undefined,
    );
    await using(
      () => openAt(proxy.address),
      async (registry) => {
        assertSame(await registry.list(cluster, never), instances);
        hidden = Number.POSITIVE_INFINITY;
        assert.equal((await failureOf(registry.list(cluster, never))).code, 'conflict');
      },
    );
  });

  it('takes few connections, however much there is to read', async () => {
    const cluster = freshCluster();
    const link = await openTcpLink(Number(new URL(server.address).port));
    await using(
      () => openAt(`http://127.0.0.1:${link.port}`),
      async (registry) => {
        const many = samplesOf(cluster, 500).map((instance, n) =>
          stored(registry, { ...instance, service: `${cluster}-${n}` }),
        );
        assertOk(
          (
            await Promise.all(
              [0, 1, 2, 3].map((part) => registry.apply(many.filter((_, n) => n % 4 === part).map(register), never)),
            )
          ).flat(),
        );
        const lists = await Promise.all([1, 2, 3, 4].map(() => registry.list(cluster, never)));
        for (const list of lists) assert.equal(list.length, 500);
        assert.ok(link.connections() <= 16, `${link.connections()} connections`);
      },
    );
    await link.close();
  });
});

describe('a Consul with access control', async () => {
  const guarded = await openConsul({ acl: true });
  after(() => guarded.stop());
  const managed = await consulHarness(guarded);
  const tokenFor = async (rules: string): Promise<string> => {
    const name = freshCluster();
    await guarded.request('PUT', '/v1/acl/policy', { Name: name, Rules: rules });
    const { body } = await guarded.request('PUT', '/v1/acl/token', { Policies: [{ Name: name }] });
    return body.SecretID;
  };
  const least = await tokenFor(
    'node_prefix "roster-" { policy = "write" } service_prefix "" { policy = "write" } session_prefix "" { policy = "deny" }',
  );
  const withToken = (token: string | undefined) => () => openAt(guarded.address, token === undefined ? {} : { token });

  it('needs no more than node:write on roster- and service:write; then the version is not told', () =>
    using(withToken(least), async (registry) => {
      const cluster = freshCluster();
      const instances = [1, 2].map((number) => stored(registry, sampleOf(cluster, { number, health: 'draining' })));
      await registry.claim({ cluster, owner: 'roster/us' }, never);
      assertOk(await registry.apply(instances.map(register), never));
      await assertStanding(managed, registry, cluster, instances);
      assertSame(await registry.discover(`${cluster}-web`, never), instances);
      assert.deepEqual(await registry.check(never), { version: 'unknown' });
      assertOk(await registry.apply(instances.map(deregister), never));
    }));

  it('under a claim a batch is one write as without it, and a check none', () =>
    using(withToken(guarded.token), async (registry) => {
      const cluster = freshCluster();
      const all = samplesOf(cluster, registry.capabilities.batchSize).map((instance) => stored(registry, instance));
      await registry.claim({ cluster, owner: 'roster/us' }, never);
      assertOk(await registry.apply(all.map(register), never));
      const before = await guarded.raftIndex();
      await registry.check(never);
      assert.equal(await guarded.raftIndex(), before);
      const heavier = all.map((one) => update({ ...one, weight: 7 }, one));
      assertOk(await registry.apply(heavier, never));
      assert.equal(await guarded.raftIndex(), before + 1);
      await using(withToken(guarded.token), (next) => next.claim({ cluster, owner: 'roster/us' }, never));
      const claimed = await guarded.raftIndex();
      for (const result of await registry.apply([...all, ...samplesOf(cluster, 500)].map(deregister), never))
        assert.equal(failureIn(result).code, 'fenced');
      // The one that was refused is in the log too; nothing was tried again.
      assert.equal(await guarded.raftIndex(), claimed + 1);
    }));

  it('a token that it does not know is unauthorized, everywhere', () =>
    using(withToken('b1ad0000-0000-0000-0000-000000000000'), async (registry) => {
      const [result] = await registry.apply([register(sampleOf(freshCluster()))], never);
      const failures = [
        failureIn(result),
        await failureOf(registry.check(never)),
        await failureOf(registry.list(freshCluster(), never)),
        await failureOf(registry.discover('web', never)),
      ];
      for (const { code, message } of failures) {
        assert.equal(code, 'unauthorized');
        assert.doesNotMatch(message, /b1ad/);
      }
    }));

  it('a token without the right to write is forbidden, for every change', async () => {
    const reader = await tokenFor('node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }');
    for (const token of [undefined, reader]) {
      await using(withToken(token), async (registry) => {
        const results = await registry.apply(samplesOf(freshCluster(), 200).map(register), never);
        for (const result of results) assert.equal(failureIn(result).code, 'forbidden');
        const claimed = await failureOf(registry.claim({ cluster: freshCluster(), owner: 'roster/us' }, never));
        assert.equal(claimed.code, 'forbidden');
        assert.match(claimed.message, /node:/);
      });
    }
  });

  it('a token that may write some services only fails those changes alone', async () => {
    const cluster = freshCluster();
    const some = await tokenFor(
      `node_prefix "roster-" { policy = "write" } service_prefix "" { policy = "read" } service_prefix "${cluster}-a" { policy = "write" }`,
    );
    await using(withToken(some), async (registry) => {
      const instances = samplesOf(cluster, 6).map((instance, n) => ({
        ...instance,
        service: `${cluster}-${n % 2 === 0 ? 'a' : 'b'}`,
      }));
      const results = await registry.apply(instances.map(register), never);
      results.forEach((result, n) => {
        if (n % 2 === 0) assert.ok(result.ok);
        else assert.equal(failureIn(result).code, 'forbidden');
      });
      await assertStanding(
        managed,
        registry,
        cluster,
        instances.filter((_, n) => n % 2 === 0),
      );
    });
  });

  it('leases need session:write beside it: without, what is leased is forbidden and told so, and the rest is written', async () => {
    const leasing = await tokenFor(
      'node_prefix "roster-" { policy = "write" } service_prefix "" { policy = "write" } session_prefix "roster-" { policy = "write" }',
    );
    const cluster = freshCluster();
    const [leased, persistent] = [sampleOf(cluster, { liveness: 'leased' }), sampleOf(cluster, { number: 2 })];
    await using(withToken(least), async (registry) => {
      const [refused, taken] = await registry.apply([register(leased), register(persistent)], never);
      const failure = failureIn(refused);
      assert.deepEqual([failure.code, failure.ambiguous], ['forbidden', false]);
      assert.match(failure.message, /session:write on the prefix roster-/);
      assert.ok(taken?.ok);
      await assertStanding(managed, registry, cluster, [persistent]);
    });
    await using(withToken(leasing), async (registry) => {
      assertOk(await registry.apply([register(leased)], never));
      await assertStanding(managed, registry, cluster, [leased, persistent]);
    });
  });

  it('key-value pairs need key:write on roster/, and nothing else', async () => {
    const pairs = await tokenFor('key_prefix "roster/" { policy = "write" }');
    await using(withToken(pairs), async ({ kv }) => {
      await kv.put('web', 'key', 'value', never);
      assert.equal(await kv.get('web', 'key', never), 'value');
    });
    await using(withToken(least), async ({ kv }) => {
      const calls: readonly (() => Promise<unknown>)[] = [
        () => kv.put('web', 'key', 'other', never),
        () => kv.put('web', 'key', undefined, never),
        () => kv.get('web', 'key', never),
        () => kv.watch('web', 'key', () => {}, never),
      ];
      for (const call of calls) {
        const failure = await failureOf(call());
        assert.deepEqual([failure.code, failure.ambiguous], ['forbidden', false]);
        assert.match(failure.message, /key:write.*on the prefix roster\//);
      }
    });
    assert.equal((await guarded.request('GET', '/v1/kv/roster/web/key?raw')).body, 'value');
  });

  it('a watch ends when its token is taken away, and says so', async () => {
    const name = freshCluster();
    const rules = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }';
    await guarded.request('PUT', '/v1/acl/policy', { Name: name, Rules: rules });
    const { body } = await guarded.request('PUT', '/v1/acl/token', { Policies: [{ Name: name }] });
    await using(withToken(body.SecretID), async (registry) => {
      const watch = await watching((onHint, signal) => registry.watch({ cluster: name }, onHint, signal));
      assert.equal(watch.hints(), 1);
      await guarded.request('DELETE', `/v1/acl/token/${body.AccessorID}`);
      // Wakes it, so that it asks again.
      let stranger = 0;
      const ended = watch.ended.then((error) => error);
      await until('the end of the watch', async () => {
        await guarded.request('PUT', '/v1/catalog/register', {
          Node: `stranger-${name}`,
          Address: '10.9.9.9',
          Check: { CheckID: 'c', Name: 'theirs', Status: stranger++ % 2 === 0 ? 'passing' : 'critical' },
        });
        return Promise.race([ended, undefined]);
      });
      assert.match((await ended).code, /^(unauthorized|forbidden)$/);
    });
  });

  it('a list from which entries are hidden is forbidden, not short', async () => {
    const cluster = freshCluster();
    await using(withToken(least), async (registry) => {
      const instances = ['a', 'b'].map((name, number) => sampleOf(cluster, { number, service: `${cluster}-${name}` }));
      assertOk(await registry.apply(instances.map(register), never));
    });
    for (const rules of [
      'service_prefix "" { policy = "read" }',
      'node_prefix "roster-" { policy = "read" }',
      `node_prefix "roster-" { policy = "read" } service_prefix "${cluster}-a" { policy = "read" }`,
    ]) {
      const token = await tokenFor(rules);
      await using(withToken(token), async (registry) => {
        assert.equal((await failureOf(registry.list(cluster, never))).code, 'forbidden');
      });
    }
  });
});

describe('a Consul with TLS', async () => {
  const secure = await openConsul({ tls: true });
  after(() => secure.stop());
  const files = secure.tls ?? assert.fail();
  const [ca, cert, key] = await Promise.all(
    [files.caFile, files.certFile, files.keyFile].map((path) => readFile(path, 'utf8')),
  );
  const created = (secrets: object, tls: object = {}, address = secure.address) =>
    createRegistry(
      {
        type: 'Consul',
        consul: { address, prefix: '', ttlSeconds: 0, healthChecks: true, tls },
        timeouts: { connectSeconds: 5, requestSeconds: 10 },
        audit: { intervalSeconds: 60 },
        deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
        allowUnmanagedEndpoints: false,
      },
      secrets,
    );

  it('is reached with its authority and our certificate, as the factory is given them', () =>
    using(
      () => created({ ca, cert, key }),
      async (registry) => {
        const cluster = freshCluster();
        const instance = stored(registry, sampleOf(cluster));
        assertOk(await registry.apply([register(instance)], never));
        assertSame(await registry.list(cluster, never), [instance]);
        assert.match((await registry.check(never)).version, /^\d+\.\d+\.\d+/);
      },
    ));

  it('is reached by the name of its certificate where the address is another', () =>
    using(
      () => created({ ca }, { serverName: 'server.dc1.consul' }),
      async (registry) => void (await registry.check(never)),
    ));

  it('is not reached when its certificate is of an unknown authority, or of another name; nothing was written then', async () => {
    for (const registry of [created({}), created({ ca }, { serverName: 'other.example.org' })]) {
      await assertDistrusted(registry);
    }
  });

  it('that wants a certificate of its clients is reached with one, and told to want one without', async () => {
    const mutual = await openConsul({ tls: 'mutual' });
    after(() => mutual.stop());
    const { caFile, certFile, keyFile } = mutual.tls ?? assert.fail();
    const [itsCa, itsCert, itsKey] = await Promise.all(
      [caFile, certFile, keyFile].map((path) => readFile(path, 'utf8')),
    );
    await using(
      () => created({ ca: itsCa, cert: itsCert, key: itsKey }, {}, mutual.address),
      async (registry) => void (await registry.check(never)),
    );
    for (const secrets of [{ ca: itsCa }, { ca: itsCa, cert, key }]) {
      await using(
        () => created(secrets, {}, mutual.address),
        async (registry) => {
          // The connection may be gone before its last word is read.
          await until('the reason', async () => {
            const { code, message } = await failureOf(registry.check(never));
            assert.equal(code, 'unreachable');
            return /certSecretRef/.test(message) ? true : undefined;
          });
        },
      );
    }
  });

  it('spoken to without TLS it is no Consul', () =>
    using(
      () => created({}, {}, secure.address.replace('https', 'http')),
      async (registry) => assert.equal((await failureOf(registry.check(never))).code, 'protocol'),
    ));
});
