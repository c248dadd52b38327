// Namespaces and partitions, which only Consul Enterprise has: a proxy looks for them in every request and hands it, without them, to a Consul that
// has none. What that Consul says to them itself is among the faults of the harness.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { ChangeResult } from '../../src/registries/registry.ts';
import { openProxy, type Recorded, type Translate } from '../links/consul-proxy.ts';
import { sharedConsul } from '../servers/shared.ts';
import { until } from '../servers/until.ts';
import { sweepAfter } from './conformance.ts';
import { consulHarness, openAt } from './consul-harness.ts';
import { assertOk, assertStanding, failureOf, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';
import { watching } from './watching.ts';

const server = await sharedConsul();
const harness = await consulHarness(server);
const tenant = { namespace: 'team', partition: 'shop' };

afterEach(() => sweepAfter(harness));

const withoutTenant: Translate = ({ query, headers, body }) => {
  const rest = new URLSearchParams(query);
  rest.delete('partition');
  const { 'x-consul-namespace': _, ...others } = headers;
  return { query: rest, headers: others, body };
};

/** The operations of a transaction: what they are of, and what they say. */
function operationsIn({ path, body }: Recorded): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  if (path !== '/v1/txn') return [];
  const operations: Record<string, Record<string, Record<string, unknown>>>[] = JSON.parse(body);
  return operations.flatMap((operation) =>
    Object.entries(operation).map(([kind, content]) => [kind, content[kind] ?? {}] as const),
  );
}

describe('a namespace and a partition', () => {
  it('are in every request, and in every operation of a transaction', async () => {
    const proxy = await openProxy(server.address, () => undefined, withoutTenant);
    const cluster = freshCluster();
    const ttlMs = 2_000;
    // Leaves a node of a lease behind, which the next client removes.
    await using(
      () => openAt(server.address, { ttlMs }),
      async (registry) => {
        const [gone] = samplesOf(cluster, 1).map((sample) => stored(registry, { ...sample, liveness: 'leased' }));
        assert.ok(gone);
        assertOk(await registry.apply([register(gone)], never));
        assertOk(await registry.apply([deregister(gone)], never));
      },
    );
    await until('the lease to end', async () => {
      const { body } = await server.request('GET', `/v1/health/state/critical?node-meta=roster-cluster:${cluster}`);
      return body.length === 1 ? true : undefined;
    });
    await using(
      () => openAt(proxy.address, { ...tenant, ttlMs }),
      async (registry) => {
        const [one, two, three] = samplesOf(cluster, 3).map((sample) => stored(registry, sample));
        assert.ok(one && two && three);
        const leased = { ...two, liveness: 'leased' as const };
        const sick = { ...three, health: 'unhealthy' as const };
        for (let times = 0; times < 2; times++) await registry.claim({ cluster, owner: 'roster/us' }, never);
        assertOk(await registry.apply([one, leased, sick].map(register), never));
        assertOk(await registry.apply([update(three, sick), deregister(one)], never));
        await assertStanding(harness, registry, cluster, [leased, three]);
        assert.equal((await registry.discover(one.service, never)).length, 2);
        await registry.check(never);
        await registry.kv.put(one.service, 'key', 'value', never);
        assert.equal(await registry.kv.get(one.service, 'key', never), 'value');
        await registry.kv.put(one.service, 'key', undefined, never);
        for (const watch of [
          await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal)),
          await watching((onHint, signal) => registry.watch({ service: one.service }, onHint, signal)),
          await watching((onHint, signal) => registry.kv.watch(one.service, 'key', onHint, signal)),
        ]) {
          watch.abort();
          await watch.ended;
        }
        const asked = () =>
          new Set(proxy.requests.map(({ method, path }) => `${method} ${/^(\/[^/%]+){2,3}/.exec(path)?.[0]}`));
        const removed = () =>
          proxy.requests
            .flatMap(operationsIn)
            .some(([kind, { CheckID }]) => kind === 'Check' && CheckID === 'roster-lease');
        await until('a renewal', async () => (asked().has('PUT /v1/session/renew') ? true : undefined));
        await until('the sweeping of the old node', async () => (removed() ? true : undefined));
        assert.deepEqual([...asked()].sort(), [
          'DELETE /v1/kv/roster',
          'GET /v1/agent/self',
          'GET /v1/catalog/node',
          'GET /v1/catalog/nodes',
          'GET /v1/catalog/services',
          'GET /v1/health/service',
          'GET /v1/health/state',
          'GET /v1/kv/roster',
          'GET /v1/session/node',
          'PUT /v1/kv/roster',
          'PUT /v1/session/create',
          'PUT /v1/session/renew',
          'PUT /v1/txn',
        ]);
      },
    );
    for (const { method, path, query, headers } of proxy.requests) {
      assert.equal(query.get('partition'), 'shop', `${method} ${path}`);
      assert.equal(headers['x-consul-namespace'], 'team', `${method} ${path}`);
    }
    const operations = proxy.requests.flatMap(operationsIn);
    for (const [kind, { Namespace, Partition }] of operations) {
      // Nodes are of a partition alone.
      assert.deepEqual([Namespace, Partition], [kind === 'Node' ? undefined : 'team', 'shop'], kind);
    }
    assert.deepEqual([...new Set(operations.map(([kind]) => kind))].sort(), ['Check', 'Node', 'Service']);
  });

  it('that are not there, or a datacenter, are told with the field to correct, and nothing is written elsewhere', async () => {
    for (const [over, field] of [
      [{ datacenter: 'nowhere' }, /"nowhere"; correct spec\.consul\.datacenter/],
      [{ namespace: 'team' }, /namespace or partition; both exist in Consul Enterprise only/],
      [{ partition: 'shop' }, /namespace or partition; both exist in Consul Enterprise only/],
    ] as const) {
      const cluster = freshCluster();
      await using(
        () => openAt(server.address, over),
        async (registry) => {
          const calls: readonly (() => Promise<unknown>)[] = [
            () => registry.check(never),
            () => registry.list(freshCluster(), never),
            () => registry.watch({ cluster: freshCluster() }, () => {}, never),
            () => registry.watch({ service: 'web' }, () => {}, never),
            () => registry.kv.get('web', 'key', never),
            () => registry.kv.put('web', 'key', 'value', never),
            () => registry.claim({ cluster, owner: 'roster/us' }, never),
            async () => failing(await registry.apply([register(sampleOf(cluster))], never)),
            async () => failing(await registry.apply([register(sampleOf(cluster, { liveness: 'leased' }))], never)),
          ];
          for (const call of calls) {
            const { code, message, ambiguous } = await failureOf(call());
            assert.deepEqual([code, ambiguous], ['not-found', false]);
            assert.match(message, field);
          }
        },
      );
      assert.deepEqual(await harness.peek(cluster), []);
    }
  });
});

/** Rejects as the change did. */
function failing([result]: readonly ChangeResult[]): void {
  if (result?.ok === false) throw result.error;
}
