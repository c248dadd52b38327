// ZooKeeper over TLS, and what is said when one side speaks it and the other does not.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createRegistry } from '../../src/registries/create.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import type { TlsAccess } from '../../src/registries/tls.ts';
import { openTcpLink } from '../links/tcp-link.ts';
import { until } from '../servers/until.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf } from './samples.ts';
import { nodeName, openAt } from './zookeeper-harness.ts';
import { rawZooKeeper } from './zookeeper-raw.ts';

const [server, stranger] = await Promise.all([
  openZooKeeper({ fsync: false, tls: true, config: { tickTime: 500 } }),
  openZooKeeper({ fsync: false, tls: true }),
]);
const raw = rawZooKeeper(server.address);
after(async () => {
  await raw.close();
  await Promise.all([server.stop(), stranger.stop()]);
});
const { address, ...secrets } = server.tls ?? assert.fail();
const { ca, cert, key } = secrets;

/** As the factory makes it of a config and its Secrets. */
const created = () =>
  createRegistry(
    {
      type: 'ZooKeeper',
      zookeeper: {
        connectString: address,
        rootPath: '/services',
        layout: 'Curator',
        sessionTimeoutSeconds: 10,
        tls: {},
      },
      timeouts: { connectSeconds: 60, requestSeconds: 60 },
      audit: { intervalSeconds: 60 },
      deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
      allowUnmanagedEndpoints: false,
    },
    secrets,
  );

const openWith = (tls: TlsAccess | undefined, connectString = address) => openAt(connectString, { tls });

describe('a ZooKeeper with TLS', () => {
  it('is read, written and watched as one without, and tells its version', () =>
    using(created, async (registry) => {
      assert.match((await registry.check(never)).version, /^3\.9\./);
      const cluster = freshCluster();
      const [instance, leased] = [
        stored(registry, sampleOf(cluster)),
        stored(registry, sampleOf(cluster, { number: 2, liveness: 'leased' })),
      ];
      assertOk(await registry.apply([instance, leased].map(register), never));
      assertSame(await registry.list(cluster, never), [instance, leased]);
      assertSame(await registry.discover(instance.service, never), [instance, leased]);

      let hints = 0;
      const abort = new AbortController();
      const watching = failureOf(registry.watch({ cluster }, () => hints++, abort.signal));
      await until('the watch to stand', async () => (hints === 1 ? true : undefined));
      // Over the port without TLS: it is one tree.
      await raw.put(`/services/${instance.service}/${nodeName(instance.id)}`, '{}');
      await until('the hint', async () => (hints === 2 ? true : undefined));
      abort.abort();
      assert.equal((await watching).code, 'aborted');
      assertSame(await registry.list(cluster, never), [leased]);
      assertOk(await registry.apply([deregister(leased)], never));
    }));

  it('is reached by the name of its certificate where the address is another, and again after a connection that broke', async () => {
    const link = await openTcpLink(Number(address.split(':')[1]));
    after(() => link.close());
    await using(
      () => openWith({ ...secrets, serverName: 'server.dc1.consul' }, `127.0.0.1:${link.port}`),
      async (registry) => {
        const instance = stored(registry, sampleOf(freshCluster(), { liveness: 'leased' }));
        const { cluster } = instance.marks;
        assertOk(await registry.apply([register(instance)], never));
        link.cutNextAnswer();
        assert.equal((await failureOf(registry.list(cluster, never))).code, 'unreachable');
        // Leased by the same session still.
        assertSame(await until('the client to be back', () => registry.list(cluster, never).catch(() => undefined)), [
          instance,
        ]);
        assertOk(await registry.apply([deregister(instance)], never));
      },
    );
  });
});

const mismatches: readonly (readonly [name: string, code: RegExp, message: RegExp, open: () => ServiceRegistry])[] = [
  [
    'whose certificate is of an authority that nobody named',
    /^unreachable$/,
    /caSecretRef and serverName/,
    () => openWith({ cert, key }),
  ],
  [
    'whose certificate is of another authority than the one that was named',
    /^unreachable$/,
    /caSecretRef and serverName/,
    () => openWith({ ...secrets, ca: stranger.tls?.ca }),
  ],
  [
    'whose certificate has another name',
    /^unreachable$/,
    /caSecretRef and serverName/,
    () => openWith({ ...secrets, serverName: 'other.example.org' }),
  ],
  [
    'that wants a client certificate, and is shown none',
    /^unreachable$/,
    /certSecretRef|client certificate/,
    () => openWith({ ca }),
  ],
  [
    'that wants a client certificate, and is shown one of another authority',
    /^unreachable$/,
    /certSecretRef|client certificate/,
    () => openWith({ ca, cert: stranger.tls?.cert, key: stranger.tls?.key }),
  ],
  [
    'with TLS, by a client that speaks none',
    /^(unreachable|protocol)$/,
    /TLS|secureClientPort/,
    () => openWith(undefined),
  ],
  [
    'without TLS, by a client that speaks nothing else',
    /^unreachable$/,
    /began no TLS.*secureClientPort/,
    () => openWith(secrets, server.address),
  ],
];

describe('nothing is written to a ZooKeeper', () => {
  for (const [name, code, message, open] of mismatches) {
    it(`${name}; the error says where to look`, () =>
      using(open, async (registry) => {
        const instance = sampleOf(freshCluster());
        const failures = [
          await failureOf(registry.check(never)),
          await failureOf(registry.list(instance.marks.cluster, never)),
          await failureOf(registry.discover(instance.service, never)),
          await failureOf(registry.watch({ cluster: 'any' }, () => assert.fail('a hint'), never)),
          failureIn((await registry.apply([register(instance)], never))[0]),
        ];
        for (const failure of failures) {
          assert.match(failure.code, code);
          assert.match(failure.message, message);
          assert.equal(failure.ambiguous, false);
        }
        assert.equal(await raw.get(`/services/${instance.service}`), undefined);
      }));
  }

  it('by credentials that are no PEM, or half a pair: the config is refused in words', () => {
    for (const [given, message] of [
      [{ ...secrets, ca: 'none' }, /caSecretRef holds no PEM certificate/],
      [{ ca, cert }, /certSecretRef cannot be used/],
      [{ ca, cert, key: stranger.tls?.key }, /certSecretRef cannot be used/],
    ] as const) {
      assert.throws(() => openWith(given), { name: 'RegistryError', code: 'invalid', message });
    }
  });
});

it('the next server is asked when the first one has another certificate', () =>
  using(
    () => openWith(secrets, `${stranger.tls?.address},${address}`),
    async (registry) => void (await registry.check(never)),
  ));
