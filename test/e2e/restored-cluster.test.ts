// The cluster itself away, or set back to a backup. One test after the other: they all have the one control plane.
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openConsul } from '../servers/consul.ts';
import { eventually, throughout } from './eventually.ts';
import { registration, service, slice } from './objects.ts';
import { brief } from './registry-truth.ts';
import { openScenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const consul = await openConsul({ persistent: true });
after(() => consul.stop());
const stage = await openStage({ consul });
const { apiServer, etcd } = stage.cluster.servers;
const s = await openScenario(stage, 'Consul', { registrySpec: { timeouts: { connectSeconds: 1, requestSeconds: 1 } } });
const { namespace: ns, id } = s;
const named = (name: string) => `${name}-${id}`;
const entry = (name: string, last: number) => `passing ${named(name)} 10.81.0.${last}:8080`;

const put = (name: string, ...lasts: readonly number[]) =>
  s.apply(
    service(ns, named(name)),
    slice(
      ns,
      named(name),
      lasts.map((last) => `10.81.0.${last}`),
    ),
    registration(ns, named(name), s.registry),
  );
const move = (name: string, ...lasts: readonly number[]) =>
  s.apply(
    slice(
      ns,
      named(name),
      lasts.map((last) => `10.81.0.${last}`),
    ),
  );
const alive = async () => assert.equal((await stage.operator.get('/livez')).status, 200);
const synced = (name: string) =>
  s.says('ServiceRegistration', named(name), { Ready: 'True Synced', Reconciling: undefined });
const healthy = () => s.says('ClusterRegistry', s.registry, { Ready: 'True Ready', Reachable: 'True Reachable' });

test('with API server and registry down at once nothing is removed, whichever comes back first, and what changes then is followed', async () => {
  await put('web', 1, 2);
  const first = [entry('web', 1), entry('web', 2)];
  await s.stands(first);
  await synced('web');
  const before = await s.written();

  apiServer.kill('SIGKILL');
  consul.kill('SIGKILL');
  await throughout(5_000, alive);
  await consul.restart();
  await throughout(5_000, async () => {
    await alive();
    await s.stands(first, 0);
  });
  await apiServer.restart();
  await move('web', 1, 2, 3);
  await s.stands([...first, entry('web', 3)], 60_000);
  await synced('web');
  await s.wrote({ ...before, register: before.register + 1 });

  apiServer.kill('SIGKILL');
  consul.kill('SIGKILL');
  await throughout(5_000, alive);
  await apiServer.restart();
  await move('web', 1, 2, 3, 4);
  await eventually('the operator has seen that the registry is down', async () => {
    await s.says('ClusterRegistry', s.registry, { Reachable: 'False RegistryUnreachable' });
  });
  await consul.restart();
  await s.stands([...first, entry('web', 3), entry('web', 4)], 60_000);
  await synced('web');
  await healthy();
  await s.wrote({ ...before, register: before.register + 2 });
});

/** What `etcdutl snapshot restore --bump-revision` is for: no revision after the restore is one that was there before it. */
async function advanceRevisions(): Promise<void> {
  const key = Buffer.from('/somebody-elses').toString('base64');
  const body = JSON.stringify({ key, value: key });
  for (let put = 0; put < 2_000; put++) {
    const answer = await fetch(`${etcd.address}/v3/kv/put`, { method: 'POST', body });
    assert.equal(answer.status, 200, await answer.text());
  }
}

const restores = [
  { of: 'whose revisions go back with it', last: 0, onceStarted: async () => {} },
  { of: 'whose revisions are ahead of all that was seen', last: 50, onceStarted: advanceRevisions },
] as const;

for (const { of, last, onceStarted } of restores) {
  test(`an API server that is set back to a backup, ${of}, takes no entry with it that its Services have; the rest goes only once that is certain`, async () => {
    const data = join(stage.cluster.directory, 'etcd', 'data');
    const copy = join(stage.cluster.directory, `backup-${last}`);
    const whileStopped = async (step: () => Promise<void>, once: () => Promise<void> = async () => {}) => {
      await apiServer.stop();
      await etcd.stop();
      await step();
      await etcd.restart();
      await once();
      await apiServer.restart();
    };
    const [kept, grows, gone, late] = ['kept', 'grows', 'gone', 'late'].map((name) => `${name}-${last}`) as Four;
    const others = (await s.entries()).map(brief);
    await put(kept, last + 10, last + 11);
    await put(grows, last + 20, last + 21);
    await put(gone, last + 30);
    for (const name of [kept, grows, gone]) await synced(name);
    await whileStopped(() => cp(data, copy, { recursive: true }));

    const wanted = [
      ...others,
      ...[10, 11].map((one) => entry(kept, last + one)),
      ...[20, 21].map((one) => entry(grows, last + one)),
    ];
    const doubtful = [entry(grows, last + 22), entry(late, last + 40)];
    await move(grows, last + 20, last + 21, last + 22);
    await put(late, last + 40);
    await s.remove('ServiceRegistration', named(gone));
    await s.remove('Service', named(gone));
    await s.stands([...wanted, ...doubtful], 60_000);
    await synced(late);
    const before = await s.written();

    await whileStopped(async () => {
      await rm(data, { recursive: true });
      await cp(copy, data, { recursive: true });
    }, onceStarted);
    // An older answer counts once a second one, 30 s later, says the same.
    await throughout(20_000, async () => {
      await alive();
      const standing = (await s.entries()).map(brief);
      for (const one of [...wanted, ...doubtful]) assert.ok(standing.includes(one), one);
    });
    await eventually(
      'the registry holds what the restored cluster says',
      async () => {
        const standing = (await s.entries()).map(brief);
        for (const one of wanted) assert.ok(standing.includes(one), `${one} is gone`);
        assert.deepEqual([...standing].sort(), [...wanted, entry(gone, last + 30)].sort());
      },
      180_000,
    );
    for (const name of ['web', kept, grows, gone]) await synced(name);
    await healthy();
    await s.wrote({ register: before.register + 1, update: before.update, deregister: before.deregister + 2 });
    await move(kept, last + 10, last + 11, last + 12);
    await s.stands([...wanted, entry(kept, last + 12), entry(gone, last + 30)], 60_000);
  });
}

type Four = [string, string, string, string];

testTraces(stage, { apiServerRestarted: true });
