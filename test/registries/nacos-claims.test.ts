import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Change } from '../../src/mirror/change.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { openNacosRegistry } from '../../src/registries/nacos/nacos.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { assertOk, assertSame, failureIn, failureOf, never } from '../conformance/expectations.ts';
import { deregister, register, sampleOf, update } from '../conformance/samples.ts';
import { until } from '../servers/until.ts';
import { CLUSTER, closeAfterTest, fakeHttp, leased, open, serve, WEB } from './nacos-scripted-registry.ts';

const US = 'kube-system/roster:1';
const codesIn = async (registry: ServiceRegistry, changes: readonly Change[]) =>
  (await registry.apply(changes, never)).map((result) => (result.ok ? 'ok' : failureIn(result).code));

describe('a claim in Nacos', () => {
  it('is looked at once a second, however much is written, and never by who has claimed nothing', async () => {
    const server = await serve();
    const http = fakeHttp();
    const [registry, free] = [open([server], http), open([server], http)];
    const looks = () => http.calls.filter((call) => call === `apply reads roster-claim-${CLUSTER}`).length;
    await registry.claim({ cluster: CLUSTER, owner: US }, never);
    const begun = performance.now();
    let before = leased(1);
    assertOk(await registry.apply([register(before)], never));
    for (let weight = 1; weight <= 100; weight++) {
      const after = { ...before, weight };
      assertOk(await registry.apply([update(after, before)], never));
      before = after;
    }
    // One more than seconds, whether it took the machine one or many.
    assert.ok(looks() <= 1 + (performance.now() - begun) / 1_000, String(looks()));
    const counted = looks();
    assertOk(await free.apply([register(leased(2))], never));
    assert.equal(looks(), counted);
  });

  it('that is over keeps leased entries from coming back with a new connection', async () => {
    const server = await serve();
    const http = fakeHttp();
    const [first, second] = [open([server], http), open([server], http)];
    const theirs = leased(3, { marks: { ...leased(3).marks, cluster: 'other' }, service: 'other' });
    await first.claim({ cluster: CLUSTER, owner: US }, never);
    assertOk(
      await first.apply([register(leased(1)), register(leased(2, { service: 'more' })), register(theirs)], never),
    );
    await second.claim({ cluster: CLUSTER, owner: US }, never);
    assert.equal((await failureOf(first.check(never))).code, 'fenced');
    server.breakAll();
    // What nobody else has claimed is there again.
    await until('the entries of the other cluster', async () =>
      server.hosts('other').length === 1 ? true : undefined,
    );
    await until('the connection to answer', () => first.list(CLUSTER, never).catch(() => undefined));
    assert.deepEqual([server.hosts(WEB).length, server.hosts('more').length], [0, 0]);
    assertSame(await first.list(CLUSTER, never), []);
    assertOk(await second.apply([register(leased(1))], never));
    assertSame(await second.list(CLUSTER, never), [leased(1)]);
  });

  it('that cannot be read takes no entry away with it', async () => {
    const server = await serve();
    const http = fakeHttp();
    let away = false;
    const { read, write } = http.records;
    const records = {
      write,
      read: async (...asked: Parameters<typeof read>) => {
        if (away) throw new RegistryError('unavailable', 'check: Nacos cannot serve now, and will later');
        return read(...asked);
      },
    };
    const registry = open([server], { ...http, records });
    await registry.claim({ cluster: CLUSTER, owner: US }, never);
    assertOk(await registry.apply([register(leased(1))], never));
    away = true;
    assert.equal((await failureOf(registry.check(never))).code, 'unavailable');
    // As long as what was seen of it before is believed.
    await delay(1_200);
    server.breakAll();
    await until('the entry to be back', async () => (server.hosts(WEB).length === 1 ? true : undefined));
  });

  it('is over for what is sent when the record is gone, and holds again when it is claimed again', async () => {
    const server = await serve({ takesPersistent: true });
    const records = new Map<string, Readonly<Record<string, string>>>();
    const http = fakeHttp({
      version: async () => '2.3.0',
      records: {
        read: async (_, name) => records.get(name),
        write: async (name, record) => void records.set(name, record),
      },
    });
    const registry = open([server], http);
    const one = sampleOf(CLUSTER);
    await registry.claim({ cluster: CLUSTER, owner: US }, never);
    assertOk(await registry.apply([register(one)], never));
    records.clear();
    assert.equal((await failureOf(registry.check(never))).code, 'fenced');
    assert.deepEqual(await codesIn(registry, [update({ ...one, weight: 1 }, one), deregister(leased(9))]), [
      'fenced',
      'fenced',
    ]);
    await registry.claim({ cluster: CLUSTER, owner: US }, never);
    assert.deepEqual(await codesIn(registry, [update({ ...one, weight: 1 }, one)]), ['ok']);
  });
});

/** As much of 3.x as a record needs: services, and the entries in them, switched off or not. */
async function openVersion3() {
  const entries = new Map<string, Readonly<Record<string, unknown>>>();
  const asked: string[] = [];
  const answer = (method: string, path: string, params: URLSearchParams): readonly [status: number, data: unknown] => {
    const key = `${params.get('namespaceId')} ${params.get('groupName')}@@${params.get('serviceName')}`;
    const entry = entries.get(key);
    if (path === '/core/state') return [200, { version: '3.1.0' }];
    if (method !== 'GET') {
      asked.push(`${method} ${path} ${key} ${params.get('healthChecker') ?? ''}`.trim());
      if (path !== '/ns/instance') return [200, 'ok'];
      const { metadata = '{}', ...fields } = Object.fromEntries(params);
      const { port, weight, healthy, enabled, ephemeral } = fields;
      const numbers = { port: Number(port), weight: Number(weight) };
      const flags = { healthy: healthy === 'true', enabled: enabled === 'true', ephemeral: ephemeral === 'true' };
      entries.set(key, { ...fields, ...numbers, ...flags, metadata: JSON.parse(metadata) });
      return [200, 'ok'];
    }
    if (entry === undefined) return [404, 'not found'];
    return [200, path === '/ns/service' ? { clusterMap: { DEFAULT: {} } } : [entry]];
  };
  const server = createServer(async (request, response) => {
    let form = '';
    for await (const chunk of request.setEncoding('utf8')) form += chunk;
    const { pathname, searchParams } = new URL(`http://nacos${request.url}`);
    const params = new URLSearchParams([...searchParams, ...new URLSearchParams(form)]);
    const path = pathname.replace(/^\/nacos\/v3\/(admin|client)/, '');
    const [status, data] = answer(request.method ?? '', path, params);
    response.statusCode = status;
    response.end(JSON.stringify({ code: status === 200 ? 0 : 20004, data }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closeAfterTest({ close: () => server.closeAllConnections() });
  closeAfterTest({ close: () => server.close() });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, entries };
}

it('the record of a claim is an entry of 3.x that is switched off, and read all the same', async () => {
  const { address, asked, entries } = await openVersion3();
  const openHttp = () => {
    const registry = openNacosRegistry({
      addresses: [address],
      namespace: 'shop',
      group: 'web',
      cluster: 'eu',
      protocol: 'Http',
      connectMs: 30_000,
      requestMs: 30_000,
    });
    closeAfterTest(registry);
    return registry;
  };
  const [first, second] = [openHttp(), openHttp()];
  await first.claim({ cluster: CLUSTER, owner: US }, never);
  const record = 'shop ROSTER@@roster-claim-prod';
  assert.deepEqual(asked, [
    `POST /ns/service ${record}`,
    `PUT /ns/cluster ${record} {"type":"NONE"}`,
    `POST /ns/instance ${record}`,
  ]);
  const { enabled, weight, ephemeral, clusterName } = entries.get(record) ?? {};
  assert.deepEqual([enabled, weight, ephemeral, clusterName], [false, 0, false, 'DEFAULT']);
  assert.equal((await failureOf(second.claim({ cluster: CLUSTER, owner: 'other' }, never))).code, 'owned');
  await second.claim({ cluster: CLUSTER, owner: 'other', adopt: US }, never);
  assert.deepEqual(await codesIn(second, []), []);
  assert.equal((await failureOf(first.claim({ cluster: CLUSTER, owner: US }, never))).code, 'owned');
});
