// What a ZooKeeper server of one's own is needed for: access lists, limits, and servers that come and go.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import zookeeper from 'node-zookeeper-client';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openZooKeeperLink } from '../links/zookeeper-link.ts';
import { until } from '../servers/until.ts';
import { openZooKeeper, type ZooKeeperOptions, type ZooKeeperServer } from '../servers/zookeeper.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { SECRET } from './harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { nodeName, openAt, pathOf } from './zookeeper-harness.ts';
import { rawZooKeeper } from './zookeeper-raw.ts';

async function opened(options: ZooKeeperOptions = {}): Promise<ZooKeeperServer> {
  const server = await openZooKeeper({ fsync: false, ...options });
  after(() => server.stop());
  return server;
}

const shared = await openZooKeeper({ fsync: false });
const raw = rawZooKeeper(shared.address);
const link = await openZooKeeperLink(Number(shared.address.split(':')[1]));
const throughLink = `127.0.0.1:${link.port}`;
after(async () => {
  await raw.close();
  await link.close();
  await shared.stop();
});

const one = (registry: ServiceRegistry, over: Partial<Instance> = {}) =>
  stored(registry, sampleOf(freshCluster(), over));

describe('an independent reader finds', () => {
  const marks = (cluster: string) => ({
    'managed-by': 'roster',
    'roster-cluster': cluster,
    'roster-owner': 'shop/web',
    'roster-registration': 'ServiceRegistration/shop/web',
  });
  const documents = {
    Curator: ({ service }: Instance, name: string, cluster: string) => ({
      name: service,
      id: name,
      address: '[fd00::7]',
      port: 8080,
      sslPort: null,
      payload: {
        '@class': 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance',
        id: service,
        name: service,
        metadata: {
          team: 'shop',
          weight: '100',
          'roster-tags': '["grpc","v2"]',
          ...marks(cluster),
          instance_status: 'UP',
        },
      },
      registrationTimeUTC: 1_700_000_000_000,
      serviceType: 'PERMANENT',
      uriSpec: {
        parts: [
          { value: 'scheme', variable: true },
          { value: '://', variable: false },
          { value: 'address', variable: true },
          { value: ':', variable: false },
          { value: 'port', variable: true },
        ],
      },
    }),
    Kratos: ({ service }: Instance, name: string, cluster: string) => ({
      id: name,
      name: service,
      version: '',
      metadata: { team: 'shop', weight: '100', 'roster-tags': '["grpc","v2"]', ...marks(cluster) },
      endpoints: ['grpc://[fd00::7]:8080'],
    }),
    Plain: ({ id, service }: Instance, _name: string, cluster: string) => ({
      id,
      service,
      address: 'fd00::7',
      port: 8080,
      health: 'healthy',
      weight: 100,
      tags: ['grpc', 'v2'],
      metadata: { team: 'shop' },
      roster: marks(cluster),
    }),
  };
  for (const layout of ['Curator', 'Kratos', 'Plain'] as const) {
    it(`the node of layout ${layout} as it is documented`, () =>
      using(
        () => openAt(`${shared.address}/chroot`, { layout, rootPath: `/${layout}/at`, today: () => 1_700_000_000_000 }),
        async (registry) => {
          const cluster = freshCluster();
          const id = `${cluster}/shop/web/[fd00::7]:8080`;
          const instance = stored(registry, sampleOf(cluster, { id, address: 'fd00::7', tags: ['v2', 'grpc'] }));
          assertOk(await registry.apply([register(instance)], never));

          const name = `${cluster}%2Fshop%2Fweb%2F[fd00::7]:8080`;
          const service = `/chroot/${layout}/at/${instance.service}`;
          assert.deepEqual(await raw.children(service), [name]);
          const node = await raw.get(`${service}/${name}`);
          assert.deepEqual(JSON.parse(node?.text ?? ''), documents[layout](instance, name, cluster));
          // Persistent.
          assert.deepEqual(node?.stat.ephemeralOwner, Buffer.alloc(8));
        },
      ));
  }

  it('a node of layout Kratos new under its name after every change, because its consumers watch names alone', () =>
    using(
      () => openAt(shared.address, { layout: 'Kratos', rootPath: '/microservices' }),
      async (registry) => {
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        const path = `/microservices/${instance.service}`;
        const told = new Promise<zookeeper.Event>((resolve, reject) =>
          raw.client.getChildren(path, resolve, (error) =>
            error === null || error === undefined ? undefined : reject(error),
          ),
        );
        // Answers come in order: the watch is set when this one is there.
        await raw.children(path);
        assertOk(await registry.apply([update({ ...instance, health: 'unhealthy' }, instance)], never));
        assert.equal((await told).type, zookeeper.Event.NODE_CHILDREN_CHANGED);
        const [name] = await raw.children(path);
        const node = await raw.get(`${path}/${name}`);
        assert.deepEqual(JSON.parse(node?.text ?? '').endpoints, []);
      },
    ));
});

describe('the nodes of services', () => {
  it('are taken away when they are ours and empty, and stay when they are not', () =>
    using(
      () => openAt(shared.address),
      async (registry) => {
        const [ours, shares, theirs] = [one(registry), one(registry), one(registry)];
        await raw.put(`/services/${theirs.service}`, '');
        assertOk(await registry.apply([ours, shares, theirs].map(register), never));
        await raw.put(`/services/${shares.service}/theirs`, '{}');
        assertOk(await registry.apply([ours, shares, theirs].map(deregister), never));

        assert.equal(await raw.get(`/services/${ours.service}`), undefined);
        assert.deepEqual(await raw.children(`/services/${shares.service}`), ['theirs']);
        assert.notEqual(await raw.get(`/services/${theirs.service}`), undefined);

        const moved = { ...ours, service: `${ours.service}-moved` };
        assertOk(await registry.apply([register(ours)], never));
        assertOk(await registry.apply([update(moved, ours)], never));
        assert.equal(await raw.get(`/services/${ours.service}`), undefined);
      },
    ));

  it('are made again when somebody took them away while we knew of them', () =>
    using(
      () => openAt(shared.address),
      async (registry) => {
        const [first, second] = samplesOf(freshCluster(), 2).map((instance) => stored(registry, instance));
        assert.ok(first !== undefined && second !== undefined);
        assertOk(await registry.apply([register(first)], never));
        await raw.removeTree(`/services/${first.service}`);
        assertOk(await registry.apply([register(second)], never));
        assertSame(await registry.list(first.marks.cluster, never), [second]);
      },
    ));
});

describe('writes', () => {
  it('to a node at version 0 do not go over what somebody wrote in between', () =>
    using(
      () => openAt(throughLink),
      async (registry) => {
        for (const change of ['update', 'deregister'] as const) {
          const instance = one(registry);
          assertOk(await registry.apply([register(instance)], never));
          assert.equal((await raw.get(pathOf(instance)))?.stat.version, 0);
          link.beforeNextTransaction(() => raw.put(pathOf(instance), '{"theirs":true}'));
          const wanted = change === 'update' ? update({ ...instance, port: 1 }, instance) : deregister(instance);
          const [result] = await registry.apply([wanted], never);
          if (change === 'update') assert.equal(failureIn(result).code, 'conflict');
          else assert.ok(result?.ok);
          assert.equal((await raw.get(pathOf(instance)))?.text, '{"theirs":true}');
        }
      },
    ));

  it('that meet a newer one of our own cluster are decided again from what stands', () =>
    using(
      () => openAt(throughLink),
      async (registry) => {
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        link.beforeNextTransaction(() =>
          using(
            () => openAt(shared.address),
            async (other) => assertOk(await other.apply([update({ ...instance, port: 2 }, instance)], never)),
          ),
        );
        assertOk(await registry.apply([update({ ...instance, port: 3 }, instance)], never));
        assertSame(await registry.list(instance.marks.cluster, never), [{ ...instance, port: 3 }]);
      },
    ));

  it('go out in transactions of less than 300 KB, and what is larger than ZooKeeper takes fails alone', () =>
    using(
      () => openAt(throughLink),
      async (registry) => {
        const cluster = freshCluster();
        const wide = samplesOf(cluster, 60).map((instance) =>
          stored(registry, { ...instance, metadata: { wide: 'é'.repeat(20_000) } }),
        );
        const tooWide = sampleOf(cluster, { number: 100, metadata: { wide: 'x'.repeat(1_100_000) } });
        const refused = registry.normalise(tooWide);
        assert.ok(!refused.ok);
        assert.match(refused.message, /more than the 1000000 .* use less metadata/);

        const from = link.transactions.length;
        const results = await registry.apply([...wide, tooWide].map(register), never);
        assert.equal(failureIn(results.at(-1)).code, 'too-large');
        assertOk(results.slice(0, -1));
        assertSame(await registry.list(cluster, never), wide);
        const sizes = link.transactions.slice(from);
        assert.ok(sizes.length > 5 && Math.max(...sizes) < 300_000, String(sizes));

        const widest = stored(registry, { ...tooWide, metadata: { wide: 'x'.repeat(990_000) } });
        assertOk(await registry.apply([register(widest)], never));
        assertOk(await registry.apply([...wide, widest].map(deregister), never));
      },
    ));
});

describe('with an account of its own', () => {
  const account = { digestAuth: `roster:${SECRET}` };

  it('what it makes is readable by all, and changed by nobody else', () =>
    using(
      () => openAt(shared.address, { ...account, rootPath: '/kept' }),
      async (registry) => {
        const first = one(registry);
        assertOk(await registry.apply([register(first)], never));
        const service = `/kept/${first.service}`;
        const path = `${service}/${nodeName(first.id)}`;

        // All that there is, reading, and reading and creating.
        assert.deepEqual(await raw.accessOf(path), ['digest 31', 'world 1']);
        assert.deepEqual(await raw.accessOf(service), ['digest 31', 'world 5']);
        assert.notEqual(await raw.get(path), undefined);
        await assert.rejects(raw.put(path, '{}'), { name: 'NO_AUTH' });
        await assert.rejects(raw.remove(path), { name: 'NO_AUTH' });
        await raw.put(`${service}/theirs`, '{}');

        for (const other of [{}, { digestAuth: 'someone:else' }]) {
          await using(
            () => openAt(shared.address, { ...other, rootPath: '/kept' }),
            async (stranger) => {
              assertSame(await stranger.list(first.marks.cluster, never), [first]);
              for (const change of [update({ ...first, port: 1 }, first), deregister(first)]) {
                const [refused, taken] = await stranger.apply([change, register(one(registry))], never);
                const { code, message, ambiguous } = failureIn(refused);
                assert.deepEqual([code, ambiguous], ['forbidden', false]);
                assert.match(message, /ACL.*digestAuthSecretRef/);
                assert.ok(taken?.ok, 'the change beside it failed too');
              }
            },
          );
        }
        assertOk(await registry.apply([update({ ...first, port: 1 }, first)], never));
        assertOk(await registry.apply([deregister(first)], never));
      },
    ));

  it('and that of its predecessor, a line each, it changes what either made; what it makes belongs to both', async () => {
    const rootPath = '/handed-over';
    await using(
      () => openAt(shared.address, { digestAuth: `former:${SECRET}`, rootPath }),
      async (former) => {
        const [first, second] = samplesOf(freshCluster(), 2).map((instance) => stored(former, instance));
        assert.ok(first !== undefined && second !== undefined);
        assertOk(await former.apply([register(first)], never));
        await using(
          () => openAt(shared.address, { digestAuth: `former:${SECRET}\nroster:${SECRET}`, rootPath }),
          async (both) => {
            const changed = { ...first, port: 1 };
            assertOk(await both.apply([update(changed, first), register(second)], never));
            const access = await raw.accessOf(`${rootPath}/${second.service}/${nodeName(second.id)}`);
            assert.deepEqual(access, ['digest 31', 'digest 31', 'world 1']);
            assertOk(await former.apply([update({ ...second, port: 1 }, second), deregister(changed)], never));
          },
        );
      },
    );
  });

  it('it is told when a path is closed to it, by reading and by writing', async () => {
    const only = [new zookeeper.ACL(zookeeper.Permission.ALL, new zookeeper.Id('ip', '192.0.2.1'))];
    await raw.create('/closed', '', only);
    await using(
      () => openAt(shared.address, { ...account, rootPath: '/closed' }),
      async (registry) => {
        assert.equal((await failureOf(registry.list(freshCluster(), never))).code, 'forbidden');
        const [result] = await registry.apply([register(one(registry))], never);
        assert.equal(failureIn(result).code, 'forbidden');
      },
    );
    // One entry that may not be read is no reason to take the others for everything.
    await raw.put('/partly/web', '');
    await raw.create('/partly/web/hidden', '{}', only);
    await using(
      () => openAt(shared.address, { rootPath: '/partly' }),
      async (registry) => assert.equal((await failureOf(registry.list(freshCluster(), never))).code, 'forbidden'),
    );
  });
});

describe('a server that', () => {
  it('wants everybody to have an account lets no one in without', async () => {
    const server = await opened({ config: { 'enforce.auth.enabled': 'true', 'enforce.auth.schemes': 'digest' } });
    await using(
      () => openAt(server.address),
      async (registry) => {
        const { code, message } = await failureOf(registry.list(freshCluster(), never));
        assert.equal(code, 'unauthorized');
        assert.match(message, /digestAuthSecretRef/);
        const [result] = await registry.apply([register(one(registry))], never);
        assert.equal(failureIn(result).code, 'unauthorized');
      },
    );
    await using(
      () => openAt(server.address, { digestAuth: `roster:${SECRET}` }),
      async (registry) => {
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        assertSame(await registry.list(instance.marks.cluster, never), [instance]);
      },
    );
  });

  it('enforces a quota says so, and what fits holds', async () => {
    const server = await opened({ config: { enforceQuota: 'true' } });
    const own = rawZooKeeper(server.address);
    await own.put('/services', '');
    // The node itself, one of a service, and two entries.
    await own.put('/zookeeper/quota/services/zookeeper_limits', 'count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=4');
    await own.put('/zookeeper/quota/services/zookeeper_stats', 'count=1,bytes=0');
    await own.close();
    await server.restart();
    await using(
      () => openAt(server.address),
      async (registry) => {
        const instances = samplesOf(freshCluster(), 4).map((instance) => stored(registry, instance));
        const fitting = instances.slice(0, 2);
        assertOk(await registry.apply(fitting.map(register), never));
        const results = await registry.apply(instances.slice(2).map(register), never);
        for (const result of results) {
          const { code, message } = failureIn(result);
          assert.equal(code, 'too-large');
          assert.match(message, /quota/);
        }
        assertSame(await registry.list(instances[0]?.marks.cluster ?? '', never), fitting);
        assertOk(await registry.apply(fitting.map(deregister), never));
      },
    );
  });

  it('is set to take less at once gets less, after it has hung up on more', async () => {
    const server = await opened({ maxRequestBytes: 60_000 });
    await using(
      () => openAt(server.address),
      async (registry) => {
        const instances = samplesOf(freshCluster(), 300).map((instance) => stored(registry, instance));
        const hangUps: string[] = [];
        await until('everything to be written', async () => {
          const results = await registry.apply(instances.map(register), never);
          const failed = results.find((result) => !result.ok);
          if (failed === undefined) return true;
          hangUps.push(failureIn(failed).message);
          return undefined;
        });
        assert.ok(hangUps.length >= 2 && hangUps.length <= 4, hangUps.join('\n'));
        assert.match(hangUps[0] ?? '', /was sent too much/);
        assertSame(await registry.list(instances[0]?.marks.cluster ?? '', never), instances);
      },
    );
  });

  it('takes no more connections from here is out of reach, with the reason among others', async () => {
    const server = await opened({ config: { maxClientCnxns: 1 } });
    await using(
      () => openAt(server.address),
      async (first) => {
        // The four-letter word that tells the version wants a connection of its own.
        assert.deepEqual(await first.check(never), { version: 'unknown' });
        await using(
          () => openAt(server.address),
          async (second) => {
            const { code, message } = await failureOf(second.list(freshCluster(), never));
            assert.equal(code, 'unreachable');
            assert.match(message, /maxClientCnxns/);
          },
        );
      },
    );
  });
});

describe('a server that goes', () => {
  it('and comes back, crashed or wiped, is worked with again by the same client, which may have to make everything anew', async () => {
    const server = await opened();
    await using(
      () => openAt(server.address),
      async (registry) => {
        const [first, second] = samplesOf(freshCluster(), 2).map((instance) => stored(registry, instance));
        assert.ok(first !== undefined && second !== undefined);
        const { cluster } = first.marks;
        assertOk(await registry.apply([register(first)], never));

        server.kill('SIGKILL');
        await until(
          'the crash to be noticed',
          async () => (await failedWith(registry.check(never))) === 'unreachable' || undefined,
        );
        const [result] = await registry.apply([register(second)], never);
        assert.deepEqual([failureIn(result).code, failureIn(result).ambiguous], ['unreachable', false]);
        await server.restart();
        assertOk(await registry.apply([register(second)], never));
        assertSame(await registry.list(cluster, never), [first, second]);

        server.kill('SIGKILL');
        await rm(join(dirname(server.logPath), 'data'), { recursive: true });
        await server.restart();
        await until(
          'the loss to be noticed',
          async () => (await failedWith(registry.check(never))) === undefined || undefined,
        );
        assertSame(await registry.list(cluster, never), []);
        assertOk(await registry.apply([first, second].map(register), never));
        assertSame(await registry.list(cluster, never), [first, second]);
      },
    );
  });

  it('silent fails what it was asked in time, and loses its turn to the next one', async () => {
    const [server, other] = [await opened(), await opened()];
    await using(
      () => openAt(`${server.address},${other.address}`, { connectMs: 2_000, requestMs: 2_000 }),
      async (registry) => {
        const instance = one(registry);
        const { cluster } = instance.marks;
        assertOk(await registry.apply([register(instance)], never));
        server.kill('SIGSTOP');
        // A signal takes a moment to freeze a server: what goes out before may be done.
        const changed = { ...instance, port: 1 };
        let mayStand = [instance.port];
        const { code, message, ambiguous } = await until('the first one to be silent', async () => {
          const [result] = await registry.apply([update(changed, instance)], never);
          if (result?.ok !== true) return failureIn(result);
          mayStand = [changed.port];
          return undefined;
        });
        if (ambiguous) mayStand.push(changed.port);
        assert.equal(code, 'timeout');
        assert.ok(message.includes(server.address), message);
        // These two are no ensemble: each has its own tree.
        assertSame(
          await until('the other one to answer', () => registry.list(cluster, never).catch(() => undefined)),
          [],
        );

        other.kill('SIGSTOP');
        await until(
          'the other one to be silent too',
          async () => (await failedWith(registry.list(cluster, never))) === 'timeout' || undefined,
        );
        server.kill('SIGCONT');
        const seen = await until('the first one to answer', () => registry.list(cluster, never).catch(() => undefined));
        const port = seen[0]?.port ?? 0;
        assert.ok(mayStand.includes(port));
        assertSame(seen, [{ ...instance, port }]);
      },
    );
  });

  it('silent while nothing is asked is noticed by the heartbeat', async () => {
    const { server, link: own, address } = await openedWithLink({ config: { tickTime: 200 } });
    await using(
      () => openAt(address, { sessionTimeoutMs: 4_000 }),
      async (registry) => {
        const listed = () => registry.list(freshCluster(), never).catch(() => undefined);
        await until('the client to have a connection', listed);
        server.kill('SIGSTOP');
        await until('the client to give up its connection', async () => own.connections() === 0 || undefined);
        server.kill('SIGCONT');
        await until('the client to have another one', listed);
      },
    );
  });

  it('for longer than the session lasts finds the client with a new one, for a moment with the same', async () => {
    const { server, link: own, address } = await openedWithLink({ config: { tickTime: 500 } });
    const sessions = async () => [...new Set((await server.ask('dump')).match(/0x[0-9a-f]{10,}/g))];
    await using(
      () => openAt(address, { sessionTimeoutMs: 8_000 }),
      async (registry) => {
        const instance = one(registry);
        const { cluster } = instance.marks;
        assertOk(await registry.apply([register(instance)], never));
        const first = await sessions();
        own.cutNextAnswer();
        const [result] = await registry.apply([update({ ...instance, port: 1 }, instance)], never);
        assert.deepEqual([failureIn(result).code, failureIn(result).ambiguous], ['unreachable', true]);
        assertSame(await registry.list(cluster, never), [{ ...instance, port: 1 }]);
        assert.deepEqual([first.length, await sessions()], [1, first]);

        own.freeze();
        await until('the session to be over', async () => (await sessions()).length === 0 || undefined);
        own.heal();
        await until('the client to have a new one', () => registry.check(never).catch(() => undefined));
        assertOk(await registry.apply([update(instance, { ...instance, port: 1 })], never));
        const second = await sessions();
        assert.equal(second.length, 1);
        assert.notDeepEqual(second, first);
      },
    );
  });
});

async function openedWithLink(options: ZooKeeperOptions) {
  const server = await opened(options);
  const own = await openZooKeeperLink(Number(server.address.split(':')[1]));
  after(() => own.close());
  return { server, link: own, address: `127.0.0.1:${own.port}` };
}

/** The code of the failure, undefined for success. */
const failedWith = (call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    (error) => error.code,
  );
