// What goes with its writer: processes that are killed, frozen and started again, on servers of one's own.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { RegistryError } from '../../src/registries/error.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import type { ZooKeeperSettings } from '../../src/registries/zookeeper/zookeeper.ts';
import { openZooKeeperLink } from '../links/zookeeper-link.ts';
import { until } from '../servers/until.ts';
import { openZooKeeper, type ZooKeeperServer } from '../servers/zookeeper.ts';
import { assertEnds, clientProcess } from './client-process.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { SECRET } from './harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { nodeName, openAt, pathOf } from './zookeeper-harness.ts';
import { rawZooKeeper } from './zookeeper-raw.ts';

/** Sessions of one second and more. */
const server = await openZooKeeper({ fsync: false, config: { tickTime: 500, maxSessionTimeout: 60_000 } });
const raw = rawZooKeeper(server.address);
const link = await openZooKeeperLink(Number(server.address.split(':')[1]));
const throughLink = `127.0.0.1:${link.port}`;
after(async () => {
  await raw.close();
  await link.close();
  await server.stop();
});

const NOBODY = Buffer.alloc(8);
const ownerOf = async (instance: Instance) => (await raw.get(pathOf(instance)))?.stat.ephemeralOwner;
const sessions = async () => new Set((await server.ask('dump')).match(/0x[0-9a-f]{10,}/g));
const leased = (registry: ServiceRegistry, over: Partial<Instance> = {}) =>
  stored(registry, sampleOf(freshCluster(), { liveness: 'leased', ...over }));
const gone = (instance: Instance) =>
  until(`${instance.id} to lapse`, async () => ((await raw.get(pathOf(instance))) === undefined ? true : undefined));

describe('a leased entry', () => {
  for (const layout of ['Curator', 'Kratos', 'Plain'] as const) {
    it(`is an ephemeral node of layout ${layout} to an independent reader`, () =>
      using(
        () => openAt(server.address, { layout }),
        async (registry) => {
          const instance = leased(registry);
          assertOk(await registry.apply([register(instance)], never));
          const node = await raw.get(pathOf(instance));
          assert.notDeepEqual(node?.stat.ephemeralOwner, NOBODY);
          const document = JSON.parse(node?.text ?? '');
          assert.equal(document.serviceType, layout === 'Curator' ? 'DYNAMIC' : undefined);
          assert.equal((await raw.get(`/services/${instance.service}`))?.stat.ephemeralOwner.equals(NOBODY), true);
          assertSame(await registry.list(instance.marks.cluster, never), [instance]);
          assertSame(await registry.discover(instance.service, never), [instance]);
          const before = await server.zxid();
          assertOk(await registry.apply([update(instance, instance)], never));
          assert.equal(await server.zxid(), before);
          assertOk(await registry.apply([deregister(instance)], never));
          assert.equal(await raw.get(`/services/${instance.service}`), undefined);
        },
      ));
  }

  it('changes in place while its writer has it, and its kind changes in one step for readers', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const first = leased(registry);
        assertOk(await registry.apply([register(first)], never));
        const owner = await ownerOf(first);
        const changed = { ...first, port: 9_000 };
        assertOk(await registry.apply([update(changed, first)], never));
        assert.deepEqual([await ownerOf(first), (await raw.get(pathOf(first)))?.stat.version], [owner, 1]);

        const reader = readsOf(first.service);
        for (const liveness of ['persistent', 'leased', 'persistent'] as const) {
          const wanted = { ...changed, liveness };
          assertOk(await registry.apply([update(wanted, changed)], never));
          assertSame(await registry.list(first.marks.cluster, never), [wanted]);
          assert.equal((await ownerOf(first))?.equals(NOBODY), liveness === 'persistent');
        }
        assert.deepEqual(new Set(await reader.stop()), new Set([1]));
        assertOk(await registry.apply([deregister(changed)], never));
      },
    ));

  it('is readable by all and changed by nobody else, with an account', () =>
    using(
      () => openAt(server.address, { digestAuth: `roster:${SECRET}`, rootPath: '/kept' }),
      async (registry) => {
        const instance = leased(registry);
        assertOk(await registry.apply([register(instance)], never));
        const path = `/kept/${instance.service}/${nodeName(instance.id)}`;
        assert.deepEqual(await raw.accessOf(path), ['digest 31', 'world 1']);
        await assert.rejects(raw.put(path, '{}'), { name: 'NO_AUTH' });
        await assert.rejects(raw.remove(path), { name: 'NO_AUTH' });
      },
    ));

  it('of a stranger under our id stays as it is', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const instance = leased(registry);
        const path = pathOf(instance);
        await raw.put(`/services/${instance.service}`, '');
        await raw.putEphemeral(path, '{}');
        const [result] = await registry.apply([register(instance)], never);
        assert.equal(failureIn(result).code, 'conflict');
        assertOk(await registry.apply([deregister(instance)], never));
        assert.equal((await raw.get(path))?.text, '{}');
        await raw.remove(path);
      },
    ));

  it('that somebody writes over between reading and taking over is not taken', async () => {
    const writer = openAt(server.address);
    const instance = leased(writer);
    assertOk(await writer.apply([register(instance)], never));
    await using(
      () => openAt(throughLink),
      async (registry) => {
        link.beforeNextTransaction(() => raw.put(pathOf(instance), '{"theirs":true}'));
        const [result] = await registry.apply([update(instance, { ...instance, liveness: 'lapsing' })], never);
        assert.equal(failureIn(result).code, 'conflict');
        assert.equal((await raw.get(pathOf(instance)))?.text, '{"theirs":true}');
      },
    );
    await writer.close();
  });
});

describe('closing a client', () => {
  it('that holds leases leaves them to lapse, and ends its session otherwise', async () => {
    const before = await sessions();
    const added = async () => [...(await sessions())].filter((session) => !before.has(session)).length;
    const holder = openAt(server.address, { sessionTimeoutMs: 6_000 });
    const instance = leased(holder);
    const persistent = { ...instance, id: `${instance.id}1`, liveness: 'persistent' as const };
    assertOk(await holder.apply([register(instance), register(persistent)], never));
    assert.equal(await added(), 1);
    await holder.close();
    assert.equal(await added(), 1);
    assert.notEqual(await raw.get(pathOf(instance)), undefined);

    const other = openAt(server.address);
    const lapsing = { ...instance, liveness: 'lapsing' as const };
    assertSame(await other.list(instance.marks.cluster, never), [lapsing, persistent]);
    await gone(instance);
    assertSame(await other.list(instance.marks.cluster, never), [persistent]);
    // The node of the service stays until its last entry is removed.
    assertOk(await other.apply([deregister(persistent)], never));
    assert.equal(await raw.get(`/services/${instance.service}`), undefined);
    await other.close();
    assert.equal(await added(), 0);
  });

  it('leaves nothing that would keep a program from ending', async () => {
    const program = `
      import { openZooKeeperRegistry } from ${JSON.stringify(new URL('../../src/registries/zookeeper/zookeeper.ts', import.meta.url).href)};
      const { settings, change, cluster } = JSON.parse(process.env.TASK);
      const registry = openZooKeeperRegistry(settings);
      const never = new AbortController().signal;
      const watching = Promise.all([{ cluster }, { service: 'web' }].map((scope) => registry.watch(scope, () => {}, never).catch((error) => error.code)));
      await registry.apply([change], never);
      await registry.close();
      process.stdout.write((await watching).join(' '));
    `;
    for (const liveness of ['leased', 'persistent'] as const) {
      const cluster = freshCluster();
      const change = register(sampleOf(cluster, { liveness }));
      // Longer than the test: no time-out may be what ends it.
      const task = { settings: settingsAt(server.address, { requestMs: 3_600_000 }), change, cluster };
      await assertEnds(program, { env: { TASK: JSON.stringify(task) }, wrote: 'closed closed' });
    }
  });
});

describe('a process that', () => {
  it('is killed takes what it leased along, within its session time-out and a tick, and nothing else', async () => {
    const cluster = freshCluster();
    const instances = samplesOf(cluster, 40).map((instance, n) => ({
      ...instance,
      liveness: n % 2 === 0 ? ('leased' as const) : ('persistent' as const),
    }));
    const child = startClient(settingsAt(server.address, { sessionTimeoutMs: 6_000 }), cluster, instances);
    assert.equal(await child.line(/written/), '40 written');
    const [first, second] = instances;
    assert.ok(first !== undefined && second !== undefined);
    assert.equal((await raw.children(`/services/${first.service}`)).length, 40);
    await child.kill();
    // It has only just died.
    assert.notEqual(await raw.get(pathOf(first)), undefined);
    await gone(first);
    await until('all to lapse', async () =>
      (await raw.children(`/services/${first.service}`)).length === 20 ? true : undefined,
    );
    assert.notEqual(await raw.get(pathOf(second)), undefined);
    await using(
      () => openAt(server.address),
      async (reader) => {
        assertSame(
          await reader.list(cluster, never),
          instances.filter(({ liveness }) => liveness === 'persistent'),
        );
      },
    );
  });

  it('starts again inside the time-out takes its entries over, and readers see all of them all the time', async () => {
    const cluster = freshCluster();
    const instances = samplesOf(cluster, 300).map((instance) => ({ ...instance, liveness: 'leased' as const }));
    // Time for a new process to start, on a machine that has much to do.
    const settings = settingsAt(server.address, { sessionTimeoutMs: 15_000 });
    const first = startClient(settings, cluster, instances);
    assert.equal(await first.line(/written/), '300 written');
    const service = instances[0]?.service ?? '';
    const owner = await ownerOf(instances[0] ?? assert.fail());
    const reader = readsOf(service);
    await first.kill();
    const second = startClient(settings, cluster, instances);
    assert.equal(await second.line(/written/), '300 written');
    // Until the first one's session is over, and past it.
    await until('the first session to be over', async () =>
      (await server.ask('dump')).includes(`0x${owner?.toString('hex').replace(/^0+/, '')}`) ? undefined : true,
    );
    const counts = await reader.stop();
    assert.deepEqual(new Set(counts), new Set([300]));
    assert.ok(counts.length > 10);
    assert.notDeepEqual(await ownerOf(instances[0] ?? assert.fail()), owner);
    await second.kill();
  });

  it('is frozen for longer than its session lasts has a hint when it goes on, and what it had comes back', async () => {
    const cluster = freshCluster();
    const instance = { ...sampleOf(cluster), liveness: 'leased' as const };
    const child = startClient(settingsAt(server.address, { sessionTimeoutMs: 6_000 }), cluster, [instance]);
    assert.equal(await child.line(/written/), '1 written');
    const owner = await ownerOf(instance);
    child.signal('SIGSTOP');
    await gone(instance);
    child.signal('SIGCONT');
    await child.line(/^lost/);
    await child.line(/^1 written/);
    assert.notDeepEqual(await ownerOf(instance), owner);
    await child.kill();
  });
});

describe('a session with leases', () => {
  it('is continued though nobody asks for anything, over a restart of the server', async () => {
    const own = await openZooKeeper({ fsync: false, config: { tickTime: 500 } });
    after(() => own.stop());
    await using(
      () => openAt(own.address, { sessionTimeoutMs: 10_000, connectMs: 2_000 }),
      async (registry) => {
        const instance = leased(registry);
        assertOk(await registry.apply([register(instance)], never));
        const before = await statIn(own.address, instance);
        assert.ok(before.every((one) => one !== undefined));
        own.kill('SIGKILL');
        await own.restart();
        // Another session of the same length, begun now, ends for want of a client.
        const witness = openAt(own.address, { sessionTimeoutMs: 10_000 });
        const left = leased(witness);
        assertOk(await witness.apply([register(left)], never));
        await witness.close();
        await until('a session without a client to be over', async () =>
          (await statIn(own.address, left)).includes(undefined) ? true : undefined,
        );
        assert.deepEqual(await statIn(own.address, instance), before);
        assertSame(await registry.list(instance.marks.cluster, never), [instance]);
      },
    );
  });

  for (const [fate, happens] of [
    [
      'frozen',
      async (own: ZooKeeperServer, watching: Promise<RegistryError>) => {
        own.kill('SIGSTOP');
        await watching;
        own.kill('SIGCONT');
      },
    ],
    [
      'wiped',
      async (own: ZooKeeperServer) => {
        own.kill('SIGKILL');
        await rm(join(dirname(own.logPath), 'data'), { recursive: true });
        await own.restart();
      },
    ],
  ] as const) {
    it(`is continued or replaced after its server was ${fate}: the watch is lost, and what was lost with it can be written again`, async () => {
      const own = await openZooKeeper({ fsync: false, config: { tickTime: 500 } });
      after(() => own.stop());
      await using(
        // A server that is starting may take a connection and never greet it.
        () => openAt(own.address, { sessionTimeoutMs: 6_000, connectMs: 2_000 }),
        async (registry) => {
          const instance = leased(registry);
          const { cluster } = instance.marks;
          assertOk(await registry.apply([register(instance)], never));
          let hints = 0;
          const watching = failureOf(registry.watch({ cluster }, () => hints++, never));
          await until('the watch to stand', async () => (hints === 1 ? true : undefined));
          await happens(own, watching);
          assert.match((await watching).code, /^(unreachable|timeout)$/);

          const written = async () => {
            const seen = await registry.list(cluster, never).catch(() => undefined);
            if (seen?.some(({ liveness }) => liveness === 'leased')) return true;
            const lapsing = seen?.map((one) => update(instance, one)) ?? [];
            if (seen !== undefined) await registry.apply(lapsing.length === 0 ? [register(instance)] : lapsing, never);
            return undefined;
          };
          await until('what was lost to be written again', written, 120_000);
          assertSame(await registry.list(cluster, never), [instance]);
          assert.ok((await statIn(own.address, instance)).every((one) => one !== undefined && !NOBODY.equals(one)));
        },
      );
    });
  }

  it('that is over while the network is, shows as what is missing, and as a watch that was lost', () =>
    using(
      () => openAt(throughLink, { sessionTimeoutMs: 6_000 }),
      async (registry) => {
        const instance = leased(registry);
        const { cluster } = instance.marks;
        assertOk(await registry.apply([register(instance)], never));
        let hints = 0;
        const watching = failureOf(registry.watch({ cluster }, () => hints++, never));
        await until('the watch to stand', async () => (hints === 1 ? true : undefined));
        link.freeze();
        await gone(instance);
        link.heal();
        assert.match((await watching).code, /^(unreachable|timeout)$/);
        assertSame(
          await until('the client to be back', () => registry.list(cluster, never).catch(() => undefined)),
          [],
        );
        assertOk(await registry.apply([register(instance)], never));
        assertSame(await registry.list(cluster, never), [instance]);
      },
    ));
});

/** By a client for this alone: the package's own does not outlive its server for long. */
async function statIn(address: string, instance: Instance) {
  const reader = rawZooKeeper(address);
  const node = await reader.get(pathOf(instance));
  await reader.close();
  return [node?.stat.czxid, node?.stat.ephemeralOwner];
}

const settingsAt = (connectString: string, over: Partial<ZooKeeperSettings> = {}): ZooKeeperSettings => ({
  connectString,
  rootPath: '/services',
  layout: 'Curator',
  sessionTimeoutMs: 8_000,
  digestAuth: undefined,
  connectMs: 60_000,
  requestMs: 60_000,
  ...over,
});

/** How many entries of a service each of many reads in a row finds, until it is stopped. */
function readsOf(service: string) {
  const counts: number[] = [];
  let stopped = false;
  const reading = (async () => {
    while (!stopped) counts.push((await raw.children(`/services/${service}`)).length);
  })();
  return {
    async stop() {
      stopped = true;
      await reading;
      return counts;
    },
  };
}

const startClient = (zookeeper: ZooKeeperSettings, cluster: string, instances: readonly Instance[]) =>
  clientProcess({ of: { zookeeper }, cluster, instances });
