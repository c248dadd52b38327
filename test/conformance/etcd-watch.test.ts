// What a watch tells, and what it does not: on real servers, and on scripted ones for what a real one does seldom.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { Etcd3 } from 'etcd3';
import type { Instance } from '../../src/mirror/instance.ts';
import type { Scope, ServiceRegistry } from '../../src/registries/registry.ts';
import { openEtcdLink } from '../links/etcd-link.ts';
import { openEtcd } from '../servers/etcd.ts';
import { until } from '../servers/until.ts';
import { sweepAfter } from './conformance.ts';
import { answering, etcdHarness, openAt, rawEtcd } from './etcd-harness.ts';
import { layoutBooks } from './etcd-layouts.ts';
import { assertOk, assertSame, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';

const server = await openEtcd({ fsync: false });
after(() => server.stop());
const harness = await etcdHarness(server);
const raw = rawEtcd(server.address);
after(() => raw.close());
afterEach(() => sweepAfter(harness));

const LAYOUTS = ['Roster', 'Grpc', 'GoMicro', 'Kratos', 'GoZero'] as const;
const one = (registry: ServiceRegistry, over: Partial<Instance> & { readonly number?: number } = {}) =>
  stored(registry, sampleOf(freshCluster(), over));
const written = async (writing: ReturnType<ServiceRegistry['apply']>) => assertOk(await writing);

/** A watch that stands. */
async function standing(registry: ServiceRegistry, scope: Scope) {
  const watch = await watching((onHint, signal) => registry.watch(scope, onHint, signal));
  const { hints, reach } = watch;
  /** What was on its way to us has arrived, as far as the same connection can show. */
  const arrived = async () => {
    for (let n = 0; n < 3; n++) await registry.list('nobody', never);
  };
  return {
    ...watch,
    /** The deed leads to a hint. */
    async tells(deed: () => Promise<unknown>) {
      const before = hints();
      await deed();
      await reach(before + 1);
      await arrived();
    },
    /** The deed leads to none: the next one is that of `other`, which tells of itself once. */
    async keepsToItself(deed: () => Promise<unknown>, other: () => Promise<unknown>) {
      await arrived();
      const before = hints();
      await deed();
      await arrived();
      assert.equal(hints(), before);
      await other();
      await reach(before + 1);
      await arrived();
      assert.equal(hints(), before + 1);
    },
  };
}

describe('a watch of a cluster', () => {
  for (const layout of LAYOUTS) {
    it(`of layout ${layout} tells what others do to its entries, and nothing of other clusters, of strangers and of itself`, () =>
      using(
        () => openAt(server.address, { layout }),
        async (registry) => {
          const book = layoutBooks[layout];
          const instance = one(registry, { number: 1 });
          const { cluster } = instance.marks;
          const second = { ...instance, id: instance.id.replace('8080', '8081'), port: 8_081 };
          const other = openAt(server.address, { layout });
          const key = book.keyOf(instance);
          const watch = await standing(registry, { cluster });
          assert.equal(watch.hints(), 1);

          await watch.tells(() => written(other.apply([register(instance)], never)));
          await watch.tells(() => written(other.apply([update({ ...instance, weight: 7 }, instance)], never)));
          await watch.tells(() =>
            written(other.apply([update({ ...instance, health: 'unhealthy' }, instance)], never)),
          );
          await watch.tells(() => written(other.apply([update(instance, instance)], never)));
          // An overwritten value is one that is gone.
          await watch.tells(() => raw.put(key, book.stranger(instance.service)));
          // What the next ones are known by: a value of the cluster, in one place, that somebody else writes again.
          const unserved = { ...second, health: layout === 'Roster' ? ('healthy' as const) : ('unhealthy' as const) };
          await watch.tells(() => written(other.apply([register(unserved)], never)));
          const place = layout === 'Roster' ? book.keyOf(second) : book.recordOf(second);
          const theirs = async () => raw.put(place, (await raw.get(place)) ?? assert.fail());

          const far = sampleOf(freshCluster(), { service: instance.service });
          await watch.keepsToItself(
            () => written(other.apply([register(far), update({ ...far, port: 1 }, far), deregister(far)], never)),
            theirs,
          );
          const strange = book.keyOf({ ...far, id: 'theirs', marks: { ...far.marks, cluster: 'theirs' } });
          await watch.keepsToItself(async () => {
            await raw.put(strange, book.stranger(instance.service));
            await raw.put(strange, 'text');
            await raw.remove(strange);
          }, theirs);
          const third = { ...instance, id: instance.id.replace('8080', '8082'), port: 8_082 };
          await watch.keepsToItself(async () => {
            for (const liveness of ['persistent', 'leased', 'persistent'] as const) {
              await written(registry.apply([update({ ...third, liveness }, third)], never));
            }
            await written(registry.apply([update({ ...third, health: 'draining' }, third)], never));
            await written(registry.apply([update({ ...third, service: `${third.service}-moved` }, third)], never));
            await written(registry.apply([update(third, third), deregister(third)], never));
          }, theirs);
          await watch.tells(() => written(other.apply([deregister(second)], never)));
          await watch.stop();
          await other.close();
        },
      ));
  }

  it('tells what others write beside many own writes, and only that', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 1_500).map((instance, n) =>
        stored(registry, {
          ...instance,
          service: `${cluster}-${n % 7}`,
          liveness: n % 2 === 0 ? 'leased' : 'persistent',
        }),
      );
      const theirs = stored(registry, sampleOf(cluster, { number: 9_000 }));
      const key = layoutBooks.Roster.keyOf(theirs);
      const again = async () => raw.put(key, (await raw.get(key)) ?? assert.fail());
      await using(harness.open, (second) => written(second.apply([register(theirs)], never)));
      const watch = await standing(registry, { cluster });
      const changed = instances.map((instance) => ({ ...instance, port: 1 }));
      const moved = changed.map((instance) => ({ ...instance, service: `${instance.service}-moved` }));
      const updates = (to: readonly Instance[], from: readonly Instance[]) =>
        to.map((instance, n) => update(instance, from[n] ?? instance));
      for (const changes of [
        instances.map(register),
        updates(changed, instances),
        updates(moved, changed),
        moved.map(deregister),
      ]) {
        const parts = [0, 1, 2].map((part) => changes.filter((_, n) => n % 3 === part));
        await watch.keepsToItself(
          async () => {
            for (const results of await Promise.all(parts.map((part) => registry.apply(part, never))))
              assertOk(results);
          },
          () => Promise.all([registry.apply(changes.slice(0, 300), never), again()]),
        );
      }
      await watch.stop();
    }));

  it('ends with its signal and with its client, and gives no hint after that', async () => {
    const registry = harness.open();
    const cluster = freshCluster();
    const [aborted, closed] = [await standing(registry, { cluster }), await standing(registry, { service: 'web' })];
    await aborted.stop();
    await using(harness.open, async (other) => written(other.apply([register(sampleOf(cluster))], never)));
    await registry.list(cluster, never);
    await registry.close();
    assert.equal((await closed.ended).code, 'closed');
    assert.equal((await failureOf(registry.watch({ cluster }, () => assert.fail('a hint'), never))).code, 'closed');
    assert.deepEqual([aborted.hints(), closed.hints()], [1, 1]);
    const abort = AbortSignal.abort();
    await using(harness.open, async (other) =>
      assert.equal((await failureOf(other.watch({ cluster }, () => assert.fail('a hint'), abort))).code, 'aborted'),
    );
  });
});

describe('a watch of a service', () => {
  for (const layout of LAYOUTS) {
    it(`of layout ${layout} tells whatever consumers get, whoever wrote it`, () =>
      using(
        () => openAt(server.address, { layout }),
        async (registry) => {
          const book = layoutBooks[layout];
          const instance = one(registry);
          const { service } = instance;
          const watch = await standing(registry, { service });
          await watch.tells(() => written(registry.apply([register(instance)], never)));
          // In some layouts this stands in the record alone.
          await watch.tells(() => written(registry.apply([update({ ...instance, weight: 7 }, instance)], never)));
          await watch.tells(() =>
            written(registry.apply([update({ ...instance, health: 'draining' }, instance)], never)),
          );
          const strange = book.keyOf({ ...instance, id: 'theirs', marks: { ...instance.marks, cluster: 'theirs' } });
          await watch.tells(() => raw.put(strange, book.stranger(service)));
          const far = { ...instance, id: `${instance.id}9`, service: `other-${service}` };
          await watch.keepsToItself(
            () => written(registry.apply([register(far), deregister(far)], never)),
            () => raw.remove(strange),
          );
          await watch.tells(() => written(registry.apply([update(instance, instance)], never)));
          await watch.tells(() => written(registry.apply([deregister(instance)], never)));
          await watch.stop();
        },
      ));
  }
});

describe('a watch and servers that come and go', () => {
  it('is over when the server is, and the next one tells at once that it stands', async () => {
    const own = await openEtcd({ fsync: false });
    try {
      await using(
        () => openAt(own.address),
        async (registry) => {
          const cluster = freshCluster();
          const scopes: readonly Scope[] = [{ cluster }, { service: `${cluster}-web` }];
          for (const end of [() => own.kill('SIGKILL'), () => own.kill('SIGTERM')]) {
            const watches = await Promise.all(scopes.map((scope) => standing(registry, scope)));
            end();
            for (const { ended } of watches) assert.match((await ended).code, /^(unreachable|unavailable)$/);
            await own.restart();
            await until('the client to be back', () => registry.check(never).catch(() => undefined));
          }
          const watch = await standing(registry, { cluster });
          assert.equal(watch.hints(), 1);
          await watch.stop();
        },
      );
    } finally {
      await own.stop();
    }
  });

  it('is over when the server falls silent, though nothing is closed', async () => {
    const own = await openEtcd({ fsync: false });
    try {
      await using(
        () => openAt(own.address),
        async (registry) => {
          const watch = await standing(registry, { cluster: freshCluster() });
          own.kill('SIGSTOP');
          assert.match((await watch.ended).code, /^(unreachable|timeout)$/);
          // A new one does not stand, and says so.
          assert.match(
            (await failureOf(registry.watch({ service: 'web' }, () => {}, never))).code,
            /^(unreachable|timeout)$/,
          );
        },
      );
    } finally {
      own.kill('SIGCONT');
      await own.stop();
    }
  });

  it('goes on at the next endpoint, with a hint for what it may have missed', async () => {
    const port = Number(new URL(server.address).port);
    const [first, second] = [await openEtcdLink(port), await openEtcdLink(port)];
    await using(
      () => openAt([`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`]),
      async (registry) => {
        const instance = one(registry);
        const watch = await standing(registry, { cluster: instance.marks.cluster });
        await first.close();
        await watch.reach(2);
        assert.equal(second.connections(), 1);
        await using(harness.open, (other) => watch.tells(() => written(other.apply([register(instance)], never))));
        await watch.stop();
      },
    );
    await second.close();
  });

  it('tells of somebody else’s write though an own one had its revision, before the server lost all', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'roster-etcd-'));
    const own = await openEtcd({ fsync: false, directory });
    try {
      await using(
        () => openAt(own.address),
        async (registry) => {
          const instance = one(registry);
          const { cluster } = instance.marks;
          const before = await standing(registry, { cluster });
          for (let n = 0; n < 20; n++) {
            await written(registry.apply([update({ ...instance, port: 100 + n }, instance)], never));
          }
          own.kill('SIGKILL');
          await before.ended;
          await rm(join(directory, 'data'), { recursive: true });
          await own.restart();
          await until('the client to be back', () => registry.check(never).catch(() => undefined));
          const watch = await standing(registry, { cluster });
          await using(
            () => openAt(own.address),
            async (other) => {
              for (let n = 0; n < 10; n++) {
                await watch.tells(() =>
                  written(other.apply([update({ ...instance, port: 200 + n }, instance)], never)),
                );
              }
            },
          );
          await watch.stop();
        },
      );
    } finally {
      await own.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe('a watch and users', () => {
  it('is forbidden to one without the right to read, and lives through new logins of one who has it', async () => {
    const guarded = await openEtcd({ fsync: false, auth: true, args: ['--auth-token-ttl=1'] });
    const { username, password } = guarded.root ?? assert.fail();
    const asRoot = async (deed: (admin: Etcd3) => Promise<unknown>) => {
      // Its own login runs out as well.
      const admin = new Etcd3({ hosts: guarded.address, auth: { username, password } });
      await deed(admin).finally(() => admin.close());
    };
    const userWith = (name: string, prefix: string) =>
      asRoot(async (admin) => {
        await admin.role(name).create();
        await admin.role(name).grant({ permission: 'Readwrite', range: admin.range({ prefix }) });
        await admin.user(name).create('hunter2');
        await admin.user(name).addRole(name);
      });
    const as = (name: string) => () => openAt(guarded.address, { username: name, password: 'hunter2' });
    try {
      await userWith('some', '/services/');
      await userWith('other', '/other/');
      for (const scope of [{ cluster: 'prod' }, { service: 'web' }]) {
        await using(as('other'), async (registry) => {
          const failure = await failureOf(registry.watch(scope, () => assert.fail('a hint'), never));
          assert.equal(failure.code, 'forbidden');
          assert.match(failure.message, /role/);
        });
      }
      await using(as('some'), async (registry) => {
        const instance = one(registry);
        const key = layoutBooks.Roster.keyOf(instance);
        await written(registry.apply([register(instance)], never));
        const watch = await standing(registry, { cluster: instance.marks.cluster });
        for (let n = 0; n < 3; n++) {
          // Every login that was made before is of no use after it.
          await userWith(`${n}`, '/more/');
          await watch.tells(() => asRoot(async (admin) => admin.put(key).value('theirs').exec()));
          await asRoot(async (admin) => admin.delete().key(key).exec());
          await written(registry.apply([register(instance)], never));
          const again = await standing(registry, { service: instance.service });
          await again.stop();
        }
        assertSame(await registry.list(instance.marks.cluster, never), [instance]);
        await watch.stop();
      });
    } finally {
      await guarded.stop();
    }
  });
});

describe('a watch that a server', () => {
  /** Messages of etcd's, by hand: a header with a revision, and fields of a `WatchResponse`. */
  const message = (...fields: number[]) => Buffer.from([0, 0, 0, 0, 4 + fields.length, 0x0a, 2, 0x18, 5, ...fields]);
  const CREATED = [0x18, 1];
  const CANCELED = [0x20, 1];
  const because = (reason: string) => [0x32, reason.length, ...Buffer.from(reason)];
  const begin = (stream: ServerHttp2Stream) => {
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    // It ends the stream for good, though nobody sends a status with it.
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': 0 }));
  };
  const STANDS = Buffer.concat([message(...CREATED), message(...CREATED)]);

  it('has compacted away from under it begins again with a hint', async () => {
    let streams = 0;
    const { registry, retire } = await answering((stream) => {
      streams++;
      begin(stream);
      stream.write(STANDS);
      // canceled, compact_revision 3
      if (streams < 3) stream.write(message(...CANCELED, 0x28, 3));
    })();
    const watch = await standing(registry, { cluster: 'prod' });
    await watch.reach(3);
    assert.equal(streams, 3);
    await watch.stop();
    await registry.close();
    await retire?.();
  });

  for (const [name, code, handle] of [
    ['never lets stand', 'timeout', begin],
    [
      'ends without a word',
      'unreachable',
      (stream) => {
        begin(stream);
        stream.end(STANDS);
      },
    ],
    [
      'cancels for want of a leader',
      'unavailable',
      (stream) => {
        begin(stream);
        stream.write(message(...CANCELED, ...because('etcdserver: no leader')));
      },
    ],
    [
      'cancels for no reason',
      'unavailable',
      (stream) => {
        begin(stream);
        stream.write(Buffer.concat([STANDS, message(...CANCELED)]));
      },
    ],
    [
      'does not allow',
      'forbidden',
      (stream) => {
        begin(stream);
        stream.write(message(...CREATED, ...CANCELED, ...because('etcdserver: permission denied')));
      },
    ],
  ] as const satisfies readonly (readonly [string, string, (stream: ServerHttp2Stream) => void])[]) {
    it(`${name} is over: ${code}`, async () => {
      const { registry, retire } = await answering(handle, { requestMs: 500 })();
      assert.equal((await failureOf(registry.watch({ cluster: 'prod' }, () => {}, never))).code, code);
      await registry.close();
      await retire?.();
    });
  }
});
