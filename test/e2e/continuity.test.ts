// One after the other, since each counts the writes of the whole server: what the operator does when nothing changes, and what it makes
// of changes that it did not see.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { eventually, throughout } from './eventually.ts';
import type { Json } from './kube.ts';
import { clusterRegistration, registration, service, slice } from './objects.ts';
import { entriesOfSnapshot } from './registry-truth.ts';
import { openScenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();
const { operator, consul } = stage;
const audit = { audit: { intervalSeconds: 5 } };
// Half of a slice goes at once here.
const s = await openScenario(stage, 'Consul', { registrySpec: { ...audit, deletionGuard: { maxPercent: 100 } } });
const memory = await openScenario(stage, 'Memory', { registrySpec: audit });
const { namespace: ns, id } = s;
const named = (name: string) => `${name}-${id}`;
const KINDS = ['ServiceRegistration', 'ClusterServiceRegistration', 'Registry', 'ClusterRegistry'] as const;

/** Of each shape of entry and of each kind of registration one. */
before(async () => {
  for (const [index, name] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    await s.apply(
      service(ns, named(name), { labels: { set: name, e2e: id } }),
      slice(ns, named(name), { [`10.70.${index}.1`]: { zone: 'z1' }, [`10.70.${index}.2`]: { ready: false } }),
    );
  }
  await s.apply(
    registration(ns, named('a'), s.registry, {
      tags: ['y', 'x'],
      metadata: { 'app.kubernetes.io/part-of': 'shop' },
      weight: 0,
    }),
    registration(ns, named('b'), s.registry, { name: 'other-{service}', deletionPolicy: 'Retain' }),
    registration(ns, 'by-label', s.registry, { selector: { matchLabels: { set: 'c' } }, priority: 3 }),
    clusterRegistration(named('rest'), s.registry, {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ns } },
      selector: { matchExpressions: [{ key: 'set', operator: 'In', values: ['d', 'e'] }] },
    }),
    registration(ns, 'in-memory', memory.registry, { serviceRef: { name: named('a') } }),
  );
  await s.stands(standing());
  await quiet();
});

/** What stands of the five, by the number of each. */
const pair = (name: string, index: number): readonly string[] => [
  `${name === 'a' ? 'warning' : 'passing'} ${name === 'b' ? 'other-' : ''}${named(name)} 10.70.${index}.1:8080`,
  `critical ${name === 'b' ? 'other-' : ''}${named(name)} 10.70.${index}.2:8080`,
];
const standing = () => ['a', 'b', 'c', 'd', 'e'].flatMap(pair);

/** A new process claims the cluster and its seat in the registry, so that an old one cannot write any more. */
const CLAIMS = 2;

/** All is told and written. */
async function quiet(): Promise<void> {
  for (const [kind, name] of [
    ['ServiceRegistration', named('a')],
    ['ServiceRegistration', named('b')],
    ['ServiceRegistration', 'by-label'],
    ['ServiceRegistration', 'in-memory'],
    ['ClusterServiceRegistration', named('rest')],
  ] as const) {
    await eventually(`${kind} ${name} tells all that stands`, async () => {
      const { status } = await s.get(kind, name);
      assert.equal(status.conditions.find(({ type }: Json) => type === 'Ready')?.status, 'True');
      assert.ok(status.instances.desired > 0);
      assert.equal(status.instances.registered, status.instances.desired);
      // Of each pair one is not ready.
      assert.equal(status.instances.healthy, status.instances.desired / 2);
    });
  }
  await eventually('the registry counts what is owned', async () => {
    const { status } = await s.get('ClusterRegistry', s.registry);
    assert.equal(status.instances.owned, (await s.entries()).length);
  });
}

/** The resource version of every object of ours: any write to one moves it. */
async function versions(): Promise<Readonly<Record<string, string>>> {
  const all = await Promise.all(KINDS.map((kind) => stage.kube.list(kind)));
  return Object.fromEntries(all.flat().map(({ metadata }) => [metadata.uid, metadata.resourceVersion]));
}

test('all that one slice changes is one write to the server', async () => {
  const index = await consul.raftIndex();
  const addresses = (from: number) => Array.from({ length: 40 }, (_, n) => `10.71.0.${from + n}`);
  for (const [from, writes] of [
    [1, 1],
    [21, 2],
  ] as const) {
    await s.apply(slice(ns, named('c'), addresses(from), { name: `${named('c')}-many` }));
    await s.stands([...standing(), ...addresses(from).map((address) => `passing ${named('c')} ${address}:8080`)]);
    assert.equal(await consul.raftIndex(), index + writes);
  }
  await s.remove('EndpointSlice', `${named('c')}-many`);
  await s.stands(standing());
  assert.equal(await consul.raftIndex(), index + 3);
  await quiet();
});

test('for a minute in which nothing changes, nothing is written, neither to the registry nor to a status', async () => {
  const [index, objects] = [await consul.raftIndex(), await versions()];
  const listed = await requests('list');
  await throughout(60_000, async () => assert.equal(await consul.raftIndex(), index));
  assert.deepEqual(await versions(), objects);
  assert.ok((await requests('list')) - listed >= 10, 'the registry was compared again and again');
});

test('while the API server is away all entries stay, and when it is back changes are followed', async () => {
  const [index, { apiServer }] = [await consul.raftIndex(), stage.cluster.servers];
  apiServer.kill('SIGKILL');
  await throughout(5_000, async () => {
    assert.equal(await consul.raftIndex(), index);
    assert.equal((await operator.get('/livez')).status, 200);
  });
  await apiServer.restart();
  await s.stands(standing(), 0);
  assert.equal(await consul.raftIndex(), index);
  for (const ready of [true, false]) {
    await s.apply(slice(ns, named('c'), { '10.70.2.1': { zone: 'z1' }, '10.70.2.2': { ready } }));
    const [first = '', second = ''] = pair('c', 2);
    const changed = [first, ready ? second.replace('critical', 'passing') : second];
    await s.stands([...standing().filter((one) => ![first, second].includes(one)), ...changed], 60_000);
  }
  assert.equal(await consul.raftIndex(), index + 2);
  await quiet();
});

const stops: readonly (readonly [string, () => Promise<void>])[] = [
  [
    'told to end',
    async () => {
      operator.process.kill('SIGTERM');
      assert.equal(await operator.process.exitCode(), 0);
    },
  ],
  [
    'killed',
    async () => {
      operator.process.kill('SIGKILL');
      assert.equal(await operator.process.exitCode(), 137);
    },
  ],
];
for (const [how, stop] of stops) {
  test(`an operator that is ${how} leaves all entries, and a new one that finds nothing changed writes no entry`, async () => {
    const [index, objects, changes] = [await consul.raftIndex(), await versions(), await s.written()];
    await stop();
    await s.stands(standing(), 0);
    await operator.process.restart();
    await eventually('the Memory registry, which went with the process, is filled again', async () =>
      assert.equal(entriesOfSnapshot((await operator.get(`/registries/${memory.registry}`)).text).length, 2),
    );
    await eventually('the registry is claimed', async () => assert.equal(await consul.raftIndex(), index + CLAIMS));
    await throughout(8_000, async () => assert.equal(await consul.raftIndex(), index + CLAIMS));
    await s.stands(standing(), 0);
    assert.deepEqual(await s.written(), changes);
    assert.deepEqual(await versions(), objects);
  });
}

test('an operator that is told to end while its registry does not answer ends within 10 s with code 0', async () => {
  consul.kill('SIGSTOP');
  try {
    // At once: an audit, every 5 s here, would find out first that nothing answers.
    const { endpoints } = slice(ns, named('c'), { '10.70.2.1': { zone: 'z1' }, '10.70.2.2': {} });
    await s.patch('EndpointSlice', `${named('c')}-1`, { endpoints });
    await eventually('the write is on its way', async () => {
      const { text } = await operator.get('/metrics');
      assert.match(text, new RegExp(`^workqueue_unfinished_work_seconds\\{.*${s.registry}.*\\} [0-9.]*[1-9]`, 'm'));
    });
    const started = performance.now();
    operator.process.kill('SIGTERM');
    const code = await operator.process.exitCode();
    assert.ok(performance.now() - started < 12_000);
    assert.equal(code, 0, (await operator.output()).slice(-2_000));
  } finally {
    consul.kill('SIGCONT');
  }
});

test('what changed while the operator was away is caught up when it starts; a deleted Service once its absence is proved', async () => {
  await s.remove('Service', named('a'));
  await s.apply(slice(ns, named('b'), ['10.70.1.9']));
  await s.patch('ServiceRegistration', 'by-label', { spec: { selector: { matchLabels: { set: 'none' } } } });
  await s.remove('ClusterServiceRegistration', named('rest'));
  const { deregister } = await s.written();
  // Both of the lists that have to agree come after this, 30 s apart.
  const started = performance.now();
  await operator.process.restart();
  const a = pair('a', 0);
  const rest = [`passing other-${named('b')} 10.70.1.9:8080`];
  await s.stands([...a, ...rest], 20_000);
  await eventually('the deleted registration is let go', async () =>
    assert.equal(await s.get('ClusterServiceRegistration', named('rest')), undefined),
  );
  await s.stands(rest, 90_000);
  assert.ok(performance.now() - started > 29_000, 'the first look was not enough');
  // 2 of a, 2 of b, 2 of c, 4 of d and e.
  await s.wrote({ deregister: deregister + 10 });
});

async function requests(operation: string): Promise<number> {
  const { text } = await operator.get('/metrics');
  const line = text
    .split('\n')
    .find(
      (one) =>
        one.startsWith('roster_registry_request_duration_seconds_count') &&
        one.includes(`"${s.registry}"`) &&
        one.includes(`"${operation}"`),
    );
  assert.ok(line, text);
  return Number(line.split(' ').at(-1));
}

testTraces(stage, { apiServerRestarted: true });
