// What only etcd has: keys that frameworks read, users, TLS, limits, and servers that come and go.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { after, afterEach, describe, it } from 'node:test';
import { Etcd3 } from 'etcd3';
import type { Instance } from '../../src/mirror/instance.ts';
import { createRegistry } from '../../src/registries/create.ts';
import type { LayoutName } from '../../src/registries/etcd/etcd.ts';
import { openEtcdLink } from '../links/etcd-link.ts';
import { openEtcd } from '../servers/etcd.ts';
import { until } from '../servers/until.ts';
import { assertEnds } from './client-process.ts';
import { sweepAfter } from './conformance.ts';
import { assertOutlivesCrash, untilItFails } from './crashes.ts';
import { etcdHarness, openAt, rawEtcd } from './etcd-harness.ts';
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

const server = await openEtcd({ fsync: false });
after(() => server.stop());
const harness = await etcdHarness(server);
const raw = rawEtcd(server.address);
after(() => raw.close());
afterEach(() => sweepAfter(harness));

/** All keys below a place, as etcd has them. */
async function below(place: string): Promise<Record<string, string>> {
  return raw.client.getAll().prefix(place).strings();
}

/** Keys that hold the cluster's name, wherever they are. */
async function keysOf(cluster: string): Promise<readonly string[]> {
  return Object.keys(await below('/')).filter((key) => key.includes(cluster));
}

const withLayout = (layout: LayoutName) => () => openAt(server.address, { layout });

describe('what consumers read', () => {
  const web =
    (over: Partial<Instance> = {}) =>
    (cluster: string) =>
      sampleOf(cluster, { metadata: { team: 'shop', version: 'v2' }, weight: 7, ...over });
  const written = async (layout: LayoutName, make: (cluster: string) => Instance) => {
    const cluster = freshCluster();
    await using(withLayout(layout), async (registry) => {
      const instance = stored(registry, make(cluster));
      assertOk(await registry.apply([register(instance)], never));
      assertSame(await registry.list(cluster, never), [instance]);
    });
    return cluster;
  };
  const marksOf = (cluster: string) => ({
    'managed-by': 'roster',
    'roster-cluster': cluster,
    'roster-owner': 'shop/web',
    'roster-registration': 'ServiceRegistration/shop/web',
  });

  it('Roster: JSON with everything, under prefix, service and id', async () => {
    const cluster = await written('Roster', web());
    const entries = Object.entries(await below(`/services/${cluster}-web/`));
    assert.deepEqual(entries, [
      [
        `/services/${cluster}-web/${cluster}/shop/web/10.1.0.1:8080`,
        JSON.stringify({
          id: `${cluster}/shop/web/10.1.0.1:8080`,
          service: `${cluster}-web`,
          address: '10.1.0.1',
          port: 8080,
          health: 'healthy',
          weight: 7,
          tags: ['v2', 'web'],
          metadata: { team: 'shop', version: 'v2' },
          ...marksOf(cluster),
        }),
      ],
    ]);
  });

  it('Grpc: the naming of the Go client, with an address for gRPC to dial and nothing that it would trip over', async () => {
    const cluster = await written('Grpc', web({ address: 'fd00::7' }));
    // What `etcd:////services/<service>` asks for.
    const entries = Object.values(await below(`/services/${cluster}-web/`));
    assert.deepEqual(entries, ['{"Op":0,"Addr":"[fd00::7]:8080","Metadata":null}']);
  });

  it('GoMicro: one node under a key, with our marks in the node', async () => {
    const cluster = await written('GoMicro', web());
    const node = `${cluster}%2Fshop%2Fweb%2F10.1.0.1:8080`;
    const [[key, value] = []] = Object.entries(await below(`/micro/registry/${cluster}-web/`));
    assert.equal(key, `/micro/registry/${cluster}-web/${node}`);
    assert.deepEqual(JSON.parse(value ?? ''), {
      name: `${cluster}-web`,
      version: 'v2',
      metadata: {},
      endpoints: null,
      nodes: [
        {
          id: node,
          address: '10.1.0.1:8080',
          metadata: {
            team: 'shop',
            version: 'v2',
            ...marksOf(cluster),
            'roster-weight': '7',
            'roster-tags': '["v2","web"]',
          },
        },
      ],
    });
  });

  it('Kratos: endpoints for its gRPC and its HTTP clients, and the weight where they look for it', async () => {
    const cluster = await written('Kratos', web());
    const id = `${cluster}/shop/web/10.1.0.1:8080`;
    const [[key, value] = []] = Object.entries(await below(`/microservices/${cluster}-web`));
    assert.equal(key, `/microservices/${cluster}-web/${id}`);
    assert.deepEqual(JSON.parse(value ?? ''), {
      id,
      name: `${cluster}-web`,
      version: 'v2',
      metadata: {
        team: 'shop',
        version: 'v2',
        ...marksOf(cluster),
        'roster-weight': '7',
        'roster-tags': '["v2","web"]',
        weight: '7',
      },
      endpoints: ['grpc://10.1.0.1:8080', 'http://10.1.0.1:8080'],
    });
  });

  it('Kratos: only the endpoints that tags name, when they name any', async () => {
    const cluster = await written('Kratos', web({ tags: ['grpcs', 'web'] }));
    const [value] = Object.values(await below(`/microservices/${cluster}-web`));
    assert.deepEqual(JSON.parse(value ?? '').endpoints, ['grpcs://10.1.0.1:8080']);
  });

  it('Kratos: another prefix is the namespace of its consumers', async () => {
    const cluster = freshCluster();
    await using(
      () => openAt(server.address, { layout: 'Kratos', prefix: `/${cluster}` }),
      async (registry) => {
        const instances = (['healthy', 'unhealthy'] as const).map((health, number) =>
          stored(registry, sampleOf(cluster, { number, health })),
        );
        assertOk(await registry.apply(instances.map(register), never));
        assertSame(await registry.list(cluster, never), instances);
        assert.equal(Object.keys(await below(`/${cluster}/${cluster}-web`)).length, 1);
      },
    );
  });

  it('GoZero: the bare address, under the key that its consumers are given', async () => {
    const cluster = await written('GoZero', web());
    assert.deepEqual(Object.values(await below(`/services/${cluster}-web/`)), ['10.1.0.1:8080']);
  });

  it('Kratos: who asks for a name gets no service whose name only begins like it', () =>
    using(withLayout('Kratos'), async (registry) => {
      const cluster = freshCluster();
      const [short, long] = ['web', 'web-admin'].map((name, number) =>
        stored(registry, sampleOf(cluster, { number, service: `${cluster}-${name}` })),
      ) as [Instance, Instance];
      assertOk(await registry.apply([short, long].map(register), never));
      assertSame(await registry.discover(short.service, never), [short]);
      assertSame(await registry.discover(long.service, never), [long]);
    }));

  for (const layout of ['Grpc', 'GoMicro', 'Kratos', 'GoZero'] as const) {
    it(`${layout}: an instance is where consumers look while it takes traffic, and Roster knows of it all the time`, () =>
      using(withLayout(layout), async (registry) => {
        const cluster = freshCluster();
        const base = stored(registry, sampleOf(cluster));
        const states = [{}, { health: 'unhealthy' }, {}, { health: 'draining' }, { weight: 0 }, {}] as const;
        let before: Instance | undefined;
        for (const state of states) {
          const instance: Instance = { ...base, ...state };
          const change = before === undefined ? register(instance) : update(instance, before);
          assertOk(await registry.apply([change], never));
          assertSame(await registry.list(cluster, never), [instance]);
          const serves = instance.health === 'healthy' && instance.weight > 0;
          assertSame(await registry.discover(base.service, never), serves ? [base] : []);
          const seen = (await keysOf(cluster)).filter((key) => !key.startsWith('/services/.owner/'));
          assert.equal(seen.length, serves ? 1 : 0);
          before = instance;
        }
        assertOk(await registry.apply([deregister(before ?? base)], never));
        assert.deepEqual(await keysOf(cluster), []);
      }));

    it(`${layout}: a key that consumers lost, or that says something else, is listed as drift, and mended or removed whole`, () =>
      using(withLayout(layout), async (registry) => {
        const cluster = freshCluster();
        const instance = stored(registry, sampleOf(cluster));
        assertOk(await registry.apply([register(instance)], never));
        const served = (await keysOf(cluster)).find((key) => !key.startsWith('/services/.owner/')) ?? assert.fail();
        const value = (await raw.get(served)) ?? assert.fail();

        await raw.put(served, layout === 'GoZero' ? 'nonsense' : value.replace(/^\{/, '{"more":1,'));
        const [standing] = await registry.list(cluster, never);
        assert.notDeepEqual(standing, instance);
        assertOk(await registry.apply([update(instance, standing ?? assert.fail())], never));
        assert.equal(await raw.get(served), value);

        await raw.remove(served);
        for (const lost of await registry.list(cluster, never)) {
          assert.notEqual(lost.health, 'healthy');
          assertOk(await registry.apply([deregister(lost)], never));
        }
        assert.deepEqual(await keysOf(cluster), []);
      }));
  }

  it('a name with a slash stays one name for those who read Roster’s own layout', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const [outer, inner] = [`${cluster}`, `${cluster}/web`].map((service, number) =>
        stored(registry, sampleOf(cluster, { number, service })),
      ) as [Instance, Instance];
      assertOk(await registry.apply([outer, inner].map(register), never));
      assertSame(await registry.discover(outer.service, never), [outer]);
      assertSame(await registry.discover(inner.service, never), [inner]);
    }));

  it('layouts under one prefix leave each other’s entries alone', async () => {
    const cluster = freshCluster();
    for (const layout of ['Roster', 'Grpc', 'GoZero'] as const) {
      await using(withLayout(layout), async (registry) => {
        const instance = stored(registry, sampleOf(cluster, { service: `${cluster}-${layout}`, health: 'unhealthy' }));
        assertOk(await registry.apply([register(instance)], never));
      });
    }
    await using(harness.open, async (registry) => {
      const listed = await registry.list(cluster, never);
      assert.deepEqual(
        listed.map(({ service }) => service),
        [`${cluster}-Roster`],
      );
    });
  });
});

describe('claims of etcd', () => {
  it('stand as a plain text beside the records of the cluster, whose name has no slash there, with another term each time', () =>
    using(harness.open, async (registry) => {
      const cluster = `${freshCluster()}/a%b`;
      const terms = new Set<string>();
      for (const owner of ['roster/us', 'roster/us']) {
        await registry.claim({ cluster, owner }, never);
        const record = await raw.get(`/services/.owner/${cluster.replace('%', '%25').replace('/', '%2F')}`);
        const [, term = assert.fail(String(record))] = /^roster\/us ([0-9a-f]{32})$/.exec(record ?? '') ?? [];
        terms.add(term);
      }
      assert.equal(terms.size, 2);
      assert.equal((await keysOf(cluster.split('/')[0] ?? '')).length, 1);
    }));

  it('whose record says something else belong to nobody that could be known, until somebody adopts that', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      await registry.claim({ cluster, owner: 'roster/us' }, never);
      await raw.put(`/services/.owner/${cluster}`, '{"owner":\n"roster/us"}');
      assert.equal((await failureOf(registry.check(never))).code, 'fenced');
      const refused = await failureOf(registry.claim({ cluster, owner: 'roster/us' }, never));
      assert.deepEqual([refused.code, refused.context['owner']], ['owned', 'unknown']);
      await registry.claim({ cluster, owner: 'roster/us', adopt: 'unknown' }, never);
      await registry.check(never);
    }));
});

describe('lists of etcd', () => {
  it('are complete over many pages, and over pages that are too large for one answer', () =>
    using(
      () => openAt(server.address, { prefix: `/${freshCluster()}` }),
      async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, 2_500).map((instance, number) =>
          stored(registry, { ...instance, metadata: number % 50 === 0 ? { long: 'x'.repeat(500_000) } : {} }),
        );
        assertOk(await registry.apply(instances.map(register), never));
        assertSame(await registry.list(cluster, never), instances);
        assert.equal((await registry.discover(`${cluster}-web`, never)).length, 2_500);
        assertOk(await registry.apply(instances.map(deregister), never));
        assert.deepEqual(await registry.list(cluster, never), []);
      },
    ));

  it('pass over what others keep under the prefix, whatever it is', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instance = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([register(instance)], never));
      const ours = (await keysOf(cluster))[0] ?? assert.fail();
      const copy = (await raw.get(ours)) ?? assert.fail();
      const values = ['', 'text', 'null', '[]', '7', '{}', '{"managed-by":"roster"}', copy, '\u0000\u00ff'];
      for (const [number, value] of values.entries()) await raw.put(`/services/${cluster}-web/other-${number}`, value);
      const noText = Buffer.from('/services/\xff\xfe', 'latin1');
      await raw.client.put(noText).value(Buffer.from([0xff, 0xfe]));
      assertSame(await registry.list(cluster, never), [instance]);
      await raw.client.delete().key(noText);
      const seen = await registry.discover(`${cluster}-web`, never);
      assert.equal(seen.filter(({ marks }) => marks.cluster === cluster).length, 1);
    }));
});

describe('changes of etcd', () => {
  it('of one instance in one apply are carried out in their order, however many there are', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instance = stored(registry, sampleOf(cluster));
      const ports = Array.from({ length: 20 }, (_, number) => 9_000 + number);
      assertOk(
        await registry.apply(
          ports.map((port) => register({ ...instance, port })),
          never,
        ),
      );
      await assertStanding(harness, registry, cluster, [{ ...instance, port: 9_019 }]);
    }));

  it('that remove something come after what was asked before them', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 600).map((instance) => stored(registry, instance));
      const [old, young] = [instances.slice(0, 100), instances.slice(100)];
      assertOk(await registry.apply(old.map(register), never));
      assertOk(await registry.apply([...young.map(register), ...old.map(deregister)], never));
      const { kvs } = await raw.client.getAll().prefix(`/services/${cluster}-web/`).exec();
      assert.equal(kvs.length, 500);
      const written = Math.max(...kvs.map(({ mod_revision }) => Number(mod_revision)));
      const { header } = await raw.client.getAll().prefix(`/services/${cluster}-web/`).exec();
      // The removal is the last thing that this server saw.
      assert.ok(Number(header.revision) > written);
    }));
});

describe('an etcd with users', async () => {
  const guarded = await openEtcd({ fsync: false, auth: true });
  after(() => guarded.stop());
  const { username, password } = guarded.root ?? assert.fail();
  const admin = new Etcd3({ hosts: guarded.address, auth: { username, password } });
  after(() => admin.close());
  const userWith = async (...prefixes: readonly (readonly [prefix: string, permission: 'Read' | 'Readwrite'])[]) => {
    const name = freshCluster();
    await admin.role(name).create();
    for (const [prefix, permission] of prefixes) {
      await admin.role(name).grant({ permission, range: admin.range({ prefix }) });
    }
    await admin.user(name).create('hunter2');
    await admin.user(name).addRole(name);
    return { username: name, password: 'hunter2' };
  };
  const as = (credentials: object) => () => openAt(guarded.address, credentials);

  it('needs no more than readwrite on the prefix', async () => {
    const user = await userWith(['/services/', 'Readwrite']);
    await using(as(user), async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 3).map((instance) => stored(registry, instance));
      await registry.claim({ cluster, owner: 'roster/us' }, never);
      assertOk(await registry.apply(instances.map(register), never));
      assertSame(await registry.list(cluster, never), instances);
      assertSame(await registry.discover(`${cluster}-web`, never), instances);
      assert.match((await registry.check(never)).version, /^\d+\.\d+\.\d+/);
      assertOk(await registry.apply(instances.map(deregister), never));
    });
  });

  it('and without them, or with wrong ones, says so, everywhere', async () => {
    for (const credentials of [
      {},
      { username: 'nobody', password: 'hunter2' },
      { username: 'root', password: 'hunter2' },
    ]) {
      await using(as(credentials), async (registry) => {
        const [result] = await registry.apply([register(sampleOf(freshCluster()))], never);
        const failures = [
          failureIn(result),
          await failureOf(registry.check(never)),
          await failureOf(registry.list(freshCluster(), never)),
          await failureOf(registry.discover('web', never)),
        ];
        for (const { code, message, ambiguous } of failures) {
          assert.deepEqual([code, ambiguous], ['unauthorized', false], message);
          assert.match(message, /usernameSecretRef/);
          assert.doesNotMatch(message, /hunter2/);
        }
      });
    }
  });

  it('a user without the right to write is forbidden, for every change; one without the right to read, for every list', async () => {
    await using(as(await userWith(['/services/', 'Read'])), async (registry) => {
      const results = await registry.apply(samplesOf(freshCluster(), 200).map(register), never);
      for (const result of results) assert.equal(failureIn(result).code, 'forbidden');
      await registry.check(never);
    });
    await using(as(await userWith(['/services/web/', 'Readwrite'])), async (registry) => {
      assert.equal((await failureOf(registry.check(never))).code, 'forbidden');
      assert.equal((await failureOf(registry.list(freshCluster(), never))).code, 'forbidden');
    });
  });

  it('a user that may write some services only fails those changes alone', async () => {
    const cluster = freshCluster();
    const some = await userWith(['/services/', 'Read'], [`/services/${cluster}-a/`, 'Readwrite']);
    await using(as(some), async (registry) => {
      const instances = samplesOf(cluster, 200).map((instance, n) => ({
        ...instance,
        service: `${cluster}-${n % 3 === 0 ? 'a' : 'b'}`,
      }));
      const results = await registry.apply(instances.map(register), never);
      results.forEach((result, n) => {
        if (n % 3 === 0) assert.ok(result.ok);
        else assert.equal(failureIn(result).code, 'forbidden');
      });
      assertSame(
        await registry.list(cluster, never),
        instances.filter((_, n) => n % 3 === 0),
      );
    });
  });

  it('a client goes on when users and rights change, and when the server forgot its login', async () => {
    await using(as(await userWith(['/services/', 'Readwrite'])), async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 4).map((instance) => stored(registry, instance));
      for (const [number, instance] of instances.entries()) {
        assertOk(await registry.apply([register(instance)], never));
        if (number === 2) await guarded.restart();
        else await userWith(['/other/', 'Read']);
      }
      assertSame(await registry.list(cluster, never), instances);
      await Promise.all([1, 2, 3, 4].map(() => registry.check(never)));
    });
  });

  it('credentials are no harm where no users are', () =>
    using(
      () => openAt(server.address, { username: 'root', password: 'hunter2' }),
      async (registry) => void (await registry.list(freshCluster(), never)),
    ));
});

describe('an etcd with TLS', async () => {
  const secure = await openEtcd({ fsync: false, tls: true });
  after(() => secure.stop());
  const files = secure.tls ?? assert.fail();
  const [ca, cert, key] = await Promise.all(
    [files.caFile, files.certFile, files.keyFile].map((path) => readFile(path, 'utf8')),
  );
  const created = (secrets: object, tls: object | undefined = {}, endpoint = secure.address) =>
    createRegistry(
      {
        type: 'Etcd',
        etcd: {
          endpoints: [endpoint],
          prefix: '/services',
          ttlSeconds: 0,
          layout: 'Roster',
          ...(tls === undefined ? {} : { tls }),
        },
        timeouts: { connectSeconds: 5, requestSeconds: 10 },
        audit: { intervalSeconds: 60 },
        deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
        allowUnmanagedEndpoints: false,
      },
      secrets,
    );

  it('is reached with its authority and our certificate, as the factory is given them, with and without https in the address', async () => {
    for (const endpoint of [secure.address, secure.address.replace('https://', '')]) {
      await using(
        () => created({ ca, cert, key }, {}, endpoint),
        async (registry) => {
          const cluster = freshCluster();
          const instance = stored(registry, sampleOf(cluster));
          assertOk(await registry.apply([register(instance)], never));
          assertSame(await registry.list(cluster, never), [instance]);
          assert.match((await registry.check(never)).version, /^\d+\.\d+\.\d+/);
        },
      );
    }
  });

  it('is reached by the name of its certificate where the address is another', () =>
    using(
      () => created({ ca, cert, key }, { serverName: 'server.dc1.consul' }),
      async (registry) => void (await registry.check(never)),
    ));

  it('is not reached when its certificate is of an unknown authority, or of another name; nothing was written then', async () => {
    for (const registry of [created({ cert, key }), created({ ca, cert, key }, { serverName: 'other.example.org' })]) {
      await assertDistrusted(registry);
    }
  });

  it('is not reached without a certificate of ours, or without TLS, and says where to look', async () => {
    for (const registry of [created({ ca }), created({}, undefined, secure.address.replace('https', 'http'))]) {
      await using(
        () => registry,
        async () => {
          const { code, message } = await failureOf(registry.check(never));
          assert.ok(code === 'protocol' || code === 'unreachable', code);
          assert.match(message, /certSecretRef|http or https/);
        },
      );
    }
  });
});

describe('etcd servers that come and go', () => {
  it('entries outlive a crash of the server, which is told as such until it is back', async () => {
    const server = await openEtcd();
    await assertOutlivesCrash({ server, open: () => openAt(server.address), harness: () => etcdHarness(server) });
  });

  it('a frozen one is told as a time-out, and is asked again when it goes on', async () => {
    const frozen = await openEtcd({ fsync: false });
    try {
      await using(
        () => openAt(frozen.address, { connectMs: 500, requestMs: 500 }),
        async (registry) => {
          const cluster = freshCluster();
          await registry.check(never);
          frozen.kill('SIGSTOP');
          // It may finish what it is at.
          const first = await until('etcd to be frozen', async () => {
            const [result] = await registry.apply([register(sampleOf(cluster))], never);
            return result?.ok === true ? undefined : failureIn(result);
          });
          assert.deepEqual([first.code, first.ambiguous], ['timeout', true]);
          assert.equal((await failureOf(registry.check(never))).code, 'unreachable');
          frozen.kill('SIGCONT');
          await until('etcd to answer', () => registry.check(never).catch(() => undefined));
          assertOk(await registry.apply([register(sampleOf(cluster))], never));
        },
      );
    } finally {
      await frozen.stop();
    }
  });

  it('of several endpoints the next one is taken when one is down, at once and for good', async () => {
    const port = Number(new URL(server.address).port);
    const [one, two] = [await openEtcdLink(port), await openEtcdLink(port)];
    const endpoints = ['127.0.0.1:9', `http://127.0.0.1:${one.port}`, `127.0.0.1:${two.port}`];
    const cluster = freshCluster();
    await using(
      () => openAt(endpoints),
      async (registry) => {
        const [a, b] = samplesOf(cluster, 2).map((instance) => stored(registry, instance)) as [Instance, Instance];
        assertOk(await registry.apply([register(a)], never));
        assert.deepEqual([one.connections(), two.connections()], [1, 0]);
        await one.close();
        await until('the next endpoint', () => registry.check(never).catch(() => undefined));
        assertOk(await registry.apply([register(b)], never));
        assert.equal(two.connections(), 1);
        await assertStanding(harness, registry, cluster, [a, b]);
      },
    );
    await two.close();
    await using(
      () => openAt(['127.0.0.1:9', '127.0.0.1:10']),
      async (registry) => assert.equal((await failureOf(registry.check(never))).code, 'unreachable'),
    );
  });

  it('connections that were never answered do not collect', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      sockets.add(
        socket
          .on('error', () => {})
          .on('close', () => sockets.delete(socket))
          .resume(),
      );
    }).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    try {
      await using(
        () => openAt(`127.0.0.1:${address.port}`, { connectMs: 100 }),
        async (registry) => {
          for (let call = 0; call < 5; call++) {
            assert.equal((await failureOf(registry.check(never))).code, 'unreachable');
          }
          await until('the connections to close', async () => (sockets.size <= 1 ? true : undefined));
        },
      );
      await until('the last connection to close', async () => (sockets.size === 0 ? true : undefined));
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  it('one connection is enough, however much there is to do', async () => {
    const link = await openEtcdLink(Number(new URL(server.address).port));
    await using(
      () => openAt(`127.0.0.1:${link.port}`),
      async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, 500).map((instance) => stored(registry, instance));
        const parts = [0, 1, 2, 3].map((part) => instances.filter((_, n) => n % 4 === part));
        const results = await Promise.all(parts.map((part) => registry.apply(part.map(register), never)));
        assertOk(results.flat());
        for (const list of await Promise.all([1, 2, 3].map(() => registry.list(cluster, never)))) {
          assert.equal(list.length, 500);
        }
        assert.equal(link.connections(), 1);
      },
    );
    await link.close();
  });

  it('a program that used a client ends by itself, closed or not, and after a cancelled call', async () => {
    const program = `
      import { openEtcdRegistry } from ${JSON.stringify(new URL('../../src/registries/etcd/etcd.ts', import.meta.url).href)};
      const registry = openEtcdRegistry({ endpoints: [process.env.ADDRESS], prefix: '/services', layout: 'Roster', connectMs: 5000, requestMs: 3600000 });
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
});

describe('etcd servers that take less', () => {
  it('get less at once: operations, and bytes', async () => {
    const small = await openEtcd({ fsync: false, args: ['--max-txn-ops=16', '--max-request-bytes=20000'] });
    try {
      for (const layout of ['Roster', 'Grpc'] as const) {
        await using(
          () => openAt(small.address, { layout }),
          async (registry) => {
            const cluster = freshCluster();
            const instances = samplesOf(cluster, 100).map((instance) => stored(registry, instance));
            const fat = { ...(instances[50] ?? assert.fail()), metadata: { long: 'x'.repeat(30_000) } };
            const changes = instances.map((instance, n) => register(n === 50 ? fat : instance));
            await registry.claim({ cluster, owner: 'roster/us' }, never);
            const results = await registry.apply(changes, never);
            assert.equal(failureIn(results[50]).code, 'too-large');
            assertOk(results.filter((_, n) => n !== 50));
            assertSame(
              await registry.list(cluster, never),
              instances.filter((_, n) => n !== 50),
            );
            assertOk(await registry.apply(instances.map(deregister), never));
          },
        );
      }
    } finally {
      await small.stop();
    }
  });

  it('one whose database is full takes what removes something, and says what to do about the rest', async () => {
    const full = await openEtcd({ fsync: false, args: [`--quota-backend-bytes=${4 * 1_024 * 1_024}`] });
    const filler = new Etcd3({ hosts: full.address });
    try {
      await using(
        () => openAt(full.address),
        async (registry) => {
          const cluster = freshCluster();
          const instances = samplesOf(cluster, 300).map((instance) => stored(registry, instance));
          const standing = instances.slice(0, 150);
          assertOk(await registry.apply(standing.map(register), never));
          await failureOfAny(async () => void (await filler.put('filler').value('x'.repeat(1_000_000))));

          const changes = [...instances.slice(150).map(register), ...standing.map(deregister)];
          const results = await registry.apply(changes, never);
          results.forEach((result, n) => {
            assert.equal(result.ok, n >= 150);
            if (result.ok) return;
            const { code, message } = failureIn(result);
            assert.equal(code, 'too-large');
            assert.match(message, /is full; compact/);
          });
          assert.deepEqual(await registry.list(cluster, never), []);
        },
      );
    } finally {
      filler.close();
      await full.stop();
    }
  });
});

async function failureOfAny(call: () => Promise<void>): Promise<void> {
  await assert.rejects(untilItFails(call));
}
