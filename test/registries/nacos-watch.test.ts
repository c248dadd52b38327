import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { assertOk, failureOf, never } from '../conformance/expectations.ts';
import { deregister, register, sampleOf, update } from '../conformance/samples.ts';
import { until } from '../servers/until.ts';
import { CLUSTER, closeAfterTest, fakeHttp, leased, open, serve, stranger, WEB } from './nacos-scripted-registry.ts';

describe('a watch', () => {
  async function watched(registry: ServiceRegistry, scope: Parameters<ServiceRegistry['watch']>[0]) {
    const abort = new AbortController();
    closeAfterTest({ close: () => abort.abort() });
    let hints = 0;
    const ended = failureOf(registry.watch(scope, () => void hints++, abort.signal));
    await until('the watch to stand', async () => (hints > 0 ? true : undefined));
    return { hints: () => hints, ended, abort };
  }

  it('of a cluster tells of others’ changes and not of our own', async () => {
    const server = await serve({ takesPersistent: true });
    const http = fakeHttp({ version: async () => '3.0.0' });
    const registry = open([server], http);
    assertOk(await registry.apply([register(sampleOf(CLUSTER))], never));
    const { hints, ended, abort } = await watched(registry, { cluster: CLUSTER });
    for (const number of [2, 3]) assertOk(await registry.apply([register(sampleOf(CLUSTER, { number }))], never));
    assertOk(await registry.apply([register(sampleOf(CLUSTER, { number: 4, service: 'new' }))], never));
    assertOk(await registry.apply([deregister(sampleOf(CLUSTER, { number: 2 }))], never));
    assertOk(
      await registry.apply(
        [update(sampleOf(CLUSTER, { number: 3, health: 'unhealthy' }), sampleOf(CLUSTER, { number: 3 }))],
        never,
      ),
    );
    // Strangers' are nobody's business there.
    server.put(WEB, stranger('10.7.7.7'));
    await registry.check(never);
    assert.equal(hints(), 1);

    const other = open([server], http);
    assertOk(await other.apply([deregister(sampleOf(CLUSTER))], never));
    await until('a hint', async () => (hints() === 2 ? true : undefined));
    abort.abort();
    assert.equal((await ended).code, 'aborted');
    assertOk(await other.apply([register(sampleOf(CLUSTER))], never));
    assert.equal(hints(), 2);
  });

  it('of a cluster finds entries that another client puts into a service that was not there', async () => {
    const server = await serve({ takesPersistent: true });
    const http = fakeHttp({ version: async () => '3.0.0' });
    const { hints } = await watched(open([server], http), { cluster: CLUSTER });
    assertOk(await open([server], http).apply([register(sampleOf(CLUSTER))], never));
    await until('a hint', async () => (hints() === 2 ? true : undefined));
  });

  it('of a cluster tells of what another client has put into a service that this one writes to before it was found', async () => {
    const server = await serve({ takesPersistent: true });
    const http = fakeHttp({ version: async () => '3.0.0' });
    const registry = open([server], http);
    const { hints } = await watched(registry, { cluster: CLUSTER });
    assertOk(await open([server], http).apply([register(sampleOf(CLUSTER, { number: 1 }))], never));
    assertOk(await registry.apply([register(sampleOf(CLUSTER, { number: 2 }))], never));
    await until('a hint', async () => (hints() === 2 ? true : undefined));
    for (const number of [3, 4]) assertOk(await registry.apply([register(sampleOf(CLUSTER, { number }))], never));
    assert.equal(hints(), 2);
  });

  it('of a cluster looks again at a service that was empty, since its first entry may be on its way', async () => {
    const server = await serve({ takesPersistent: true });
    const http = fakeHttp({ version: async () => '3.0.0' });
    const { hints } = await watched(open([server], http), { cluster: CLUSTER });
    server.create(WEB);
    const isRead = ({ type, body }: { type: string; body: object }) =>
      type === 'ServiceQueryRequest' && 'serviceName' in body && body.serviceName === WEB;
    await until('it to be read', async () => (server.asked.some(isRead) ? true : undefined));
    assertOk(await open([server], http).apply([register(sampleOf(CLUSTER))], never));
    await until('a hint', async () => (hints() === 2 ? true : undefined));
  });

  it('of a service tells of strangers’ and of our own changes', async () => {
    const server = await serve();
    const registry = open([server]);
    const { hints } = await watched(registry, { service: WEB });
    server.put(WEB, stranger('10.7.7.7'));
    await until('a hint', async () => (hints() === 2 ? true : undefined));
    assertOk(await registry.apply([register(leased(1))], never));
    await until('another', async () => (hints() === 3 ? true : undefined));
    server.put('another', stranger('10.7.7.7'));
    await registry.check(never);
    assert.equal(hints(), 3);
  });

  it('ends as unreachable when the server moves its connection, since it tells that one no more', async () => {
    const server = await serve();
    const { ended } = await watched(open([server]), { service: WEB });
    server.push('ConnectResetRequest');
    assert.equal((await ended).code, 'unreachable');
  });

  it('ends as unreachable with its connection, and as closed with its registry', async () => {
    const server = await serve();
    const registry = open([server]);
    assertOk(await registry.apply([register(leased(1))], never));
    const first = await watched(registry, { cluster: CLUSTER });
    server.breakAll();
    assert.equal((await first.ended).code, 'unreachable');
    const second = await watched(registry, { service: WEB });
    await registry.close();
    assert.equal((await second.ended).code, 'closed');
  });
});
