// What goes with its writer: leases that are lost, processes that are killed and frozen, servers that forget.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { Etcd3 } from 'etcd3';
import type { Instance } from '../../src/mirror/instance.ts';
import type { EtcdSettings } from '../../src/registries/etcd/etcd.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openEtcdLink } from '../links/etcd-link.ts';
import { openEtcd } from '../servers/etcd.ts';
import { until } from '../servers/until.ts';
import { clientProcess } from './client-process.ts';
import { sweepAfter } from './conformance.ts';
import { etcdHarness, openAt, rawEtcd } from './etcd-harness.ts';
import { layoutBooks } from './etcd-layouts.ts';
import { assertOk, assertSame, assertStanding, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';

/** Its revisions and its leases are counted, so nobody else may use it. */
const server = await openEtcd({ fsync: false });
after(() => server.stop());
const harness = await etcdHarness(server);
const raw = rawEtcd(server.address);
after(() => raw.close());
afterEach(() => sweepAfter(harness));

/** Renewed in time however busy the machine is, unless that is what a test is about. */
const LONG = { ttlMs: 180_000 };
const SHORT = { ttlMs: 6_000 };
const leased = (registry: ServiceRegistry, over: Partial<Instance> & { readonly number?: number } = {}) =>
  stored(registry, sampleOf(freshCluster(), { liveness: 'leased', ...over }));
const lapsing = (instance: Instance): Instance => ({ ...instance, liveness: 'lapsing' });
const roster = layoutBooks.Roster;

/** Of a key, or undefined when it does not stand. */
async function leaseOf(key: string, client = raw.client): Promise<string | undefined> {
  return (await client.get(key).exec()).kvs[0]?.lease;
}
const keysUnder = async (ID: string) =>
  (await raw.client.leaseClient.leaseTimeToLive({ ID, keys: true })).keys.map(String);
const timeLeft = async (ID: string, client = raw.client) =>
  Number((await client.leaseClient.leaseTimeToLive({ ID })).TTL);
const revision = async (client = raw.client) => (await client.getAll().prefix('/').limit(1).exec()).header.revision;
const gone = (instance: Instance) =>
  until(`${instance.id} to lapse`, async () =>
    (await raw.get(roster.keyOf(instance))) === undefined ? true : undefined,
  );

/** Waits until the time that is left has grown so often. */
async function renewals(ID: string, count: number, client = raw.client): Promise<void> {
  let before = await timeLeft(ID, client);
  let seen = 0;
  await until(`${count} renewals`, async () => {
    const left = await timeLeft(ID, client);
    assert.ok(left > 0, 'the lease ran out');
    if (left > before) seen++;
    before = left;
    return seen >= count ? true : undefined;
  });
}

describe('a leased entry', () => {
  for (const layout of ['Roster', 'Grpc', 'GoMicro', 'Kratos', 'GoZero'] as const) {
    it(`of layout ${layout} has all its keys under one lease, through all that becomes of it`, async () => {
      const book = await etcdHarness(server, layout);
      await using(
        () => openAt(server.address, { layout, ...LONG }),
        async (registry) => {
          const base = leased(registry);
          const { cluster } = base.marks;
          assertOk(await registry.apply([register(base)], never));
          const lease = (await leaseOf(layoutBooks[layout].keyOf(base))) ?? assert.fail();
          assert.notEqual(lease, '0');
          let before = base;
          for (const over of [
            { health: 'unhealthy' },
            { weight: 7 },
            { liveness: 'persistent' },
            { port: 9 },
          ] as const) {
            const instance: Instance = { ...base, ...over };
            assertOk(await registry.apply([update(instance, before)], never));
            // Every key of it is looked at there.
            await assertStanding(book, registry, cluster, [instance]);
            before = instance;
          }
          assert.deepEqual(
            new Set(await keysUnder(lease)),
            new Set((await raw.all(layoutBooks[layout])).leases.keys()),
          );
          assertSame(await registry.discover(base.service, never), [before]);
          await using(
            () => openAt(server.address, { layout }),
            async (other) => {
              assertSame(await other.list(cluster, never), [lapsing(before)]);
              assertSame(await other.discover(base.service, never), [lapsing(before)]);
            },
          );
          const written = await revision();
          assertOk(await registry.apply([update(before, before), register(before)], never));
          assert.equal(await revision(), written);
          assertOk(await registry.apply([deregister(before)], never));
          assert.deepEqual(await keysUnder(lease), []);
        },
      );
    });
  }

  it('is taken over by another client, and becomes a persistent one and back, in one step for readers', () =>
    using(
      () => openAt(server.address, LONG),
      async (registry) => {
        const instance = leased(registry);
        assertOk(await registry.apply([register(instance)], never));
        const reader = readsOf(instance.service);
        const first = await leaseOf(roster.keyOf(instance));
        for (const liveness of ['persistent', 'leased', 'persistent', 'leased'] as const) {
          assertOk(await registry.apply([update({ ...instance, liveness }, instance)], never));
          assertSame(await registry.list(instance.marks.cluster, never), [{ ...instance, liveness }]);
        }
        await using(
          () => openAt(server.address, LONG),
          async (heir) => {
            assertOk(await heir.apply([update(instance, lapsing(instance))], never));
            assertSame(await heir.list(instance.marks.cluster, never), [instance]);
            assertSame(await registry.list(instance.marks.cluster, never), [lapsing(instance)]);
          },
        );
        assert.notEqual(await leaseOf(roster.keyOf(instance)), first);
        const [kv] = (await raw.client.get(roster.keyOf(instance)).exec()).kvs;
        // Never removed, and written once a step.
        assert.deepEqual([kv?.version, new Set(await reader.stop())], ['6', new Set([1])]);
      },
    ));

  it('that somebody has put without its lease is no leased one any more, and is leased again by an update', () =>
    using(
      () => openAt(server.address, LONG),
      async (registry) => {
        for (const wanted of ['leased', 'persistent'] as const) {
          const instance = leased(registry, { liveness: wanted });
          const key = roster.keyOf(instance);
          assertOk(await registry.apply([register(instance)], never));
          const value = (await raw.get(key)) ?? assert.fail();
          const theirs = await raw.client.leaseClient.leaseGrant({ TTL: 600 });
          await raw.client
            .put(key)
            .value(value)
            .lease(wanted === 'leased' ? '0' : theirs.ID)
            .exec();
          const [standing] = await registry.list(instance.marks.cluster, never);
          assert.equal(standing?.liveness, wanted === 'leased' ? 'persistent' : 'lapsing');
          assertOk(await registry.apply([update(instance, standing)], never));
          await assertStanding(harness, registry, instance.marks.cluster, [instance]);
        }
      },
    ));

  it('that two keys tell apart is lapsing, whatever is wanted', () =>
    using(
      () => openAt(server.address, { layout: 'Grpc', ...LONG }),
      async (registry) => {
        const instance = leased(registry);
        assertOk(await registry.apply([register(instance)], never));
        const key = layoutBooks.Grpc.keyOf(instance);
        await raw.put(key, (await raw.get(key)) ?? assert.fail());
        assertSame(await registry.list(instance.marks.cluster, never), [lapsing(instance)]);
        assertOk(await registry.apply([update(instance, lapsing(instance))], never));
        await assertStanding(await etcdHarness(server, 'Grpc'), registry, instance.marks.cluster, [instance]);
      },
    ));

  it('of a stranger under our id stays as it is', () =>
    using(
      () => openAt(server.address, LONG),
      async (registry) => {
        const instance = leased(registry);
        const { ID } = await raw.client.leaseClient.leaseGrant({ TTL: 600 });
        await raw.client.put(roster.keyOf(instance)).value('theirs').lease(ID).exec();
        const before = await raw.stamp(roster.keyOf(instance));
        const [result] = await registry.apply([register(instance)], never);
        assert.equal(failureIn(result).code, 'conflict');
        assertOk(await registry.apply([deregister(instance)], never));
        assert.deepEqual(
          [await raw.stamp(roster.keyOf(instance)), await leaseOf(roster.keyOf(instance))],
          [before, ID],
        );
      },
    ));

  it('is what every entry becomes where all are, and lapsing is never wanted', () =>
    using(
      () => openAt(server.address, { leasesAll: true, ...LONG }),
      async (registry) => {
        const instance = leased(registry, { liveness: 'persistent' });
        assert.equal(instance.liveness, 'leased');
        assertOk(await registry.apply([register(instance)], never));
        await assertStanding(harness, registry, instance.marks.cluster, [instance]);
        assert.equal(registry.normalise(lapsing(instance)).ok, false);
      },
    ));
});

describe('leases', () => {
  it('are renewed without a write, and bear a thousand keys each, whose places are free again when they go', () =>
    using(
      () => openAt(server.address, SHORT),
      async (registry) => {
        const cluster = freshCluster();
        const some = (from: number, to: number) =>
          samplesOf(cluster, to)
            .slice(from)
            .map((instance) => stored(registry, { ...instance, liveness: 'leased' }));
        const loads = async () => {
          const { leases } = await raw.all(roster);
          const counts = new Map<string, number>();
          for (const [key, lease] of leases) {
            if (key.includes(`/${cluster}/`)) counts.set(lease, (counts.get(lease) ?? 0) + 1);
          }
          return counts;
        };
        // Several at once, as the operator applies them.
        const parts = [some(0, 600), some(600, 1_300), some(1_300, 2_500)];
        const results = await Promise.all(parts.map((part) => registry.apply(part.map(register), never)));
        assertOk(results.flat());
        const first = await loads();
        assert.deepEqual([...first.values()].sort(), [1_000, 1_000, 500]);
        assertOk(await registry.apply(some(0, 900).map(deregister), never));
        assertOk(await registry.apply(some(2_500, 3_900).map(register), never));
        const second = await loads();
        assert.deepEqual(new Set(second.keys()), new Set(first.keys()));
        assert.deepEqual([...second.values()], [1_000, 1_000, 1_000]);

        const written = await revision();
        await Promise.all([...second.keys()].map((lease) => renewals(lease, 2)));
        assert.equal(await revision(), written);
        await assertStanding(harness, registry, cluster, some(900, 3_900));
      },
    ));

  it('hold both keys of an entry where it has two', () =>
    using(
      () => openAt(server.address, { layout: 'Grpc', ...LONG }),
      async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, 700).map((instance, n) =>
          stored(registry, { ...instance, liveness: 'leased', health: n % 2 === 0 ? 'healthy' : 'unhealthy' }),
        );
        assertOk(await registry.apply(instances.map(register), never));
        const well = instances.map((instance) => ({ ...instance, health: 'healthy' as const }));
        assertOk(
          await registry.apply(
            well.map((instance, n) => update(instance, instances[n] ?? instance)),
            never,
          ),
        );
        await assertStanding(await etcdHarness(server, 'Grpc'), registry, cluster, well);
        const { leases } = await raw.all(layoutBooks.Grpc);
        const ours = [...leases].filter(([key]) => key.includes(cluster)).map(([, lease]) => lease);
        assert.deepEqual(
          [...new Set(ours)].map((lease) => ours.filter((one) => one === lease).length).sort(),
          [1_000, 400],
        );
      },
    ));

  it('keep what became persistent and leased again in one apply', () =>
    using(
      () => openAt(server.address, SHORT),
      async (registry) => {
        const instance = leased(registry);
        const persistent: Instance = { ...instance, liveness: 'persistent' };
        assertOk(
          await registry.apply([register(instance), update(persistent, instance), update(instance, persistent)], never),
        );
        await renewals((await leaseOf(roster.keyOf(instance))) ?? assert.fail(), 2);
        assertSame(await registry.list(instance.marks.cluster, never), [instance]);
      },
    ));

  it('that nothing stands under run out', () =>
    using(
      () => openAt(server.address, SHORT),
      async (registry) => {
        const instance = leased(registry);
        assertOk(await registry.apply([register(instance)], never));
        const lease = (await leaseOf(roster.keyOf(instance))) ?? assert.fail();
        assertOk(await registry.apply([deregister(instance)], never));
        await until('the lease to run out', async () => ((await timeLeft(lease)) < 0 ? true : undefined));
        assertOk(await registry.apply([register(instance)], never));
        assertSame(await registry.list(instance.marks.cluster, never), [instance]);
      },
    ));

  it('that are revoked show as entries that are missing and as a hint, and others are granted in their place', () =>
    using(
      () => openAt(server.address, LONG),
      async (registry) => {
        const instance = leased(registry);
        const { cluster } = instance.marks;
        const watch = await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));
        assertOk(await registry.apply([register(instance)], never));
        const ID = (await leaseOf(roster.keyOf(instance))) ?? assert.fail();
        await raw.client.leaseClient.leaseRevoke({ ID });
        await until('the hint', async () => (watch.hints() === 2 ? true : undefined));
        assert.deepEqual(await registry.list(cluster, never), []);
        assertOk(await registry.apply([register(instance)], never));
        await assertStanding(harness, registry, cluster, [instance]);
        assert.notEqual(await leaseOf(roster.keyOf(instance)), ID);
        await watch.stop();
      },
    ));

  it('that were lost unnoticed fail no change: neither of new entries, nor of those that went with them', () =>
    using(
      () => openAt(server.address, LONG),
      async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, 300).map((instance) =>
          stored(registry, { ...instance, liveness: 'leased' }),
        );
        const [old, young] = [instances.slice(0, 100), instances.slice(100)];
        assertOk(await registry.apply(old.map(register), never));
        const ID = (await leaseOf(roster.keyOf(old[0] ?? assert.fail()))) ?? assert.fail();
        await raw.client.leaseClient.leaseRevoke({ ID });
        const persistent = stored(registry, sampleOf(cluster, { number: 900 }));
        const changes = [
          ...old.map((instance) => update({ ...instance, weight: 7 }, instance)),
          register(persistent),
          ...young.map(register),
        ];
        assertOk(await registry.apply(changes, never));
        const now = [...old.map((instance) => ({ ...instance, weight: 7 })), persistent, ...young];
        await assertStanding(harness, registry, cluster, now);
      },
    ));

  it('are not granted by an etcd that is full, which fails what would be leased alone', async () => {
    const full = await openEtcd({ fsync: false, args: [`--quota-backend-bytes=${4 * 1_024 * 1_024}`] });
    const filler = new Etcd3({ hosts: full.address });
    try {
      await using(
        () => openAt(full.address, LONG),
        async (registry) => {
          const instance = leased(registry);
          const { cluster } = instance.marks;
          const standing = samplesOf(cluster, 100).map((one) => stored(registry, one));
          assertOk(await registry.apply(standing.map(register), never));
          const filled = until('etcd to be full', () =>
            filler
              .put('filler')
              .value('x'.repeat(1_000_000))
              .exec()
              .then(
                () => undefined,
                () => true,
              ),
          );
          await filled;
          const results = await registry.apply([register(instance), ...standing.map(deregister)], never);
          assert.match(failureIn(results[0]).message, /is full; compact/);
          assertOk(results.slice(1));
        },
      );
    } finally {
      filler.close();
      await full.stop();
    }
  });

  it('are renewed by a user without rights on anything else, however often its login runs out', async () => {
    const guarded = await openEtcd({ fsync: false, auth: true, args: ['--auth-token-ttl=1'] });
    const { username, password } = guarded.root ?? assert.fail();
    const admin = new Etcd3({ hosts: guarded.address, auth: { username, password } });
    try {
      await admin.role('some').create();
      await admin.role('some').grant({ permission: 'Readwrite', range: admin.range({ prefix: '/services/' }) });
      await admin.user('some').create('hunter2');
      await admin.user('some').addRole('some');
      await using(
        () => openAt(guarded.address, { username: 'some', password: 'hunter2', ttlMs: 9_000 }),
        async (registry) => {
          const instance = leased(registry);
          assertOk(await registry.apply([register(instance)], never));
          const key = roster.keyOf(instance);
          // Its own login runs out as well.
          const left = async () => {
            const client = new Etcd3({ hosts: guarded.address, auth: { username, password } });
            try {
              return await timeLeft((await leaseOf(key, client)) ?? assert.fail('the lease ran out'), client);
            } finally {
              client.close();
            }
          };
          let before = await left();
          let seen = 0;
          await until('three renewals', async () => {
            const now = await left();
            if (now > before) seen++;
            before = now;
            return seen === 3 ? true : undefined;
          });
        },
      );
    } finally {
      admin.close();
      await guarded.stop();
    }
  });
});

describe('closing a client', () => {
  it('leaves its leases to run out: what it leased stands until then', async () => {
    const holder = openAt(server.address, SHORT);
    const instance = leased(holder);
    const persistent = stored(holder, { ...instance, id: `${instance.id}1`, liveness: 'persistent' });
    assertOk(await holder.apply([register(instance), register(persistent)], never));
    const lease = (await leaseOf(roster.keyOf(instance))) ?? assert.fail();
    await holder.close();
    assert.ok((await timeLeft(lease)) > 0);
    assert.equal(await leaseOf(roster.keyOf(instance)), lease);
    assert.equal((await failureOf(holder.apply([register(instance)], never))).code, 'closed');
    await gone(instance);
    await using(harness.open, async (other) =>
      assertSame(await other.list(instance.marks.cluster, never), [persistent]),
    );
  });

  it('is not what keeps a program alive: one that has leased something ends by itself', async () => {
    const instance = sampleOf(freshCluster(), { liveness: 'leased' });
    const child = startClient(settingsAt({ requestMs: 3_600_000 }), [instance], { leaves: true });
    assert.equal(await child.line(/written/), '1 written');
    assert.equal(await child.exitCode(), 0);
  });
});

describe('a process that', () => {
  it('is killed takes what it leased along, within its TTL, and nothing else', async () => {
    const cluster = freshCluster();
    const instances = samplesOf(cluster, 40).map((instance, n) => ({
      ...instance,
      liveness: n % 2 === 0 ? ('leased' as const) : ('persistent' as const),
    }));
    const child = startClient(settingsAt(SHORT), instances);
    assert.equal(await child.line(/written/), '40 written');
    assert.equal((await keysOf(`${cluster}-web`)).length, 40);
    await child.kill();
    await gone(instances[0] ?? assert.fail());
    assert.equal((await keysOf(`${cluster}-web`)).length, 20);
    assertSame(
      await harness.peek(cluster),
      instances.filter(({ liveness }) => liveness === 'persistent'),
    );
  });

  it('starts again in time takes its entries over, and readers see all of them all the time', async () => {
    const cluster = freshCluster();
    const instances = samplesOf(cluster, 300).map((instance) => ({ ...instance, liveness: 'leased' as const }));
    const key = roster.keyOf(instances[0] ?? assert.fail());
    // Time for a new process to start, on a machine that has much to do.
    const settings = settingsAt({ ttlMs: 120_000 });
    const first = startClient(settings, instances);
    assert.equal(await first.line(/written/), '300 written');
    const ID = (await leaseOf(key)) ?? assert.fail();
    const reader = readsOf(`${cluster}-web`);
    await first.kill();
    const second = startClient(settings, instances);
    assert.equal(await second.line(/written/), '300 written');
    // As its end does: whatever still stood under it would go.
    await raw.client.leaseClient.leaseRevoke({ ID });
    assert.deepEqual(new Set(await reader.stop()), new Set([300]));
    assert.notEqual(await leaseOf(key), ID);
    await second.kill();
  });

  it('is frozen until its lease has run out has a hint when it goes on, and what it had comes back', async () => {
    const instance = sampleOf(freshCluster(), { liveness: 'leased' });
    const child = startClient(settingsAt(SHORT), [instance]);
    assert.equal(await child.line(/written/), '1 written');
    const lease = await leaseOf(roster.keyOf(instance));
    child.signal('SIGSTOP');
    await gone(instance);
    child.signal('SIGCONT');
    assert.equal(await child.line(/^1 written/), '1 written');
    assert.notEqual(await leaseOf(roster.keyOf(instance)), lease);
    await child.kill();
  });
});

describe('leases and servers that come and go', () => {
  it('outlive a partition that is shorter than the TTL; after a longer one the entries are missing, and can be written again', async () => {
    const link = await openEtcdLink(Number(new URL(server.address).port));
    await using(
      () => openAt(`127.0.0.1:${link.port}`, { ttlMs: 9_000, requestMs: 1_000, connectMs: 1_000 }),
      async (registry) => {
        const instance = leased(registry);
        const { cluster } = instance.marks;
        assertOk(await registry.apply([register(instance)], never));
        const lease = (await leaseOf(roster.keyOf(instance))) ?? assert.fail();
        link.freeze();
        await until('the lease to become old', async () => ((await timeLeft(lease)) <= 4 ? true : undefined));
        link.heal();
        await renewals(lease, 1);
        link.freeze();
        await gone(instance);
        link.heal();
        const listed = until('the client to be back', () => registry.list(cluster, never).catch(() => undefined));
        assert.deepEqual(await listed, []);
        assertOk(await registry.apply([register(instance)], never));
        await assertStanding(harness, registry, cluster, [instance]);
      },
    );
    await link.close();
  });

  it('are continued over a crash of the server though nobody asks for anything', async () => {
    const own = await openEtcd();
    const reader = rawEtcd(own.address);
    try {
      await using(
        () => openAt(own.address, { ttlMs: 9_000 }),
        async (registry) => {
          const instance = leased(registry);
          assertOk(await registry.apply([register(instance)], never));
          const lease = (await leaseOf(roster.keyOf(instance), reader.client)) ?? assert.fail();
          own.kill('SIGKILL');
          await own.restart();
          await until('a reader', () =>
            reader.get('x').then(
              () => true,
              () => undefined,
            ),
          );
          await renewals(lease, 2, reader.client);
          assertSame(await registry.list(instance.marks.cluster, never), [instance]);
        },
      );
    } finally {
      reader.close();
      await own.stop();
    }
  });

  it('are granted anew by a server that has forgotten everything, and its watch tells', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'roster-etcd-'));
    const own = await openEtcd({ fsync: false, directory });
    try {
      await using(
        () => openAt(own.address, LONG),
        async (registry) => {
          const instances = samplesOf(freshCluster(), 3).map((one) => stored(registry, { ...one, liveness: 'leased' }));
          const { cluster } = (instances[0] ?? assert.fail()).marks;
          assertOk(await registry.apply(instances.map(register), never));
          const watch = await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));
          own.kill('SIGKILL');
          assert.match((await watch.ended).code, /^(unreachable|unavailable|timeout)$/);
          await rm(join(directory, 'data'), { recursive: true });
          await own.restart();
          const back = until('the client to be back', () => registry.list(cluster, never).catch(() => undefined));
          assert.deepEqual(await back, []);
          assertOk(await registry.apply(instances.map(register), never));
          await assertStanding(await etcdHarness(own), registry, cluster, instances);
        },
      );
    } finally {
      await own.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

const keysOf = async (service: string) =>
  Object.keys(await raw.client.getAll().prefix(`/services/${service}/`).strings());

/** How many keys of a service each of many reads in a row finds, until it is stopped. */
function readsOf(service: string) {
  const counts: number[] = [];
  let stopped = false;
  const reading = (async () => {
    while (!stopped || counts.length < 10) counts.push((await keysOf(service)).length);
  })();
  return {
    async stop() {
      stopped = true;
      await reading;
      return counts;
    },
  };
}

const settingsAt = (over: Partial<EtcdSettings> = {}): EtcdSettings => ({
  endpoints: [server.address],
  prefix: '/services',
  layout: 'Roster',
  ttlMs: 180_000,
  leasesAll: false,
  connectMs: 5_000,
  requestMs: 10_000,
  ...over,
});

const startClient = (etcd: EtcdSettings, instances: readonly Instance[], over: { readonly leaves?: boolean } = {}) =>
  clientProcess({ of: { etcd }, cluster: instances[0]?.marks.cluster ?? assert.fail(), instances, ...over });
