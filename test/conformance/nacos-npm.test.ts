import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'node:test';
import { type Host, NacosNamingClient } from 'nacos';
import type { Instance } from '../../src/mirror/instance.ts';
import { sharedNacos } from '../servers/shared.ts';
import { until } from '../servers/until.ts';
import { assertOk, never, stored, using } from './expectations.ts';
import { openAt } from './nacos-client.ts';
import { deregister, freshCluster, register, sampleOf, update } from './samples.ts';

const server = await sharedNacos();

it('the npm client finds what stands in Nacos, persistent and leased, and is told of changes', async () => {
  const group = randomUUID();
  const quiet = { ...console, info() {}, debug() {}, warn() {}, error() {} };
  const client = new NacosNamingClient({
    logger: quiet,
    serverList: new URL(server.address).host,
    namespace: 'public',
  });
  try {
    await client.ready();
    await using(
      () => openAt(server.address, { group, cluster: 'eu-1' }),
      async (registry) => {
        for (const liveness of ['persistent', 'leased'] as const) {
          const cluster = freshCluster();
          const entry = (number: number, over: Partial<Instance> = {}) =>
            stored(registry, sampleOf(cluster, { number, liveness, ...over }));
          const [web, slow, sick] = [entry(1), entry(2, { weight: 7 }), entry(3, { health: 'unhealthy' })];
          const { service } = web;
          assertOk(await registry.apply([web, slow, sick].map(register), never));

          const found = (hosts: readonly Host[]) =>
            hosts.map(({ ip, port, weight, healthy }) => `${ip}:${port} ${weight} ${healthy}`).sort();
          const before = ['10.1.0.1:8080 100 true', '10.1.0.2:8080 7 true', '10.1.0.3:8080 100 false'];
          let told: readonly string[] = [];
          const listener = (hosts: readonly Host[]) => {
            told = found(hosts);
          };
          const subscription = { serviceName: service, groupName: group, clusters: 'eu-1' };
          client.subscribe(subscription, listener);
          const isTold = (expected: readonly string[]) =>
            until(`${expected} to be told`, async () => (String(told) === String(expected) ? true : undefined), 60_000);
          await isTold(before);
          const hosts = await client.getAllInstances(service, group, 'eu-1');
          assert.deepEqual(found(hosts), before);
          for (const { clusterName, ephemeral, enabled, metadata } of hosts) {
            assert.deepEqual([clusterName, ephemeral, enabled], ['eu-1', liveness === 'leased', true]);
            assert.deepEqual(
              [metadata.team, metadata['managed-by'], metadata['roster-cluster']],
              ['shop', 'roster', cluster],
            );
          }
          assert.deepEqual(await client.getAllInstances(service, group, 'us-1', false), []);

          assertOk(await registry.apply([update({ ...web, weight: 9 }, web), deregister(slow)], never));
          await isTold(['10.1.0.1:8080 9 true', '10.1.0.3:8080 100 false']);
          client.unSubscribe(subscription, listener);
          assertOk(await registry.apply([web, sick].map(deregister), never));
        }
      },
    );
  } finally {
    // Its types leave it out.
    await (client as unknown as { close(): Promise<void> }).close();
  }
});
