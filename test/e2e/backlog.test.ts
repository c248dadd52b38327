// What collects while registries are away, and what slow ones cost the others.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openSlowLink } from '../links/slow-link.ts';
import { eventually, throughout } from './eventually.ts';
import { clusterRegistration, clusterRegistry, registration, service, slice } from './objects.ts';
import { OWN_TYPES, type OwnRegistry, type OwnType, openOwn, writesTo } from './own-registry.ts';
import { entriesNamed } from './registry-truth.ts';
import { openScenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

/** gRPC is there. */
const BESIDE: Readonly<Partial<Record<OwnType, readonly number[]>>> = { Nacos: [1_000] };

/** A server, and the way to it that the operator takes. */
async function open(type: OwnType) {
  const server = await openOwn(type);
  const link = await openSlowLink(server.port, BESIDE[type]);
  after(() => link.close());
  return { ...server, link };
}

const [stage, ...servers] = await Promise.all([openStage(), ...OWN_TYPES.map(open)]);
const s = await openScenario(stage, 'Consul');
const { namespace: ns, id } = s;
const worlds = servers.map((server) => {
  const registry = `own-${server.type.toLowerCase()}-${id}`;
  return { ...server, registry, ...writesTo(stage, registry) };
});
type World = (typeof worlds)[number];

const each = (run: (world: World) => Promise<unknown>) => Promise.all(worlds.map(run));
const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);

before(() =>
  s.apply(
    ...worlds.map(({ registry, spec, link }) =>
      clusterRegistry(registry, {
        ...spec(link.port),
        timeouts: { connectSeconds: 1, requestSeconds: 5 },
        // Half of what stands goes at once here.
        deletionGuard: { maxPercent: 100 },
      }),
    ),
  ),
);

/** One question may take several connections, one right after the other. */
const burstsOf = (times: readonly number[]): number =>
  times.filter((at, n) => at - (times[n - 1] ?? Number.NEGATIVE_INFINITY) > 250).length;

test('of 200 slices that change twice while their registry is stopped the last state is written, each entry once; until then it is asked once a second', async (t) => {
  const COUNT = 200;
  const named = (n: number) => `many${n}-${id}`;
  const address = (round: number, n: number) => `10.8${round}.${Math.floor(n / 100)}.${n % 100}`;
  const slices = (round: number) => numbers(COUNT).map((n) => slice(ns, named(n), [address(round, n)]));
  const stands = ({ type, standing }: OwnRegistry, round: number) =>
    eventually(
      `${type} holds the addresses of round ${round}`,
      async () => {
        const found = await standing();
        const wanted = numbers(COUNT).map((n) => address(round, n));
        assert.deepEqual(found.map((one) => one.address).sort(), wanted.sort());
        return found;
      },
      120_000,
    );
  await s.apply(
    ...numbers(COUNT).map((n) => service(ns, named(n), { labels: { e2e: id } })),
    ...slices(0),
    ...worlds.map(({ registry }) =>
      clusterRegistration(registry, registry, { namespaceSelector: {}, selector: { matchLabels: { e2e: id } } }),
    ),
  );
  await each((world) => stands(world, 0));
  await each(({ wrote }) => wrote({ register: COUNT, update: 0, deregister: 0 }));

  for (const { kill } of worlds) kill('SIGKILL');
  await s.apply(...slices(1));
  await each(({ registry }) => s.says('ClusterRegistry', registry, { Reachable: 'False RegistryUnreachable' }));
  const downAt = performance.now();
  await s.apply(...slices(2));
  // As long as a server is away that is being replaced.
  await delay(downAt + 20_000 - performance.now());
  const seconds = (performance.now() - downAt) / 1_000;
  const { text: metrics } = await stage.operator.get('/metrics');
  for (const { type, registry, link } of worlds) {
    const probes = burstsOf(link.arrivals().filter((at) => at >= downAt));
    t.diagnostic(`${type} was asked ${probes} times in ${seconds.toFixed(1)} s`);
    // Of the watch, which tries again ever more seldom, are the last ones.
    assert.ok(probes > seconds / 4 && probes <= seconds + 6, `${type} was asked ${probes} times in ${seconds} s`);
    const waiting = Number(new RegExp(`^workqueue_depth\\{.*"${registry}".*\\} (\\d+)$`, 'm').exec(metrics)?.[1]);
    assert.ok(waiting <= COUNT, `${waiting} Services wait for ${type}`);
  }
  await each(async (world) => {
    await world.restart();
    const backAt = performance.now();
    await stands(world, 2);
    t.diagnostic(`${world.type} had caught up ${Math.round(performance.now() - backAt)} ms after its return`);
  });
  await each(async ({ type, standing, wrote }) => {
    await wrote({ register: 2 * COUNT, update: 0, deregister: COUNT });
    const found = await standing();
    assert.ok(
      found.every(({ isFirst }) => isFirst !== false),
      `${type}: each was written once`,
    );
    await throughout(5_000, async () => assert.deepEqual(new Set(await standing()), new Set(found)));
  });
  await each(({ registry }) => s.says('ClusterServiceRegistration', registry, { Ready: 'True Synced' }));
  await each(({ registry }) => s.remove('ClusterServiceRegistration', registry));
  await each(({ type, standing }) =>
    eventually(`${type} is empty again`, async () => assert.deepEqual(await standing(), []), 60_000),
  );
});

test('registries that answer 2 s late do not make changes of another one slower', async (t) => {
  const CHANGES = 30;
  const named = (n: number) => `few${n}-${id}`;
  const count = 2 * CHANGES;
  await s.apply(
    // Each Service stands in all of them, and its first change goes out at once.
    ...numbers(count).flatMap((n) => [
      service(ns, named(n)),
      slice(ns, named(n), [`10.90.0.${n}`]),
      registration(ns, named(n), s.registry),
      ...worlds.map(({ registry }) =>
        registration(ns, `${registry}-${n}`, registry, { serviceRef: { name: named(n) } }),
      ),
    ]),
  );
  const holds = async (n: number, address: string) =>
    (await entriesNamed(stage.consul, named(n))).some((entry) => entry.address === address);
  /** How many Services have so many addresses there. */
  const held = async ({ standing }: OwnRegistry, addresses: number) => {
    const byService = Map.groupBy(await standing(), ({ service: of }) => of);
    return [...byService.values()].filter(({ length }) => length === addresses).length;
  };
  const allHave = (addresses: number, timeoutMs: number) =>
    each((world) =>
      eventually(
        `${world.type} has ${addresses} of each Service`,
        async () => assert.equal(await held(world, addresses), count),
        timeoutMs,
      ),
    );
  for (const n of numbers(count))
    await eventually('all stands', async () => assert.ok(await holds(n, `10.90.0.${n}`)), 60_000);
  await allHave(1, 60_000);
  /** Median of the time from the change of a slice to its entry in the registry, over the Services from the given one on. */
  const median = async (from: number): Promise<number> => {
    const times: number[] = [];
    for (let n = from; n < from + CHANGES; n++) {
      const { endpoints } = slice(ns, named(n), [`10.90.0.${n}`, `10.90.1.${n}`]);
      await s.patch('EndpointSlice', `${named(n)}-1`, { endpoints });
      const changedAt = performance.now();
      while (!(await holds(n, `10.90.1.${n}`))) await delay(5);
      times.push(performance.now() - changedAt);
    }
    return times.sort((a, b) => a - b)[CHANGES / 2] ?? assert.fail();
  };
  const alone = await median(0);
  for (const { link } of worlds) link.answerLate(2_000);
  const beside = await median(CHANGES);
  t.diagnostic(`p50 ${Math.round(alone)} ms without, ${Math.round(beside)} ms beside`);
  assert.ok(beside <= 3 * Math.max(alone, 20), `${beside} ms beside slow ones, ${alone} ms without`);
  for (const world of worlds) assert.ok((await held(world, 2)) < count, `${world.type} was behind all the time`);
  for (const { link } of worlds) link.answerLate(0);
  await allHave(2, 120_000);
});

testTraces(stage);
