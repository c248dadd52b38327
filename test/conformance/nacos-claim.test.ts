// Where the record of a claim stands in Nacos, and what becomes of the writes of a client whose claim is over, since the server compares nothing.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Change } from '../../src/mirror/change.ts';
import type { NacosSettings } from '../../src/registries/nacos/settings.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openNacosLink } from '../links/nacos-link.ts';
import { openNacos } from '../servers/nacos.ts';
import { until } from '../servers/until.ts';
import { assertOk, assertSame, failureIn, failureOf, never, stored, using } from './expectations.ts';
import { openAt, rawNacos } from './nacos-client.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';

// With views that are as late as by default.
const server = await openNacos();
const group = `claims-${randomUUID()}`;
const raw = rawNacos(server.address, group);
const records = rawNacos(server.address, 'ROSTER');
const link = await openNacosLink(Number(new URL(server.address).port));
after(async () => {
  raw.close();
  records.close();
  await link.close();
  await server.stop();
});

const US = 'kube-system/roster:1';
const THEM = 'kube-system/roster:2';
/** A leader repairs what others wrote within it. */
const REPAIR_MS = 5_000;

const open = (over: Partial<NacosSettings> = {}) => openAt(server.address, { group, ...over });
const throughLink = () => openAt(link.address, { group, requestMs: 60_000 });
const codesIn = async (registry: ServiceRegistry, changes: readonly Change[]) =>
  (await registry.apply(changes, never)).map((result) => (result.ok ? 'ok' : failureIn(result).code));

describe('the record of a claim in Nacos', () => {
  for (const protocol of ['Auto', 'Grpc', 'Http'] as const) {
    it(`is an entry that no consumer gets, in a group of its own, over ${protocol}`, () =>
      using(
        () => open({ protocol }),
        async (registry) => {
          const cluster = freshCluster();
          const instance = stored(registry, sampleOf(cluster));
          await registry.claim({ cluster, owner: US }, never);
          assertOk(await registry.apply([register(instance)], never));

          const service = `roster-claim-${cluster}`;
          const [record, ...more] = await records.viewOf(service);
          assert.deepEqual(more, []);
          const { weight, enabled, ephemeral, metadata } = record ?? assert.fail('no record');
          assert.deepEqual([weight, enabled, ephemeral], [0, false, false]);
          assert.deepEqual([metadata['owner'], metadata['managed-by']], [US, 'roster']);
          assert.deepEqual(await records.service(service), { checker: 'NONE', protectThreshold: 0 });

          const consumers = await records.call('GET', '/instance/list', { groupName: 'ROSTER', serviceName: service });
          assert.deepEqual(JSON.parse(consumers).hosts, []);
          assertSame(await registry.list(cluster, never), [instance]);
          assert.deepEqual(await registry.discover(service, never), []);
          assert.ok((await raw.view()).every((entry) => !entry.service.includes('roster-claim')));
          assertOk(await registry.apply([deregister(instance)], never));

          await registry.claim({ cluster, owner: US }, never);
          const [next] = await records.viewOf(service);
          assert.notEqual(next?.metadata['term'], metadata['term']);
        },
      ));
  }

  it('is in the namespace of the registry, and of nobody in another one', () =>
    using(
      () => open({ namespace: 'shop' }),
      (shop) =>
        using(open, async (elsewhere) => {
          const cluster = freshCluster();
          await shop.claim({ cluster, owner: US }, never);
          await elsewhere.claim({ cluster, owner: THEM }, never);
          await shop.check(never);
          assert.equal((await failureOf(shop.claim({ cluster, owner: THEM }, never))).code, 'owned');
        }),
    ));

  it('has its group to itself, and a name that Nacos takes', async () => {
    assert.throws(() => open({ group: 'ROSTER' }), { code: 'invalid', message: /spec\.nacos\.group cannot be ROSTER/ });
    await using(open, async (registry) => {
      for (const cluster of ['', 'a b', 'a@@b'])
        assert.equal((await failureOf(registry.claim({ cluster, owner: US }, never))).code, 'invalid');
    });
  });

  it('that somebody else wrote over is of an unknown owner, and can be adopted', () =>
    using(open, async (registry) => {
      const cluster = freshCluster();
      await registry.claim({ cluster, owner: US }, never);
      const [record] = await records.viewOf(`roster-claim-${cluster}`);
      await records.put({ ...(record ?? assert.fail('no record')), metadata: { hands: 'off' } });
      await records.settle();
      assert.equal((await failureOf(registry.check(never))).code, 'fenced');
      const refused = await failureOf(registry.claim({ cluster, owner: US }, never));
      assert.deepEqual([refused.code, refused.context['owner']], ['owned', 'unknown']);
      await registry.claim({ cluster, owner: US, adopt: 'unknown' }, never);
      await registry.check(never);
    }));
});

describe('a client of Nacos whose claim is over', () => {
  for (const liveness of ['persistent', 'leased'] as const) {
    it(`writes no ${liveness} entry once it has seen that, and those of other clusters as before`, () =>
      using(open, (first) =>
        using(open, async (second) => {
          const [cluster, other] = [freshCluster(), freshCluster()];
          const all = samplesOf(cluster, 3).map((instance) => stored(first, { ...instance, liveness }));
          const [one, two, three] = all;
          assert.ok(one !== undefined && two !== undefined && three !== undefined);
          const theirs = stored(first, sampleOf(other, { liveness }));
          for (const name of [cluster, other]) await first.claim({ cluster: name, owner: US }, never);
          assertOk(await first.apply([register(one), register(two)], never));
          await second.claim({ cluster, owner: US }, never);

          assert.equal((await failureOf(first.check(never))).code, 'fenced');
          const before = JSON.stringify(await raw.entries());
          const changes = [update({ ...one, weight: 1 }, one), deregister(two), register(three)];
          for (const some of [...changes.map((change) => [change]), changes])
            assert.deepEqual(await codesIn(first, some), Array(some.length).fill('fenced'));
          assert.equal(JSON.stringify(await raw.entries()), before);
          assert.deepEqual(await codesIn(first, [...changes, register(theirs)]), ['fenced', 'fenced', 'fenced', 'ok']);

          await first.claim({ cluster, owner: US }, never);
          assert.deepEqual(await codesIn(first, changes), ['ok', 'ok', 'ok']);
          assertSame(await first.list(cluster, never), [{ ...one, weight: 1 }, three]);
        }),
      ));
  }

  it('sees it by itself when it writes, without being asked for a check', () =>
    using(open, (first) =>
      using(open, async (second) => {
        const cluster = freshCluster();
        const one = stored(first, sampleOf(cluster));
        await first.claim({ cluster, owner: US }, never);
        await second.claim({ cluster, owner: US }, never);
        await until('the client before to see the claim after', async () => {
          const [code] = await codesIn(first, [register(one)]);
          return code === 'fenced' ? true : undefined;
        });
        assert.deepEqual(await codesIn(second, [register(one)]), ['ok']);
      }),
    ));

  it('and that stood still in the middle of a batch writes nothing of the rest', () =>
    using(throughLink, (first) =>
      using(open, async (second) => {
        const cluster = freshCluster();
        const all = samplesOf(cluster, 100).map((instance) => stored(first, instance));
        await first.claim({ cluster, owner: US }, never);
        link.beforeNextWrite(async () => link.freeze());
        const late = first.apply(all.map(register), never);
        await second.claim({ cluster, owner: US }, never);
        // As long as what was seen of the record is believed.
        await delay(1_500);
        link.heal();
        const codes = (await late).map((result) => (result.ok ? 'ok' : failureIn(result).code));
        const written = codes.filter((code) => code === 'ok').length;
        assert.deepEqual([...new Set(codes)].sort(), written === 0 ? ['fenced'] : ['fenced', 'ok']);
        // What was under way at once, and no more.
        assert.ok(written <= 16, String(written));
        const standing = (await raw.entries()).filter(({ service }) => service === all[0]?.service);
        assert.equal(standing.length, written);
      }),
    ));

  it(`may write what it had sent already over what came after: who claimed since is told within ${REPAIR_MS / 1_000} s, and mends it`, () =>
    using(throughLink, (first) =>
      using(open, async (second) => {
        const cluster = freshCluster();
        const one = stored(first, sampleOf(cluster));
        const newer = { ...one, weight: 7 };
        const stale = { ...one, weight: 1 };
        await first.claim({ cluster, owner: US }, never);
        assertOk(await first.apply([register(one)], never));
        let hints = 0;
        let hintedAt = 0;
        const ending = new AbortController();
        const watched: Promise<unknown>[] = [];
        link.beforeNextWrite(async () => {
          await second.claim({ cluster, owner: US }, never);
          const hint = () => {
            hints++;
            hintedAt = performance.now();
          };
          watched.push(failureOf(second.watch({ cluster }, hint, ending.signal)));
          await until('the watch to stand', async () => (hints > 0 ? true : undefined));
          assertOk(await second.apply([update(newer, one)], never));
          assertSame(await second.list(cluster, never), [newer]);
        });
        assertOk(await first.apply([update(stale, one)], never));
        const [writtenAt, before] = [performance.now(), hints];
        await until('a hint of what was written late', async () => (hints > before ? true : undefined));
        assert.ok(hintedAt - writtenAt <= REPAIR_MS, `told after ${hintedAt - writtenAt} ms`);
        const [seen] = await second.list(cluster, never);
        assert.equal(seen?.weight, stale.weight);
        assertOk(await second.apply([update(newer, stale)], never));
        assertSame(await second.list(cluster, never), [newer]);
        assert.equal((await failureOf(first.check(never))).code, 'fenced');
        assert.deepEqual(await codesIn(first, [update(stale, newer)]), ['fenced']);
        ending.abort();
        await Promise.all(watched);
      }),
    ));
});
