import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { assertOk, assertSame, failureIn, never } from '../conformance/expectations.ts';
import { deregister, register, sampleOf, samplesOf, update } from '../conformance/samples.ts';
import { until } from '../servers/until.ts';
import { CLUSTER, fakeHttp, leased, open, SHORT_MS, serve, stranger, WEB } from './nacos-scripted-registry.ts';

describe('leased entries', () => {
  it('are published as the list of their service, which every change replaces as a whole', async () => {
    const server = await serve();
    const registry = open([server]);
    assertOk(await registry.apply([register(leased(1)), register(leased(2))], never));
    const changed = leased(2, { weight: 7 });
    assertOk(await registry.apply([update(changed, leased(2)), register(leased(3)), deregister(leased(1))], never));
    assertSame(await registry.list(CLUSTER, never), [changed, leased(3)]);
    const batches = server.asked.filter(({ type }) => type === 'BatchInstanceRequest');
    assert.deepEqual(
      batches.map(({ body }) => (body['instances'] as readonly unknown[]).length),
      [2, 2],
    );
    assertOk(await registry.apply([deregister(changed), deregister(leased(3))], never));
    assert.equal(server.hosts(WEB).length, 0);
    assert.equal(server.asked.at(-1)?.body['type'], 'deregisterInstance');
  });

  it('of one service that are changed at once do not push each other out', async () => {
    const server = await serve();
    const registry = open([server]);
    const instances = Array.from({ length: 20 }, (_, number) => leased(number + 1));
    const results = await Promise.all(instances.map((instance) => registry.apply([register(instance)], never)));
    assertOk(results.flat());
    assertSame(await registry.list(CLUSTER, never), instances);
  });

  it('are spread over connections, of which none has more than 150 services', async () => {
    const server = await serve();
    const registry = open([server]);
    const instances = samplesOf(CLUSTER, 400).map((one, number) => ({
      ...one,
      liveness: 'leased' as const,
      service: `s${number}`,
    }));
    assertOk(await registry.apply(instances.map(register), never));
    assert.deepEqual(
      server
        .published()
        .filter((count) => count > 0)
        .sort((a, b) => a - b),
      [100, 150, 150],
    );
    assertOk(await registry.apply(instances.map(deregister), never));
    assert.deepEqual(
      server.published().filter((count) => count > 0),
      [],
    );
  });

  it('come back by themselves when their connections break', async () => {
    const server = await serve();
    const registry = open([server]);
    const instances = [leased(1), leased(2, { service: 'other' })];
    assertOk(await registry.apply(instances.map(register), never));
    server.breakAll();
    await until('both to be back', async () =>
      server.hosts(WEB).length + server.hosts('other').length === 2 ? true : undefined,
    );
    assertSame(await registry.list(CLUSTER, never), instances);
  });

  it('move to another server before the one that asks them to go loses them', async () => {
    const server = await serve();
    const registry = open([server]);
    assertOk(await registry.apply([register(leased(1))], never));
    const before = server.asked.length;
    server.push('ConnectResetRequest');
    await until('the old connection to go', async () =>
      server.asked.slice(before).some(({ type }) => type === 'BatchInstanceRequest') &&
      server.published().filter((count) => count > 0).length === 1
        ? true
        : undefined,
    );
    const peers = new Set(server.asked.filter(({ type }) => type === 'BatchInstanceRequest').map(({ peer }) => peer));
    assert.equal(peers.size, 2);
    assertSame(await registry.list(CLUSTER, never), [leased(1)]);
  });

  it('that are changed while their connection moves are not left behind', async () => {
    const server = await serve();
    const registry = open([server]);
    const all: Instance[] = [];
    for (let round = 0; round < 5; round++) {
      const fresh = Array.from({ length: 8 }, (_, at) => leased(round * 8 + at + 1, { service: `s${at}` }));
      all.push(...fresh);
      const applied = fresh.map((instance, at) => {
        if (at === 4) server.push('ConnectResetRequest');
        return registry.apply([register(instance)], never);
      });
      assertOk((await Promise.all(applied)).flat());
    }
    const shown = () => Array.from({ length: 8 }, (_, at) => server.hosts(`s${at}`)).flat();
    await until('the connections that were left to go', async () =>
      server.published().filter((count) => count > 0).length === 1 ? true : undefined,
    );
    assert.deepEqual(
      shown()
        .map(({ ip }) => ip)
        .sort(),
      all.map(({ address }) => address).sort(),
    );
  });

  it('of another client are lapsing, and an update makes them ours', async () => {
    const server = await serve();
    const [one, other] = [open([server]), open([server])];
    assertOk(await one.apply([register(leased(1))], never));
    const lapsing = { ...leased(1), liveness: 'lapsing' as const };
    assertSame(await other.list(CLUSTER, never), [lapsing]);
    assert.equal(failureIn((await other.apply([deregister(lapsing)], never))[0]).code, 'conflict');
    assertOk(await other.apply([update(leased(1), lapsing)], never));
    assertSame(await other.list(CLUSTER, never), [leased(1)]);
    await one.close();
    await until('the first to be gone', async () => (server.hosts(WEB).length === 1 ? true : undefined));
    assertSame(await other.list(CLUSTER, never), [leased(1)]);
  });

  it('are refused where the service is of the other kind, with what to do', async () => {
    const server = await serve();
    const registry = open([server]);
    server.refuse(({ type }) =>
      type === 'BatchInstanceRequest'
        ? {
            errorCode: 400,
            message: "Current service DEFAULT_GROUP@@x is persistent service, can't batch register ephemeral instance.",
          }
        : undefined,
    );
    const failure = failureIn((await registry.apply([register(leased(1))], never))[0]);
    assert.equal(failure.code, 'conflict');
    assert.equal(failure.ambiguous, false);
    assert.match(failure.message, /another name or spec\.nacos\.group/);
    assert.equal(server.published().filter((count) => count > 0).length, 0);
  });

  it('that create their service give it the threshold, once it has taken it', async () => {
    const server = await serve();
    const down = new RegistryError('unavailable', 'apply: the server cannot serve now', { retryAfterMs: 2_000 });
    let fails = true;
    const http = fakeHttp();
    const registry = open([server], {
      ...http,
      async protectService(service, signal) {
        await http.protectService(service, signal);
        if (fails) throw down;
      },
    });
    const failure = failureIn((await registry.apply([register(leased(1))], never))[0]);
    assert.deepEqual([failure.code, failure.ambiguous, failure.retryAfterMs], ['unavailable', true, 2_000]);
    assert.equal(server.hosts(WEB).length, 1);
    fails = false;
    for (const number of [1, 2]) assertOk(await registry.apply([register(leased(number))], never));
    assert.deepEqual(http.calls, [`protect ${WEB}`, `protect ${WEB}`]);
    server.put('shared', stranger('10.9.9.9'));
    assertOk(await registry.apply([register(leased(3, { service: 'shared' }))], never));
    assert.equal(http.calls.length, 2);
  });

  it('are ambiguous when the answer never came, and not when it says no', async () => {
    const server = await serve();
    const registry = open([server], fakeHttp(), { requestMs: SHORT_MS });
    assertOk(await registry.apply([register(leased(1))], never));
    server.refuse(({ type }) => {
      if (type === 'BatchInstanceRequest') server.fallSilent(true);
      return undefined;
    });
    const late = failureIn((await registry.apply([register(leased(2))], never))[0]);
    assert.deepEqual([late.code, late.ambiguous], ['timeout', true]);
    server.fallSilent(false);
    server.refuse(({ type }) =>
      type === 'BatchInstanceRequest' ? { errorCode: 400, message: 'instance not legal' } : undefined,
    );
    const refused = failureIn((await registry.apply([register(leased(3))], never))[0]);
    assert.deepEqual([refused.code, refused.ambiguous], ['invalid', false]);
  });
});

describe('persistent entries', () => {
  const instance = sampleOf(CLUSTER);

  it('go over HTTP before 2.3, the service being prepared only when nothing stands in their Nacos cluster of it', async () => {
    const server = await serve();
    const http = fakeHttp();
    const registry = open([server], http);
    assertOk(await registry.apply([register(instance)], never));
    assert.deepEqual(http.calls, [`prepare ${WEB}`, `put ${WEB} 10.1.0.1:8080`]);
    server.put(WEB, stranger('10.9.9.9'));
    assertOk(await registry.apply([register(sampleOf(CLUSTER, { number: 2 }))], never));
    assert.deepEqual(http.calls.slice(2), [`put ${WEB} 10.1.0.2:8080`]);
    assert.ok(!server.asked.some(({ type }) => type === 'PersistentInstanceRequest'));
  });

  it('are prepared for beside strangers in another Nacos cluster of the service', async () => {
    const server = await serve();
    const http = fakeHttp();
    server.put(WEB, { ...stranger('10.9.9.9'), clusterName: 'THEIRS' });
    assertOk(await open([server], http).apply([register(instance)], never));
    assert.deepEqual(http.calls, [`prepare ${WEB}`, `put ${WEB} 10.1.0.1:8080`]);
  });

  it('go over gRPC from 2.3 on', async () => {
    for (const version of ['2.3.0', '2.10.1', '3.1.0-BETA']) {
      const server = await serve({ takesPersistent: true });
      const http = fakeHttp({ version: async () => version });
      const registry = open([server], http);
      assertOk(await registry.apply([register(instance)], never));
      assertSame(await registry.list(CLUSTER, never), [instance]);
      const moved = { ...instance, port: 9090 };
      assertOk(await registry.apply([update(moved, instance)], never));
      assertSame(await registry.list(CLUSTER, never), [moved]);
      assertOk(await registry.apply([deregister(moved)], never));
      assertSame(await registry.list(CLUSTER, never), []);
      assert.deepEqual(http.calls, [`prepare ${WEB}`]);
    }
  });

  it('are not written where a stranger has the address, and what is read is not written over', async () => {
    const server = await serve({ takesPersistent: true });
    const http = fakeHttp({ version: async () => '3.0.0' });
    const registry = open([server], http);
    server.put(WEB, stranger('10.1.0.1'));
    const good = sampleOf(CLUSTER, { number: 2 });
    const [refused, taken] = await registry.apply([register(instance), register(good)], never);
    assert.equal(failureIn(refused).code, 'conflict');
    assert.ok(taken?.ok);
    assertOk(await registry.apply([deregister(instance)], never));
    assert.ok(server.hosts(WEB).some(({ ip, metadata }) => ip === '10.1.0.1' && Object.keys(metadata).length === 0));
    assertSame(await registry.list(CLUSTER, never), [good]);
  });

  it('of one batch that want the same place do not write over each other', async () => {
    const server = await serve({ takesPersistent: true });
    const registry = open([server], fakeHttp({ version: async () => '3.0.0' }));
    const other = { ...instance, id: `${CLUSTER}/shop/other/10.1.0.1:8080` };
    const [taken, refused] = await registry.apply([register(instance), register(other)], never);
    assert.ok(taken?.ok);
    assert.equal(failureIn(refused).code, 'conflict');
    assertSame(await registry.list(CLUSTER, never), [instance]);
  });

  it('are not written over a stranger who took the place a moment ago', async () => {
    const server = await serve({ takesPersistent: true });
    const registry = open([server], fakeHttp({ version: async () => '3.0.0' }));
    assertOk(await registry.apply([register(instance)], never));
    server.put(WEB, stranger('10.1.0.1'));
    const [refused] = await registry.apply([register(instance)], never);
    assert.equal(failureIn(refused).code, 'conflict');
  });

  it('whose names have control characters, which Nacos drops at both ends, are refused', async () => {
    const registry = open([await serve()]);
    for (const service of ['\u0002web', 'web\u0000', 'w\u007feb']) {
      const answer = registry.normalise({ ...instance, service });
      assert.match(answer.ok ? '' : answer.message, /control characters/);
    }
  });

  it('that were not sent, since the server had gone before, are not ambiguous', async () => {
    const server = await serve({ takesPersistent: true });
    let left = 3;
    const http = fakeHttp({ version: async () => '3.0.0' });
    const registry = open([server], http, { requestMs: SHORT_MS });
    server.refuse(({ type }) => {
      if (type === 'PersistentInstanceRequest' && left-- === 0) server.fallSilent(true);
      return undefined;
    });
    const results = await registry.apply(samplesOf(CLUSTER, 100).map(register), never);
    const errors = results.flatMap((result) => (result.ok ? [] : [result.error]));
    assert.equal(errors.length, 97);
    assert.ok(errors.every(({ code }) => code === 'timeout'));
    const sent = server.asked.filter(({ type }) => type === 'PersistentInstanceRequest').length;
    assert.ok(sent < 100);
    assert.equal(errors.filter(({ ambiguous }) => ambiguous).length, sent - 3);
  });
});
