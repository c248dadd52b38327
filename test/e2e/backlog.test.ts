// What collects while a registry is away, and what a slow one costs the others.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openTcpLink } from '../links/tcp-link.ts';
import { openConsul } from '../servers/consul.ts';
import { eventually, throughout } from './eventually.ts';
import type { Json } from './kube.ts';
import { clusterRegistration, clusterRegistry, registration, service, slice } from './objects.ts';
import { entriesNamed } from './registry-truth.ts';
import { openScenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);

test('of 200 slices that change twice while Consul is stopped the last state is written, each entry once', async (t) => {
  const consul = await openConsul({ persistent: true });
  after(() => consul.stop());
  const COUNT = 200;
  const s = await openScenario(stage, 'Consul', {
    consul,
    registrySpec: {
      timeouts: { connectSeconds: 1, requestSeconds: 5 },
      // Half of what stands goes at once here.
      deletionGuard: { maxPercent: 100 },
    },
  });
  const { namespace: ns, id } = s;
  const named = (n: number) => `s${n}-${id}`;
  const address = (round: number, n: number) => `10.8${round}.${Math.floor(n / 100)}.${n % 100}`;
  const slices = (round: number) => numbers(COUNT).map((n) => slice(ns, named(n), [address(round, n)]));
  /** Of every entry of ours: its address, and when it was made and changed last. */
  const standing = async () => {
    const nodes = (await consul.request('GET', '/v1/catalog/nodes?consistent')).body;
    const lists = await Promise.all(
      nodes.map(async ({ Node }: { Node: string }) => {
        const { body } = await consul.request('GET', `/v1/catalog/node-services/${Node}?consistent`);
        return (body?.Services ?? []).filter(({ Meta }: Json) => Meta?.['roster-owner']?.startsWith(`${ns}/`));
      }),
    );
    return lists.flat() as readonly { Address: string; CreateIndex: number; ModifyIndex: number }[];
  };
  const stands = (round: number) =>
    eventually(
      `Consul holds the addresses of round ${round}`,
      async () => {
        const found = await standing();
        assert.deepEqual(
          found.map(({ Address }) => Address).sort(),
          numbers(COUNT)
            .map((n) => address(round, n))
            .sort(),
        );
        return found;
      },
      60_000,
    );
  await s.apply(
    ...numbers(COUNT).map((n) => service(ns, named(n), { labels: { e2e: id } })),
    ...slices(0),
    clusterRegistration(id, s.registry, { namespaceSelector: {}, selector: { matchLabels: { e2e: id } } }),
  );
  await stands(0);
  await s.wrote({ register: COUNT, update: 0, deregister: 0 });

  consul.kill('SIGKILL');
  const stoppedAt = performance.now();
  await s.apply(...slices(1));
  await s.says('ClusterRegistry', s.registry, { Reachable: 'False RegistryUnreachable' });
  await s.apply(...slices(2));
  // As long as a server is away that is being replaced.
  await delay(stoppedAt + 20_000 - performance.now());
  await consul.restart();
  const backAt = performance.now();
  const found = await stands(2);
  t.diagnostic(`caught up ${Math.round(performance.now() - backAt)} ms after its return`);
  await s.wrote({ register: 2 * COUNT, update: 0, deregister: COUNT });
  assert.ok(
    found.every(({ CreateIndex, ModifyIndex }) => CreateIndex === ModifyIndex),
    'each was written once',
  );
  // The counter began anew with the server; what it writes itself at its start is a handful.
  const transactions = new Set(found.map(({ ModifyIndex }) => ModifyIndex)).size;
  const index = await consul.raftIndex();
  t.diagnostic(`${index} writes of the server, ${transactions} of them with an entry`);
  assert.ok(index <= COUNT + 20, `${index} writes`);
  assert.ok(transactions <= COUNT);
  // Not by the counter: a server that has just started writes of its own accord.
  await throughout(5_000, async () => assert.deepEqual(new Set(await standing()), new Set(found)));
  await s.says('ClusterServiceRegistration', id, { Ready: 'True Synced' });
});

test('a registry that answers 2 s late does not make changes of another one slower', async (t) => {
  const slow = await openConsul();
  after(() => slow.stop());
  const link = await openTcpLink(Number(new URL(slow.address).port));
  after(() => link.close());
  const CHANGES = 30;
  const s = await openScenario(stage, 'Consul');
  const { namespace: ns, id, registry } = s;
  const late = `late-${id}`;
  const named = (n: number) => `s${n}-${id}`;
  const count = 2 * CHANGES;
  await s.apply(
    clusterRegistry(late, { type: 'Consul', consul: { address: `http://127.0.0.1:${link.port}` } }),
    // Each Service stands in both, and its first change goes out at once.
    ...numbers(count).flatMap((n) => [
      service(ns, named(n)),
      slice(ns, named(n), [`10.90.0.${n}`]),
      registration(ns, named(n), registry),
      registration(ns, `late-${named(n)}`, late, { serviceRef: { name: named(n) } }),
    ]),
  );
  const holds = async (consul: typeof slow, n: number, address: string) =>
    (await entriesNamed(consul, named(n))).some((entry) => entry.address === address);
  for (const n of numbers(count)) {
    for (const consul of [stage.consul, slow])
      await eventually('all stands', async () => assert.ok(await holds(consul, n, `10.90.0.${n}`)), 60_000);
  }
  /** Median of the time from the change of a slice to its entry in the registry, over the Services from the given one on. */
  const median = async (from: number): Promise<number> => {
    const times: number[] = [];
    for (let n = from; n < from + CHANGES; n++) {
      const { endpoints } = slice(ns, named(n), [`10.90.0.${n}`, `10.90.1.${n}`]);
      await s.patch('EndpointSlice', `${named(n)}-1`, { endpoints });
      const changedAt = performance.now();
      while (!(await holds(stage.consul, n, `10.90.1.${n}`))) await delay(5);
      times.push(performance.now() - changedAt);
    }
    return times.sort((a, b) => a - b)[CHANGES / 2] ?? assert.fail();
  };
  const alone = await median(0);
  link.answerLate(2_000);
  const beside = await median(CHANGES);
  t.diagnostic(`p50 ${Math.round(alone)} ms without, ${Math.round(beside)} ms beside`);
  assert.ok(beside <= 3 * Math.max(alone, 20), `${beside} ms beside a slow one, ${alone} ms without`);
  assert.ok(!(await holds(slow, count - 1, `10.90.1.${count - 1}`)), 'the slow one was behind all the time');
  await eventually(
    'the slow one catches up',
    async () => {
      for (const n of numbers(count)) assert.ok(await holds(slow, n, `10.90.1.${n}`), named(n));
    },
    120_000,
  );
});

testTraces(stage);
