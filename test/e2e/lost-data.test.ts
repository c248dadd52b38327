// Registries that lose what they held: emptied, set back to an old backup, or without room. Each has a server of its own.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type Etcd, openEtcd } from '../servers/etcd.ts';
import { base64, call, post, rangeOf, text } from './etcd-gateway.ts';
import { eventually } from './eventually.ts';
import { clusterRegistry, registration, service, slice } from './objects.ts';
import { OWN_TYPES, openOwn, openScenarioOn, STRANGER } from './own-registry.ts';
import { openScenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const [stage, ...servers] = await Promise.all([openStage(), ...OWN_TYPES.map(openOwn)]);

/** Long enough for a loaded machine; the operator asks for its record every 10 s, and audits every 60 s. */
const NOTICED_MS = 30_000;

const addresses = (from: number, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `10.80.0.${from + n}`);

describe('registries that lose their data', { concurrency: true }, () => {
  for (const server of servers) {
    const { type } = server;
    test(`${type}, set back to an old backup, or emptied, is claimed again and holds what it should; what strangers wrote stays`, async (t) => {
      const s = await openScenarioOn(stage, server);
      const { namespace: ns, registry } = s;
      const web = `web-${s.id}`;
      const standing = async (theirs: boolean) =>
        (await server.standing()).filter(({ address }) => (address === STRANGER) === theirs);
      const theirs = async () => (await standing(true)).map(({ service: of, shown }) => [of, shown]);
      const stands = (expected: readonly string[], what: string, ms?: number) =>
        eventually(
          `${type} holds ${what}`,
          async () => {
            const found = (await standing(false)).map(({ service: of, address, healthy }) => [of, address, healthy]);
            assert.deepEqual(found.sort(), expected.map((address) => [web, address, true]).sort());
          },
          ms,
        );
      await server.addStranger(web);
      const before = await eventually(`${type} holds the stranger's`, async () => {
        const found = await theirs();
        assert.equal(found.length, 1);
        return found;
      });
      const settled = async () => {
        await s.says('ServiceRegistration', web, { Ready: 'True Synced', Reconciling: undefined });
        await s.says('ClusterRegistry', registry, { Ready: 'True Ready', Reachable: 'True Reachable' });
        assert.deepEqual(await theirs(), before);
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
      await s.wrote({ register: 8, update: 0, deregister: 2 });

      // The record of our claim is in that backup too, and says nothing.
      await server.restore('old');
      const rewoundAt = performance.now();
      await stands(more, 'what came after the backup', NOTICED_MS);
      t.diagnostic(`set back, it was right again ${Math.round(performance.now() - rewoundAt)} ms after its return`);
      await s.wrote({ register: 12, update: 0, deregister: 4 });
      await settled();

      await server.restore('before');
      const emptiedAt = performance.now();
      await stands(more, 'everything again', NOTICED_MS);
      t.diagnostic(`emptied, it was full again ${Math.round(performance.now() - emptiedAt)} ms after its return`);
      await s.wrote({ register: 18, update: 0, deregister: 4 });
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

testTraces(stage);
