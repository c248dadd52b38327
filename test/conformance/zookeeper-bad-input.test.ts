// What ZooKeeper is given that it cannot hold, and ports at which somebody else listens: a code, a sentence, and nothing else is harmed.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createRegistry } from '../../src/registries/create.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';
import { sharedConsul } from '../servers/shared.ts';
import { until } from '../servers/until.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { SECRET } from './harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { openAt } from './zookeeper-harness.ts';
import { rawZooKeeper } from './zookeeper-raw.ts';

const server = await openZooKeeper({ fsync: false });
const raw = rawZooKeeper(server.address);
after(async () => {
  await raw.close();
  await server.stop();
});
const consul = await sharedConsul();

describe('a wrong port', () => {
  it('that of HTTP in the place of ZooKeeper is told to be one that should be checked, by every operation', () =>
    using(
      () => openAt(new URL(consul.address).host, { digestAuth: `roster:${SECRET}`, connectMs: 1_000 }),
      async (registry) => {
        const failures = [
          await failureOf(registry.check(never)),
          await failureOf(registry.list(freshCluster(), never)),
          await failureOf(registry.discover('web', never)),
          await failureOf(registry.watch({ service: 'web' }, () => assert.fail('a hint'), never)),
          failureIn((await registry.apply([register(sampleOf(freshCluster()))], never))[0]),
        ];
        for (const { code, message, ambiguous } of failures) {
          // Go's HTTP server waits for the end of a line; others answer, and that is told as the wrong protocol.
          assert.deepEqual([code, ambiguous], ['timeout', false]);
          assert.match(message, /check that the port is its client port \(2181 as a rule\)/);
        }
      },
    ));

  for (const given of [
    { type: 'Consul', consul: { address: `http://${server.address}` } },
    { type: 'Etcd', etcd: { endpoints: [server.address] } },
    { type: 'Nacos', nacos: { addresses: [`http://${server.address}`], protocol: 'Http' } },
  ]) {
    it(`that of ZooKeeper in the place of ${given.type} is out of reach, and asked in vain no longer than other ones`, async () => {
      const config = parseRegistryConfig(given);
      assert.ok(config.ok, JSON.stringify(config));
      await using(
        () => createRegistry(config.value, {}, { retry: false }),
        async (registry) => {
          const { code, message } = await failureOf(registry.check(never));
          assert.match(code, /^(unreachable|protocol)$/);
          assert.match(message, new RegExp(given.type, 'i'));
        },
      );
      assert.match(await server.ask('srvr'), /^Zookeeper version/);
    });
  }
});

describe('nasty names', () => {
  const names = (cluster: string): readonly string[] => [
    '__proto__',
    'constructor',
    'zookeeper',
    `${cluster} with spaces `,
    `${cluster}%2Fweb`,
    `${cluster}\\web?#*"'{}`,
    `..${cluster}`,
    `${cluster}-ιστός-サービス`,
    cluster.padEnd(63, 'x'),
    cluster.padEnd(255, 'x'),
    cluster.padEnd(512, 'x'),
    cluster.padEnd(4_096, 'x'),
  ];

  it('of services and of ids are nodes that others find under them, and come back as they went', () =>
    using(
      () => openAt(server.address, { rootPath: '/nasty' }),
      async (registry) => {
        const cluster = freshCluster();
        const instances = names(cluster).map((name) =>
          stored(
            registry,
            sampleOf(cluster, {
              service: name,
              id: `${name}/\u0000\u001f/\u{1f600}/[fd00::7]:8080`,
              address: 'fd00::7',
              metadata: JSON.parse('{"__proto__":"x","nul":"\\u0000"}'),
            }),
          ),
        );
        assertOk(await registry.apply(instances.map(register), never));
        assertSame(await registry.list(cluster, never), instances);
        assert.deepEqual([...(await raw.children('/nasty'))].sort(), [...names(cluster)].sort());
        for (const instance of instances) {
          const [node] = await raw.children(`/nasty/${instance.service}`);
          assert.equal(decodeURIComponent(node ?? ''), instance.id);
          assertSame(await registry.discover(instance.service, never), [instance]);
        }
        const changed = instances.map((instance) => ({ ...instance, port: 1 }));
        assertOk(
          await registry.apply(
            changed.map((instance, n) => update(instance, instances[n] ?? instance)),
            never,
          ),
        );
        assertSame(await registry.list(cluster, never), changed);
        assertOk(await registry.apply(changed.map(deregister), never));
        assert.deepEqual(await raw.children('/nasty'), []);
      },
    ));

  it('that cannot be a path are refused by every way in, and the rest is done', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const cluster = freshCluster();
        const good = stored(registry, sampleOf(cluster));
        const bad = ['', '.', '..', 'a/b', 'a\u0000b', 'a\u007f', 'a\u{1f600}', 'a\ue000'];
        for (const service of bad) {
          const refused = registry.normalise({ ...good, service });
          assert.ok(!refused.ok);
          assert.match(refused.message, /empty|other nodes|slash|allows in no path/);
          assert.equal((await failureOf(registry.discover(service, never))).code, 'invalid');
          assert.equal((await failureOf(registry.watch({ service }, () => {}, never))).code, 'invalid');
        }
        assertSame(await registry.list(cluster, never), []);
        assertOk(await registry.apply([register(good)], never));
        assertOk(await registry.apply([deregister(good)], never));
      },
    ));
});

it('what is larger than the server was set to take is told to be, and what is asked for beside it is done', async () => {
  const small = await openZooKeeper({ fsync: false, maxRequestBytes: 60_000 });
  after(() => small.stop());
  await using(
    () => openAt(small.address),
    async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 50).map((instance) => stored(registry, instance));
      const wide = stored(registry, sampleOf(cluster, { number: 100, metadata: { wide: 'x'.repeat(100_000) } }));
      const told = await until('the large one to be told from the others', async () => {
        const [result, ...others] = await registry.apply([wide, ...instances].map(register), never);
        const failure = failureIn(result);
        if (failure.code === 'unreachable') return undefined;
        assertOk(others);
        return failure;
      });
      assert.equal(told.code, 'too-large');
      assert.match(
        told.message,
        /closes the connection over its 10\d{4} bytes; use less metadata, or raise jute\.maxbuffer/,
      );
      assertSame(await registry.list(cluster, never), instances);

      // It stands in nobody's way from now on.
      const changed = instances.map((instance) => ({ ...instance, port: 1 }));
      const [again, ...others] = await registry.apply(
        [register(wide), ...changed.map((instance, n) => update(instance, instances[n] ?? instance))],
        never,
      );
      assert.equal(failureIn(again).code, 'too-large');
      assertOk(others);
      assertSame(await registry.list(cluster, never), changed);
    },
  );
});
