// What a watch tells, and what it does not, on a real server.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { Scope, ServiceRegistry } from '../../src/registries/registry.ts';
import { openZooKeeperLink } from '../links/zookeeper-link.ts';
import { until } from '../servers/until.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';
import { behind, openAt, pathOf, speaking } from './zookeeper-harness.ts';
import { rawZooKeeper } from './zookeeper-raw.ts';

const server = await openZooKeeper({ fsync: false, config: { tickTime: 500 } });
const raw = rawZooKeeper(server.address);
const link = await openZooKeeperLink(Number(server.address.split(':')[1]));
const throughLink = `127.0.0.1:${link.port}`;
after(async () => {
  await raw.close();
  await link.close();
  await server.stop();
});

const one = (registry: ServiceRegistry, over: Partial<Instance> = {}) =>
  stored(registry, sampleOf(freshCluster(), over));

/** Paths that the server watches for its clients. */
const watched = async () => Number(/Total watches:(\d+)/.exec(await server.ask('wchs'))?.[1]);

/** A watch that stands. `during` gives the hints that came of a deed: events come before the answers to what is asked later. */
async function standing(registry: ServiceRegistry, scope: Scope) {
  const watch = await watching((onHint, signal) => registry.watch(scope, onHint, signal));
  assert.equal(watch.hints(), 1);
  return {
    ...watch,
    async during(deed: () => Promise<unknown>): Promise<number> {
      const before = watch.hints();
      await deed();
      await registry.list('nobody', never);
      return watch.hints() - before;
    },
  };
}

const assertDone = async (writing: ReturnType<ServiceRegistry['apply']>) => assertOk(await writing);

describe('a watch of a cluster', () => {
  it('tells what others do to entries, those of new services included, and nothing of the nodes of services', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        const path = pathOf(instance);
        const watch = await standing(registry, { cluster: instance.marks.cluster });
        assert.equal(await watch.during(() => raw.put(path, '{}')), 1);
        assert.equal(await watch.during(() => raw.put(`${path}2`, '{}')), 1);
        assert.equal(await watch.during(() => raw.remove(`${path}2`)), 1);
        assert.equal(await watch.during(() => raw.remove(path)), 1);
        const other = `/services/${instance.service}-new`;
        assert.equal(await watch.during(() => raw.put(other, '')), 0);
        assert.equal(await watch.during(() => raw.put(`${other}/theirs`, '{}')), 1);
        // Again and again: nothing has to be set anew.
        for (let n = 0; n < 20; n++) assert.equal(await watch.during(() => raw.put(`${other}/theirs`, `${n}`)), 1);
        await using(
          () => openAt(server.address),
          async (second) =>
            assert.equal(await watch.during(() => assertDone(second.apply([register(instance)], never))), 1),
        );
        await watch.stop();
        await raw.removeTree(other);
      },
    ));

  it('tells nothing of what its own client writes, and what others write beside it', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, 450).map((instance, n) =>
          stored(registry, {
            ...instance,
            service: `${cluster}-${n % 7}`,
            liveness: n % 2 === 0 ? 'leased' : 'persistent',
          }),
        );
        const changed = instances.map((instance) => ({ ...instance, port: 1 }));
        const turned = changed.map(
          (instance): Instance => ({ ...instance, liveness: instance.liveness === 'leased' ? 'persistent' : 'leased' }),
        );
        const moved = turned.map((instance) => ({ ...instance, service: `${instance.service}-moved` }));
        const updates = (to: readonly Instance[], from: readonly Instance[]) =>
          to.map((instance, n) => update(instance, from[n] ?? instance));
        const watch = await standing(registry, { cluster });
        for (const changes of [
          instances.map(register),
          updates(changed, instances),
          updates(turned, changed),
          updates(moved, turned),
          moved.map(deregister),
        ]) {
          const theirs = `/services/${cluster}-theirs/${changes.length}`;
          assert.equal(await watch.during(() => assertDone(registry.apply(changes, never))), 0);
          assert.equal(
            await watch.during(() => Promise.all([registry.apply(changes.slice(0, 1), never), raw.put(theirs, '')])),
            1,
          );
        }
        await watch.stop();
        await raw.removeTree(`/services/${cluster}-theirs`);
      },
    ));

  it('tells of what others wrote between our reading and our writing, which failed over it', () =>
    using(
      () => openAt(throughLink),
      async (registry) => {
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        const watch = await standing(registry, { cluster: instance.marks.cluster });
        const hints = await watch.during(async () => {
          link.beforeNextTransaction(() => raw.put(pathOf(instance), '{"theirs":true}'));
          const [result] = await registry.apply([update({ ...instance, port: 1 }, instance)], never);
          assert.equal(failureIn(result).code, 'conflict');
        });
        assert.equal(hints, 1);
        await watch.stop();
      },
    ));

  it('stands before there is a rootPath, and below a chroot', () =>
    using(
      () => openAt(`${server.address}/late`, { rootPath: '/root' }),
      async (registry) => {
        const watch = await standing(registry, { cluster: freshCluster() });
        assert.equal(await watch.during(() => raw.put('/late/root/web/theirs', '{}')), 1);
        assert.equal(await watch.during(() => raw.removeTree('/late/root/web')), 1);
        await watch.stop();
      },
    ));

  it('goes on when another one of the same client ends, and leaves nothing with the server when it ends too', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const before = await watched();
        const [scope, theirs] = [{ cluster: freshCluster() }, `/services/${freshCluster()}`];
        const [first, second] = [await standing(registry, scope), await standing(registry, scope)];
        assert.ok((await watched()) > before);
        await first.stop();
        assert.equal(await second.during(() => raw.put(`${theirs}/a`, '{}')), 1);
        await second.stop();
        await registry.list('nobody', never);
        assert.equal(await watched(), before);
        await raw.removeTree(theirs);
      },
    ));

  it('gives no hint once it was aborted, before it stood or after', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        let hints = 0;
        const early = new AbortController();
        const ended = failureOf(registry.watch({ cluster: 'any' }, () => hints++, early.signal));
        early.abort();
        assert.equal((await ended).code, 'aborted');
        const gone = failureOf(registry.watch({ cluster: 'any' }, () => hints++, AbortSignal.abort()));
        assert.equal((await gone).code, 'aborted');
        const watch = await standing(registry, { cluster: 'any' });
        await watch.stop();
        const theirs = `/services/${freshCluster()}`;
        assert.equal(await watch.during(() => raw.put(`${theirs}/a`, '{}')), 0);
        assert.equal(hints, 0);
        await raw.removeTree(theirs);
      },
    ));

  it('rejects when its client is closed', async () => {
    const registry = openAt(server.address);
    const watch = await standing(registry, { cluster: freshCluster() });
    await registry.close();
    assert.equal((await watch.ended).code, 'closed');
    assert.equal((await failureOf(registry.watch({ cluster: 'any' }, () => {}, never))).code, 'closed');
  });

  it('rejects when the server goes, and the next one covers what was missed', async () => {
    const own = await openZooKeeper({ fsync: false });
    after(() => own.stop());
    await using(
      () => openAt(own.address),
      async (registry) => {
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        const scope = { cluster: instance.marks.cluster };
        const watch = await standing(registry, scope);
        own.kill('SIGKILL');
        assert.equal((await watch.ended).code, 'unreachable');
        assert.equal((await failureOf(registry.watch(scope, () => assert.fail('a hint'), never))).code, 'unreachable');
        await own.restart();
        const reader = rawZooKeeper(own.address);
        await reader.remove(pathOf(instance));
        const again = await standing(registry, scope);
        assertSame(await registry.list(instance.marks.cluster, never), []);
        assert.equal(await again.during(() => reader.put(pathOf(instance), '{}')), 1);
        await again.stop();
        await reader.close();
      },
    );
  });
});

describe('a watch of a service', () => {
  it('tells what anybody does to its entries, us included, and nothing of other services', () =>
    using(
      () => openAt(server.address),
      async (registry) => {
        const instance = one(registry);
        const { service } = instance;
        // It is not there yet.
        const watch = await standing(registry, { service });
        assert.equal(await watch.during(() => assertDone(registry.apply([register(instance)], never))), 1);
        const changed = { ...instance, port: 1 };
        assert.equal(await watch.during(() => assertDone(registry.apply([update(changed, instance)], never))), 1);
        assert.equal(await watch.during(() => raw.put(`/services/${service}/theirs`, '{}')), 1);
        assert.equal(await watch.during(() => raw.put(`/services/${service}-2/theirs`, '{}')), 0);
        assert.equal(await watch.during(() => raw.removeTree(`/services/${service}-2`)), 0);
        assert.equal(await watch.during(() => raw.remove(`/services/${service}/theirs`)), 1);
        assert.equal(await watch.during(() => assertDone(registry.apply([deregister(changed)], never))), 1);
        await watch.stop();
        const { code } = await failureOf(registry.watch({ service: 'a/b' }, () => {}, never));
        assert.equal(code, 'invalid');
      },
    ));

  it('is one of 10,000 at most, and the next one is told what to do', () =>
    using(
      () => openAt(server.address, { requestMs: 60_000 }),
      async (registry) => {
        const before = await watched();
        let hints = 0;
        // A signal each: one that 10,000 listen to takes seconds to register the next.
        const watches = Array.from({ length: 10_000 }, (_, n) => {
          const abort = new AbortController();
          const ended = registry.watch({ service: `budget-${n}` }, () => hints++, abort.signal);
          return { abort: () => abort.abort(), ended: ended.catch((error) => error.code) };
        });
        await until('all to stand', async () => (hints === 10_000 ? true : undefined), 120_000);
        const { code, message } = await failureOf(registry.watch({ service: 'one-more' }, () => {}, never));
        assert.equal(code, 'too-large');
        assert.match(message, /watch the cluster instead/);
        // Beside one that stands, there is room.
        const same = await standing(registry, { service: 'budget-1' });
        await same.stop();
        for (const { abort } of watches) abort();
        assert.deepEqual(new Set(await Promise.all(watches.map(({ ended }) => ended))), new Set(['aborted']));
        await registry.list('nobody', never);
        assert.equal(await watched(), before);
      },
    ));
});

describe('a server without recursive watches', () => {
  const assertUnsupported = async (registry: ServiceRegistry) => {
    const { code, message } = await failureOf(registry.watch({ cluster: 'any' }, () => assert.fail('a hint'), never));
    assert.equal(code, 'unsupported');
    assert.match(message, /3\.6.*upgrade/);
  };

  it('because of its watch manager is told from one that fails', async () => {
    const watchManagerName = 'org.apache.zookeeper.server.watch.WatchManagerOptimized';
    const own = await openZooKeeper({ fsync: false, config: { watchManagerName } });
    after(() => own.stop());
    await using(
      () => openAt(own.address),
      async (registry) => {
        await assertUnsupported(registry);
        const instance = one(registry);
        assertOk(await registry.apply([register(instance)], never));
        assertSame(await registry.list(instance.marks.cluster, never), [instance]);
      },
    );
  });

  it('because it is older is told from one that fails', async () => {
    const { registry, retire } = await behind(speaking((asked) => asked.answer(-6)))();
    await using(() => registry, assertUnsupported);
    await retire?.();
  });
});
