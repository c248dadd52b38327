// Two replicas of one operator, as deploy/ runs them. One test after the other, since each takes the replicas as the last one left them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, throughout } from './eventually.ts';
import { registration, service, slice } from './objects.ts';
import { type OperatorProcess, openOperatorProcess } from './operator-process.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const ELECT = ['--leader-elect=true'];
const stage = await openStage({ args: ELECT });
const { consul, clusterName, kube } = stage;
const token = await stage.cluster.serviceAccountToken(OPERATOR_NAMESPACE, 'roster');
const kubeconfig = await stage.cluster.kubeconfigFor(token);
const replicas: readonly OperatorProcess[] = [
  stage.operator,
  await openOperatorProcess({ kubeconfig, clusterName, args: ELECT }),
];
after(() => replicas[1]?.stop());

// Of the same server, so that each has a seat of its own there.
const audit = { audit: { intervalSeconds: 5 } };
const one = await openScenario(stage, 'Consul', { registrySpec: audit });
const two = await openScenario(stage, 'Consul', { registrySpec: audit });
const memory = await openScenario(stage, 'Memory', { registrySpec: audit });
const PORTS = { http: 8080 };

interface Lease {
  readonly holder: string;
  readonly transitions: number;
}

/** By name of the registry; `''` is what belongs to none. */
async function leases(): Promise<ReadonlyMap<string, Lease>> {
  const { items } = JSON.parse(await stage.cluster.kubectl(['get', 'leases', '-n', OPERATOR_NAMESPACE, '-o', 'json']));
  return new Map(
    items.map(({ metadata, spec }: Record<string, Record<string, unknown>>) => {
      const labels = metadata?.['labels'] as Readonly<Record<string, string>> | undefined;
      const { holderIdentity: holder = '', leaseTransitions: transitions } = spec ?? {};
      return [labels?.['roster.dev/registry'] ?? '', { holder, transitions }];
    }),
  );
}

/** Whether the process leads the registry, by its own metric. */
async function leads(replica: OperatorProcess, registry: string): Promise<boolean> {
  const { text } = await replica.get('/metrics').catch(() => ({ text: '' }));
  return new RegExp(`^leader_election_master_status\\{.*registry="${registry}"\\} 1$`, 'm').test(text);
}

const leaderOf = (registry: string): Promise<OperatorProcess> =>
  eventually(
    `one replica leads ${registry}`,
    async () => {
      const leading: OperatorProcess[] = [];
      for (const replica of replicas) if (await leads(replica, registry)) leading.push(replica);
      const [leader, ...others] = leading;
      assert.ok(leader !== undefined && others.length === 0, `${leading.length} leaders`);
      return leader;
    },
    60_000,
  );

const leadsAll = async (replica: OperatorProcess): Promise<void> => {
  for (const { registry } of [one, two, memory])
    await eventually(`it leads ${registry}`, async () => assert.ok(await leads(replica, registry)), 60_000);
};

const otherThan = (replica: OperatorProcess): OperatorProcess =>
  replicas.find((other) => other !== replica) ?? assert.fail();

/** Changes that either replica has told of so far. */
async function counts(registry: string): Promise<Readonly<Record<string, number>>> {
  const lines = (await Promise.all(replicas.map((replica) => replica.changes(registry)))).flat();
  const counted: Record<string, number> = {};
  for (const { action, error } of lines) {
    const what = error === undefined ? action : `${action} failed`;
    counted[what] = (counted[what] ?? 0) + 1;
  }
  return counted;
}

/** Asserts that either replica has told of so many changes; what stands may be seen a moment before its acknowledgement is logged. */
const counted = (registry: string, expected: Readonly<Record<string, number>>) =>
  eventually('so many changes are logged', async () => assert.deepEqual(await counts(registry), expected));

const addresses = (ips: readonly string[]) => ips.map((ip) => `passing web ${ip}:${PORTS.http}`);
const move = (s: typeof one, ips: readonly string[]) => s.apply(slice(s.namespace, 'web', ips));

/** Milliseconds until the registry holds what is given. */
async function timed(s: typeof one, ips: readonly string[], limitMs: number): Promise<number> {
  const began = performance.now();
  await s.stands(addresses(ips), 60_000);
  const ms = performance.now() - began;
  assert.ok(ms < limitMs, `it took ${Math.round(ms)} ms`);
  return ms;
}

before(async () => {
  for (const s of [one, two, memory]) {
    await s.apply(service(s.namespace, 'web'), registration(s.namespace, 'web', s.registry));
    await move(s, ['10.80.0.1', '10.80.0.2']);
  }
  await one.stands(addresses(['10.80.0.1', '10.80.0.2']), 60_000);
  await two.stands(addresses(['10.80.0.1', '10.80.0.2']), 60_000);
});

test('each registry has one leader, and both replicas lead some', async () => {
  const held = await eventually('every Lease is held', async () => {
    const found = await leases();
    assert.deepEqual([...found.keys()].sort(), ['', one.registry, two.registry, memory.registry].sort());
    for (const { holder } of found.values()) assert.notEqual(holder, '');
    return found;
  });
  assert.equal(new Set([...held.values()].map(({ holder }) => holder)).size, 2);
  for (const replica of replicas) assert.equal((await replica.get('/readyz')).status, 200);
});

test('what is in a Memory registry is told by its leader; the other replica says who that is', async () => {
  const leader = await leaderOf(memory.registry);
  await eventually('the leader has it all', async () => {
    const { status, text } = await leader.get(`/registries/${memory.registry}`);
    assert.deepEqual([status, JSON.parse(text).instances.length], [200, 2]);
  });
  const { status, text } = await otherThan(leader).get(`/registries/${memory.registry}`);
  const holder = (await leases()).get(memory.registry)?.holder;
  assert.deepEqual([status, JSON.parse(text).leader], [503, holder]);
});

test('a registration that names no registry is told so by one of the two', async () => {
  await one.apply(registration(one.namespace, 'astray', 'nowhere', { serviceRef: { name: 'web' } }));
  await one.says('ServiceRegistration', 'astray', { Ready: 'False RegistryNotFound' });
  await one.remove('ServiceRegistration', 'astray');
  await eventually('it is gone', async () => assert.equal(await one.get('ServiceRegistration', 'astray'), undefined));
});

test('when a leader is killed the other one goes on: nothing is deregistered, and nothing written twice', async (t) => {
  const leader = await leaderOf(one.registry);
  const [writes, index] = [await counts(one.registry), await consul.raftIndex()];
  leader.process.kill('SIGKILL');
  await leader.process.exitCode();
  const killed = performance.now();
  await move(one, ['10.80.0.1', '10.80.0.2', '10.80.0.3']);
  await timed(one, ['10.80.0.1', '10.80.0.2', '10.80.0.3'], 30_000);
  t.diagnostic(`crash to the next write: ${Math.round(performance.now() - killed)} ms`);
  await counted(one.registry, { ...writes, register: (writes['register'] ?? 0) + 1 });
  // The claims of the new leader, at most two for each registry that it took over, and the one change.
  assert.ok((await consul.raftIndex()) - index <= 5, `${(await consul.raftIndex()) - index} writes`);
  assert.equal((await two.entries()).length, 2);
});

test('the replica that comes back stands by, and takes over within 2 s when the other is told to end', async (t) => {
  const survivor = await leaderOf(one.registry);
  const back = otherThan(survivor);
  // What the other one led is claimed when its turn comes, and must not be free when that one is back.
  await leadsAll(survivor);
  await back.process.restart();
  const index = await quietIndex();
  await throughout(5_000, async () => assert.equal(await consul.raftIndex(), index));
  const writes = await counts(one.registry);
  survivor.process.kill('SIGTERM');
  const told = performance.now();
  await move(one, ['10.80.0.1', '10.80.0.2']);
  const ended = survivor.process.exitCode();
  await timed(one, ['10.80.0.1', '10.80.0.2'], 10_000);
  t.diagnostic(`SIGTERM to the next write of the other: ${Math.round(performance.now() - told)} ms`);
  assert.equal(await ended, 0);
  await counted(one.registry, { ...writes, deregister: (writes['deregister'] ?? 0) + 1 });
  assert.ok(await leads(back, one.registry));
  await survivor.process.restart();
});

test('a leader that was stopped for longer than its Lease writes nothing any more when it goes on', async () => {
  const leader = await leaderOf(one.registry);
  const other = otherThan(leader);
  const writes = await counts(one.registry);
  const said = (await leader.log()).length;
  let index = Number.NaN;
  leader.process.kill('SIGSTOP');
  try {
    await move(one, ['10.80.0.1', '10.80.0.4']);
    await one.stands(addresses(['10.80.0.1', '10.80.0.4']), 60_000);
    assert.ok(await leads(other, one.registry));
    await move(one, ['10.80.0.1', '10.80.0.5']);
    await one.stands(addresses(['10.80.0.1', '10.80.0.5']));
    // Of the other registries that it led too, each is claimed when its turn comes.
    await leadsAll(other);
    index = await quietIndex();
  } finally {
    leader.process.kill('SIGCONT');
  }
  await eventually('it has noticed that it leads no longer', async () => {
    const lines = (await leader.log()).slice(said);
    assert.ok(lines.some(({ msg, registry }) => msg === 'this replica leads no longer' && registry === one.registry));
  });
  await throughout(5_000, async () => assert.equal(await consul.raftIndex(), index));
  await one.stands(addresses(['10.80.0.1', '10.80.0.5']), 0);
  assert.ok((await leader.log()).slice(said).every(({ action, error }) => action === undefined || error !== undefined));
  const { register = 0, deregister = 0 } = writes;
  await counted(one.registry, { ...writes, register: register + 2, deregister: deregister + 2 });
  assert.equal((await leases()).get(one.registry)?.holder, other && (await holderNamedBy(other)));
});

test('the Lease of a registry that is gone goes with it', async () => {
  await two.remove('ServiceRegistration', 'web');
  await two.stands([]);
  await kube.remove({ kind: 'ClusterRegistry', name: two.registry });
  const gone = async () => assert.ok(!(await leases()).has(two.registry));
  await eventually('its Lease is removed', gone, 120_000);
});

/** Writes to the server so far, as soon as none has come for a moment. */
const quietIndex = (): Promise<number> =>
  eventually('nothing is written for a moment', async () => {
    const index = await consul.raftIndex();
    await throughout(1_500, async () => assert.equal(await consul.raftIndex(), index));
    return index;
  });

async function holderNamedBy(replica: OperatorProcess): Promise<string> {
  const lines = (await replica.log()).filter(
    ({ msg, registry }) => msg === 'this replica leads' && registry === one.registry,
  );
  return lines.at(-1)?.['leader'] ?? assert.fail();
}

testTraces(stage);
