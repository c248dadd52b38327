// Registries that lose what they held: emptied, set back to an old backup, or without room. Each has a server of its own.
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConsulServer, openConsul } from '../servers/consul.ts';
import { type Etcd, openEtcd } from '../servers/etcd.ts';
import { openScratch } from '../servers/process.ts';
import { eventually } from './eventually.ts';
import { clusterRegistry, registration, service, slice } from './objects.ts';
import { openScenario, type Scenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();

/** Long enough for a loaded machine; the operator asks for its record every 10 s, and audits every 60 s. */
const NOTICED_MS = 30_000;
/** What is claimed anew again within 30 s counts as a dispute between two operators. */
const BETWEEN_MS = 31_000;

const addresses = (from: number, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `10.80.0.${from + n}`);

/** A server whose data can be taken away and given back. */
interface Losing {
  readonly registry: string;
  readonly web: string;
  /** `health address` of what a consumer of the Service gets from us. */
  ours(): Promise<readonly string[]>;
  /** What strangers put there before the first backup, as the server shows it. */
  theirs(): Promise<unknown>;
  /** Keeps what stands now under this name. */
  backup(name: string): Promise<void>;
  /** Sets the server back. */
  restore(name: string): Promise<void>;
}

/** By a snapshot, while it serves: no connection breaks. */
async function losingConsul(s: Scenario, consul: ConsulServer): Promise<Losing> {
  const web = `web-${s.id}`;
  const theirs = { ID: 'theirs', Service: web, Address: '192.0.2.9', Port: 1, Meta: { owner: 'them' } };
  const put = await consul.request('PUT', '/v1/catalog/register', {
    Node: 'elsewhere',
    Address: '192.0.2.1',
    Service: theirs,
  });
  assert.equal(put.status, 200);
  const backups = new Map<string, ArrayBuffer>();
  const entries = async () => (await consul.request('GET', `/v1/catalog/service/${web}?consistent`)).body;
  return {
    registry: s.registry,
    web,
    async ours() {
      return (await s.entries()).map(({ health, address }) => `${health} ${address}`).sort();
    },
    async theirs() {
      return (await entries()).filter(({ ServiceID }: { ServiceID: string }) => ServiceID === 'theirs');
    },
    async backup(name) {
      backups.set(name, await (await answered(fetch(`${consul.address}/v1/snapshot`))).arrayBuffer());
    },
    async restore(name) {
      const body = backups.get(name) ?? assert.fail(name);
      await answered(fetch(`${consul.address}/v1/snapshot`, { method: 'PUT', body }));
    },
  };
}

/** By a copy of its data, as people do it: it is stopped for that. */
async function losingEtcd(s: Scenario): Promise<Losing> {
  const scratch = await openScratch('lost-etcd');
  const etcd = await openEtcd({ fsync: false, directory: scratch.path });
  after(async () => {
    await etcd.stop();
    await scratch.remove();
  });
  const web = `web-${s.id}`;
  const registry = `etcd-${s.id}`;
  await s.apply(clusterRegistry(registry, { type: 'Etcd', etcd: { endpoints: [etcd.address] } }));
  await call(etcd, 'kv/put', { key: base64(`/services/${web}/theirs`), value: base64('{"owner":"them"}') });
  const held = async () => (await call(etcd, 'kv/range', rangeOf(`/services/${web}/`))).kvs ?? [];
  const data = join(scratch.path, 'data');
  return {
    registry,
    web,
    async ours() {
      const values = (await held()).filter(({ key }) => !text(key).endsWith('/theirs'));
      return values
        .map(({ value }) => JSON.parse(text(value)))
        .map(({ health, address }) => `${health === 'healthy' ? 'passing' : health} ${address}`)
        .sort();
    },
    theirs: async () => (await held()).filter(({ key }) => text(key).endsWith('/theirs')),
    async backup(name) {
      await etcd.stop();
      await cp(data, join(scratch.path, name), { recursive: true });
      await etcd.restart();
    },
    async restore(name) {
      await etcd.stop();
      await rm(data, { recursive: true });
      await cp(join(scratch.path, name), data, { recursive: true });
      await etcd.restart();
    },
  };
}

async function ownConsul(): Promise<ConsulServer> {
  const consul = await openConsul({ persistent: true });
  after(() => consul.stop());
  return consul;
}

describe('registries that lose their data', { concurrency: true }, () => {
  for (const type of ['Consul', 'Etcd'] as const) {
    test(`${type}, emptied, or set back to an old backup, is claimed again and holds what it should; what strangers wrote stays`, async (t) => {
      const consul = type === 'Consul' ? await ownConsul() : undefined;
      const s = await openScenario(stage, consul ? 'Consul' : 'Memory', consul && { consul });
      const server = consul ? await losingConsul(s, consul) : await losingEtcd(s);
      const { web, registry } = server;
      const ns = s.namespace;
      const theirs = await server.theirs();
      const stands = (expected: readonly string[], what: string, ms?: number) =>
        eventually(
          `${type} holds ${what}`,
          async () => assert.deepEqual(await server.ours(), expected.map((address) => `passing ${address}`).sort()),
          ms,
        );
      const written = async () => {
        const changes = (await stage.operator.changes(registry)).filter(({ error }) => error === undefined);
        const count = (wanted: string) => changes.filter(({ action }) => action === wanted).length;
        return [count('register'), count('update'), count('deregister')];
      };
      /** The last writes are seen a moment before they are logged. */
      const wrote = (expected: readonly number[]) =>
        eventually(`so many were written to ${type}`, async () => assert.deepEqual(await written(), expected));
      const settled = async () => {
        await s.says('ServiceRegistration', web, { Ready: 'True Synced', Reconciling: undefined });
        await s.says('ClusterRegistry', registry, { Ready: 'True Ready', Reachable: 'True Reachable' });
        assert.deepEqual(await server.theirs(), theirs);
      };

      await server.backup('before');
      const [few, more] = [addresses(1, 4), addresses(3, 6)];
      await s.apply(service(ns, web), slice(ns, web, few), registration(ns, web, registry));
      await stands(few, 'the first instances');
      await settled();
      await server.backup('old');
      // 1 and 2 go, 5 to 8 come.
      await s.apply(slice(ns, web, more));
      await stands(more, 'what came later');
      await wrote([8, 0, 2]);

      const restoredAt = performance.now();
      await server.restore('before');
      await stands(more, 'everything again', NOTICED_MS);
      t.diagnostic(`emptied, it was full again after ${Math.round(performance.now() - restoredAt)} ms`);
      await wrote([14, 0, 2]);
      await settled();

      await delay(restoredAt + BETWEEN_MS - performance.now());
      const rewoundAt = performance.now();
      await server.restore('old');
      await stands(more, 'what came after the backup', NOTICED_MS);
      t.diagnostic(`set back, it was right again after ${Math.round(performance.now() - rewoundAt)} ms`);
      await wrote([18, 0, 4]);
      await settled();
    });
  }

  test('etcd without room says so where it matters, holds up no other registry, and goes on by itself once there is room', async () => {
    const etcd = await openEtcd({ fsync: false, args: [`--quota-backend-bytes=${4 * 1_024 * 1_024}`] });
    after(() => etcd.stop());
    const s = await openScenario(stage, 'Consul');
    const { namespace: ns, id } = s;
    const [full, roomy, registry] = [`full-${id}`, `roomy-${id}`, `etcd-${id}`];
    const held = async () =>
      ((await call(etcd, 'kv/range', rangeOf(`/services/${full}/`))).kvs ?? [])
        .map(({ value }) => JSON.parse(text(value)).address)
        .sort();
    await s.apply(
      clusterRegistry(registry, { type: 'Etcd', etcd: { endpoints: [etcd.address] } }),
      ...[full, roomy].flatMap((name) => [service(ns, name), slice(ns, name, addresses(1, 2))]),
      registration(ns, full, registry),
      registration(ns, roomy, s.registry),
    );
    await eventually('etcd holds both', async () => assert.deepEqual(await held(), addresses(1, 2)));
    await s.says('ServiceRegistration', full, { Ready: 'True Synced' });

    const filler = { key: base64('filler'), value: base64('x'.repeat(1_000_000)) };
    await eventually('etcd is full', async () => assert.equal((await post(etcd, 'kv/put', filler)).ok, false));
    // 1 goes and 3 comes: what removes is still taken.
    await s.apply(slice(ns, full, addresses(2, 2)), slice(ns, roomy, addresses(2, 2)));
    await s.stands(addresses(2, 2).map((address) => `passing ${roomy} ${address}:8080`));
    const status = await s.says('ServiceRegistration', full, { Ready: 'False PartiallySynced' });
    assert.deepEqual(
      status.failures.map(({ code }: { code: string }) => code),
      ['TooLarge'],
    );
    assert.match(status.failures[0].message, /is full; compact and defragment/);
    await s.says('ServiceRegistration', roomy, { Ready: 'True Synced' });
    await s.says('ClusterRegistry', registry, { Ready: 'True Ready', Reachable: 'True Reachable' });
    await eventually('what went is gone', async () => assert.deepEqual(await held(), addresses(2, 1)));

    await makeRoom(etcd);
    // Refused for good, so it is looked at again once a minute.
    await eventually('etcd holds what came', async () => assert.deepEqual(await held(), addresses(2, 2)), 90_000);
    await s.says('ServiceRegistration', full, { Ready: 'True Synced', Reconciling: undefined });
  });
});

/** As its operator would. */
async function makeRoom(etcd: Etcd): Promise<void> {
  await call(etcd, 'kv/deleterange', { key: base64('filler') });
  const { header } = await call(etcd, 'kv/range', { key: base64('filler') });
  await call(etcd, 'kv/compaction', { revision: header.revision, physical: true });
  await call(etcd, 'maintenance/defragment', {});
  const { alarms = [] } = await call(etcd, 'maintenance/alarm', { action: 'GET' });
  assert.equal(alarms.length, 1);
  for (const alarm of alarms) await call(etcd, 'maintenance/alarm', { action: 'DEACTIVATE', ...alarm });
}

interface EtcdAnswer {
  readonly header: { readonly revision: string };
  readonly kvs?: readonly { readonly key: string; readonly value: string }[];
  readonly alarms?: readonly { readonly memberID: string; readonly alarm: string }[];
}

const post = (etcd: Etcd, path: string, body: object): Promise<Response> =>
  fetch(`${etcd.address}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });

const call = async (etcd: Etcd, path: string, body: object): Promise<EtcdAnswer> =>
  (await (await answered(post(etcd, path, body))).json()) as EtcdAnswer;

async function answered(sent: Promise<Response>): Promise<Response> {
  const response = await sent;
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${await response.text()}`);
  return response;
}

const base64 = (plain: string): string => Buffer.from(plain).toString('base64');
const text = (encoded: string): string => Buffer.from(encoded, 'base64').toString();
const rangeOf = (prefix: string) => ({ key: base64(prefix), range_end: base64(`${prefix.slice(0, -1)}0`) });

testTraces(stage);
