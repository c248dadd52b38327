// Where the record of a claim stands in ZooKeeper, and what it holds against: nodes that come again at the version that was, servers that were wiped.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Change } from '../../src/mirror/change.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openZooKeeperLink } from '../links/zookeeper-link.ts';
import { until } from '../servers/until.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { SECRET } from './harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { openAt } from './zookeeper-harness.ts';
import { type RawZooKeeper, rawZooKeeper } from './zookeeper-raw.ts';

const server = await openZooKeeper({ fsync: false, config: { tickTime: 500 } });
const raw = rawZooKeeper(server.address);
const link = await openZooKeeperLink(Number(server.address.split(':')[1]));
const throughLink = `127.0.0.1:${link.port}`;
after(async () => {
  await raw.close();
  await link.close();
  await server.stop();
});

const US = 'kube-system/roster:1';
const THEM = 'kube-system/roster:2';
const HOME = '/services.roster';

const open = () => openAt(server.address);
const two = (test: (first: ServiceRegistry, second: ServiceRegistry) => Promise<void>) =>
  using(open, (first) => using(open, (second) => test(first, second)));

/** All below a path, as text, with when each was made and changed. */
async function treeOf(reader: RawZooKeeper, path: string): Promise<readonly string[]> {
  const node = await reader.get(path);
  if (node === undefined) return [];
  const { czxid, mzxid } = node.stat;
  const below = await Promise.all((await reader.children(path)).map((name) => treeOf(reader, `${path}/${name}`)));
  return [`${path} ${czxid.toString('hex')} ${mzxid.toString('hex')} ${node.text}`, ...below.flat()].sort();
}

async function assertFenced(registry: ServiceRegistry, changes: readonly Change[]): Promise<void> {
  const results = await registry.apply(changes, never);
  assert.deepEqual(
    results.map((result) => failureIn(result)).map(({ code, ambiguous }) => [code, ambiguous]),
    changes.map(() => ['fenced', false]),
  );
}

describe('the record of a claim in ZooKeeper', () => {
  it('is plain text beside the root, with a node of its term below, and no service to whoever reads the root', () =>
    using(open, async (registry) => {
      const cluster = freshCluster();
      const instance = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([register(instance)], never));
      let hints = 0;
      const ending = new AbortController();
      const watching = [{ cluster }, { service: instance.service }].map((scope) =>
        failureOf(registry.watch(scope, () => hints++, ending.signal)),
      );
      await until('the watches to stand', async () => (hints === 2 ? true : undefined));

      await registry.claim({ cluster, owner: US }, never);
      const record = (await raw.get(`${HOME}/${cluster}`)) ?? assert.fail('no record');
      const [, owner, term] = /^owner: (.+)\nterm: (.+)\n$/.exec(record.text) ?? [];
      assert.equal(owner, US);
      assert.deepEqual(await raw.children(`${HOME}/${cluster}`), [term]);
      assert.equal(record.stat.ephemeralOwner.equals(Buffer.alloc(8)), true);

      assertSame(await registry.list(cluster, never), [instance]);
      assertSame(await registry.discover(instance.service, never), [instance]);
      assert.ok(!(await raw.children('/services')).some((name) => name.includes('roster')));
      // Told of before what is written after it.
      const witness = openAt(server.address);
      assertOk(await witness.apply([update({ ...instance, port: 1 }, instance)], never));
      await witness.close();
      await until('the hints of a change', async () => (hints >= 4 ? true : undefined));
      assert.equal(hints, 4);
      ending.abort();
      await Promise.all(watching);

      await registry.claim({ cluster, owner: US }, never);
      const next = await raw.get(`${HOME}/${cluster}`);
      assert.notEqual(next?.text, record.text);
      assert.equal((await raw.children(`${HOME}/${cluster}`)).length, 1);
    }));

  it('follows a rootPath and a chroot, and the name of any cluster', async () => {
    await raw.put('/chroot', '');
    await using(
      () => openAt(`${server.address}/chroot`, { rootPath: '/deep/services' }),
      async (registry) => {
        await registry.claim({ cluster: 'a/b%', owner: US }, never);
        assert.match((await raw.get('/chroot/deep/services.roster/a%2Fb%25'))?.text ?? '', /^owner: /);
        for (const cluster of ['', '\ud800'])
          assert.equal((await failureOf(registry.claim({ cluster, owner: US }, never))).code, 'invalid');
      },
    );
  });

  it('belongs to the account that made it, and another account may leave its own beside it', async () => {
    const [ours, theirs] = [`roster:${SECRET}`, `other:${SECRET}`].map(
      (digestAuth) => () => openAt(server.address, { digestAuth, rootPath: '/kept' }),
    );
    const [mine, other] = [freshCluster(), freshCluster()];
    await using(ours ?? assert.fail(), (registry) =>
      using(theirs ?? assert.fail(), async (stranger) => {
        await registry.claim({ cluster: mine, owner: US }, never);
        await stranger.claim({ cluster: other, owner: THEM }, never);
        assert.deepEqual(await raw.accessOf(`/kept.roster/${mine}`), ['digest 31', 'world 1']);
        assert.equal((await failureOf(stranger.claim({ cluster: mine, owner: THEM }, never))).code, 'owned');
        const { code, message } = await failureOf(stranger.claim({ cluster: mine, owner: THEM, adopt: US }, never));
        assert.equal(code, 'forbidden');
        assert.match(message, /^claim: .*ACL/);
        assertOk(await registry.apply([register(stored(registry, sampleOf(mine)))], never));
      }),
    );
  });

  it('that somebody else wrote over is of an unknown owner, and can be adopted', () =>
    two(async (first, second) => {
      const cluster = freshCluster();
      await first.claim({ cluster, owner: US }, never);
      await raw.put(`${HOME}/${cluster}`, 'hands off');
      await raw.put(`${HOME}/${cluster}/more`, '');
      const refused = await failureOf(second.claim({ cluster, owner: US }, never));
      assert.deepEqual([refused.code, refused.context['owner']], ['owned', 'unknown']);
      await second.claim({ cluster, owner: US, adopt: 'unknown' }, never);
      assert.equal((await raw.children(`${HOME}/${cluster}`)).length, 1);
      await second.check(never);
      assert.equal((await failureOf(first.check(never))).code, 'fenced');
    }));
});

describe('a claim in ZooKeeper', () => {
  it('whose answer was lost is found again, and held', () =>
    using(
      () => openAt(throughLink),
      async (registry) => {
        for (const cluster of [freshCluster(), freshCluster()]) {
          const transactions = link.transactions.length;
          link.cutNextAnswer();
          await registry.claim({ cluster, owner: US }, never);
          assert.equal(link.transactions.length, transactions + 1);
          await registry.check(never);
          assertOk(await registry.apply([register(stored(registry, sampleOf(cluster)))], never));
        }
      },
    ));

  it('that somebody else was quicker with goes by what stands then', () =>
    using(
      () => openAt(throughLink),
      (slow) =>
        using(open, async (quick) => {
          for (const [owner, outcome] of [
            [THEM, 'owned'],
            [US, 'ok'],
          ] as const) {
            const cluster = freshCluster();
            link.beforeNextTransaction(() => quick.claim({ cluster, owner }, never));
            const told = await slow.claim({ cluster, owner: US }, never).then(
              () => 'ok',
              ({ code }) => code,
            );
            assert.equal(told, outcome);
            if (outcome === 'ok') assert.equal((await failureOf(quick.check(never))).code, 'fenced');
          }
        }),
    ));
});

describe('a client of ZooKeeper whose claim is over', () => {
  it('writes nothing though the record stands again at the version that it knew', () =>
    two(async (first, second) => {
      const cluster = freshCluster();
      const [one, other] = samplesOf(cluster, 2).map((instance) => stored(first, instance));
      assert.ok(one !== undefined && other !== undefined);
      await first.claim({ cluster, owner: US }, never);
      assertOk(await first.apply([register(one)], never));
      await raw.removeTree(`${HOME}/${cluster}`);
      await second.claim({ cluster, owner: THEM }, never);
      assert.equal((await raw.get(`${HOME}/${cluster}`))?.stat.version, 0);
      const before = await treeOf(raw, '/services');
      await assertFenced(first, [
        update({ ...one, port: 1 }, one),
        register({ ...other, service: `${other.service}-new` }),
      ]);
      await assertFenced(first, [update({ ...one, service: `${one.service}-moved` }, one)]);
      await assertFenced(first, [deregister(one)]);
      await assertFenced(first, [register(one)]);
      assert.deepEqual(await treeOf(raw, '/services'), before);
    }));

  it('and that had sent a transaction before it was has it refused as a whole, once', () =>
    using(
      () => openAt(throughLink),
      (first) =>
        using(open, async (second) => {
          const cluster = freshCluster();
          const all = samplesOf(cluster, 30).map((instance) => stored(first, instance));
          const [one, ...more] = all;
          assert.ok(one !== undefined);
          await first.claim({ cluster, owner: US }, never);
          assertOk(await first.apply([register(one)], never));
          const newer = { ...one, weight: 7 };
          link.beforeNextTransaction(async () => {
            // The entry's own version is another one too by then: that is not what is told.
            await second.claim({ cluster, owner: US }, never);
            assertOk(await second.apply([update(newer, one)], never));
          });
          const transactions = link.transactions.length;
          await assertFenced(first, [update({ ...one, weight: 1 }, one), ...more.map(register)]);
          assert.equal(link.transactions.length, transactions + 1);
          assertSame(await second.list(cluster, never), [newer]);
        }),
    ));

  it('is told apart from one to whose entries somebody else was quicker', () =>
    using(
      () => openAt(throughLink),
      (registry) =>
        using(open, async (intruder) => {
          const cluster = freshCluster();
          const one = stored(registry, sampleOf(cluster));
          await registry.claim({ cluster, owner: US }, never);
          assertOk(await registry.apply([register(one)], never));
          for (const [weight, intrusion] of [
            [1, update({ ...one, weight: 50 }, one)],
            [2, deregister(one)],
          ] as const) {
            link.beforeNextTransaction(async () => assertOk(await intruder.apply([intrusion], never)));
            assertOk(await registry.apply([update({ ...one, weight }, one)], never));
            assertSame(await registry.list(cluster, never), [{ ...one, weight }]);
          }
        }),
    ));

  it('leaves the directories of services as they are', () =>
    two(async (first, second) => {
      const cluster = freshCluster();
      const services = ['a', 'b', 'c'].map((name) => `${cluster}-${name}`);
      const all = services.map((service) => stored(first, sampleOf(cluster, { service })));
      await first.claim({ cluster, owner: US }, never);
      await second.claim({ cluster, owner: US }, never);
      for (const some of [all.slice(0, 1), all]) {
        await assertFenced(first, some.map(register));
        for (const service of services) assert.equal(await raw.get(`/services/${service}`), undefined);
      }
      await first.claim({ cluster, owner: US }, never);
      assertOk(await first.apply(all.map(register), never));
      assertOk(await first.apply(all.map(deregister), never));
      for (const service of services) assert.equal(await raw.get(`/services/${service}`), undefined);
    }));

  it('does not know its claim again on a server that was wiped, whatever was claimed there since', async () => {
    const own = await openZooKeeper({ fsync: false, config: { tickTime: 500 } });
    after(() => own.stop());
    const openOwn = () => openAt(own.address, { connectMs: 2_000, sessionTimeoutMs: 6_000 });
    await using(openOwn, async (first) => {
      const cluster = freshCluster();
      const one = stored(first, sampleOf(cluster));
      await first.claim({ cluster, owner: US }, never);
      assertOk(await first.apply([register(one)], never));
      own.kill('SIGKILL');
      await rm(join(dirname(own.logPath), 'data'), { recursive: true });
      await own.restart();
      await using(openOwn, async (second) => {
        await until('the server to take claims again', () =>
          second.claim({ cluster, owner: US }, never).then(
            () => true,
            () => undefined,
          ),
        );
        const fenced = await until('the first client to be back', async () => {
          const [result] = await first.apply([register(one)], never);
          const { code } = failureIn(result);
          return code === 'fenced' ? code : undefined;
        });
        assert.equal(fenced, 'fenced');
        assert.equal((await failureOf(first.check(never))).code, 'fenced');
        assertSame(await second.list(cluster, never), []);
        await first.claim({ cluster, owner: US }, never);
        assertOk(await first.apply([register(one)], never));
        assertSame(await second.list(cluster, never), [one]);
      });
    });
  });
});

describe('an apply in ZooKeeper', () => {
  it('keeps each transaction within its bounds, the comparison included', () =>
    using(
      () => openAt(throughLink),
      async (registry) => {
        // As long a name as an id of a node can be read with comfort.
        const cluster = `${freshCluster()}-${'c'.repeat(800)}`;
        await registry.claim({ cluster, owner: US }, never);
        const all = Array.from({ length: 300 }, (_, number) =>
          stored(registry, sampleOf(cluster, { number, metadata: { wide: 'x'.repeat(2_000) } })),
        );
        const from = link.transactions.length;
        assertOk(await registry.apply(all.map(register), never));
        const sizes = link.transactions.slice(from);
        assert.ok(Math.max(...sizes) <= 256 * 1_024 + 21, String(sizes));
        assertOk(await registry.apply(all.map(deregister), never));
        await raw.removeTree(`${HOME}/${cluster}`);
      },
    ));
});
