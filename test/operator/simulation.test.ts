// Random histories of a cluster, its registries and the operator between them. Replay one with
//   SIM_SEED=<seed> SIM_TRACE=1 node --test test/operator/simulation.test.ts
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EndpointSlice, ObjectMeta, ServicePort } from '../../src/api/core.ts';
import type {
  DeletionGuard,
  LabelSelector,
  Registration,
  ServiceRegistrationSpec,
} from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { registrationId } from '../../src/mirror/view.ts';
import {
  clusterRegistration,
  clusterRegistry,
  endpoint,
  instance,
  namespace,
  registration,
  service,
  slice,
} from '../mirror/objects.ts';
import {
  dice,
  isCalm,
  isSynced,
  newClock,
  openCluster,
  openServer,
  put,
  remove,
  type Server,
  type Sight,
  startProcess,
  trace,
  truthOf,
  type Weather,
} from './simulation.ts';
import { DECISION_MS, watchWanted } from './wanted.ts';

const NAMESPACES = ['shop', 'other'];
const SERVICES = ['shop/web', 'shop/api', 'other/web', 'other/db'];
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5'];
const REGISTRIES = ['consul', 'second'];
const PORTS: readonly (readonly ServicePort[])[] = [
  [{ name: 'http', port: 80, protocol: 'TCP' }],
  [{ name: 'http', port: 80, protocol: 'TCP' }],
  [
    { name: 'http', port: 80, protocol: 'TCP' },
    { name: 'grpc', port: 9000, protocol: 'TCP' },
  ],
];
const byId = (a: Instance, b: Instance): number => (a.id < b.id ? -1 : 1);
const ownerOf = ({ metadata, service: name }: EndpointSlice): string => `${metadata.namespace}/${name}`;
/** Off, or strict enough to hold something in most histories. */
const GUARDS: readonly DeletionGuard[] = [
  { maxPercent: 100, minInstances: 0, windowSeconds: 60 },
  { maxPercent: 20, minInstances: 1, windowSeconds: 60 },
];
const BEGINNING = [
  ...Array.from({ length: 8 }, () => 'service'),
  ...Array.from({ length: 8 }, () => 'endpoints'),
  'register',
  'register',
  'mirror',
];
const STEPS = 60;

async function history(seed: number) {
  const random = dice(seed);
  const clock = newClock();
  const cluster = openCluster();
  const sight = () => random.pick<Sight>(['clear', 'clear', 'blind', 'noisy', 'absent']);
  const servers = new Map(REGISTRIES.map((name) => [name, openServer(clock, random, sight())]));
  const strangers = new Map<Server, Map<string, Instance>>([...servers.values()].map((server) => [server, new Map()]));
  const log = { push: (what: string) => trace(clock, '#', what) };
  let uids = 0;
  const uid = () => `uid-${++uids}`;
  const stamp = () => new Date(1_700_000_000_000 + random.below(5) * 86_400_000).toISOString().replace('.000', '');

  for (const name of NAMESPACES) put(cluster, 'namespaces', namespace(name, { team: name }));
  for (const name of REGISTRIES) {
    const deletionGuard = random.pick(GUARDS);
    put(cluster, 'registries', clusterRegistry({ deletionGuard }, { name, uid: uid() }));
    const server = servers.get(name);
    if (server !== undefined && deletionGuard.maxPercent < 100) server.guarded = deletionGuard;
  }
  let operator = await start();

  const emptied = new Set<string>();
  cluster.watchers.add((kind, object, previous) => {
    if (kind !== 'slices') return;
    const owner = ownerOf((object ?? previous) as EndpointSlice);
    if (slicesOf(owner).length > 0) emptied.delete(owner);
    else emptied.add(owner);
  });
  const wanted = watchWanted(cluster, servers, clock);

  function start() {
    return startProcess({
      cluster,
      servers,
      clock,
      random,
      belated: random.chance(0.5),
      onStatus(id, status) {
        const name = cluster.registrations.get(id)?.spec.registryRef.name ?? '';
        const server = servers.get(name);
        if (!isSynced(status) || server === undefined || !isCalm(server, clock.now())) return;
        if (clock.now() - wanted.changedAt <= DECISION_MS) return;
        const standing = server.ours().filter(({ marks }) => marks.registration === id);
        const due = wanted.of(name).filter(({ marks }) => marks.registration === id);
        assert.deepEqual(standing.sort(byId), [...due].sort(byId), `${id} says Synced`);
      },
    });
  }

  const spec = (): Partial<ServiceRegistrationSpec> => ({
    registryRef: { kind: 'ClusterRegistry', name: random.pick(['consul', 'consul', 'consul', 'second']) },
    name: random.pick(['{service}', '{service}', '{namespace}-{service}', '{service}-{port}', 'fixed', 'fixed', '']),
    mergeName: random.chance(0.2),
    ...(random.chance(0.3) ? { ports: random.pick([['http'], ['grpc'], ['http', 'grpc'], ['none']]) } : {}),
    weight: random.pick([1, 100]),
    liveness: random.pick(['Persistent', 'Persistent', 'Leased']),
    health: random.pick(['Readiness', 'ReadyOnly']),
    updatePolicy: random.pick(['Sync', 'Sync', 'Sync', 'Sync', 'UpsertOnly', 'CreateOnly', 'DryRun']),
    deletionPolicy: random.pick(['Delete', 'Delete', 'Delete', 'Retain']),
    suspend: random.chance(0.1),
  });
  const selector = (): LabelSelector =>
    random.pick([{}, {}, { matchLabels: { app: 'a' } }, { matchExpressions: [{ key: 'app', operator: 'Exists' }] }]);

  const edit = (before: Registration, changes: Partial<ServiceRegistrationSpec>): Registration => {
    const { registryRef: _, ...rest } = changes;
    const metadata = { ...before.metadata, generation: (before.metadata.generation ?? 0) + 1 };
    return before.kind === 'ServiceRegistration'
      ? {
          ...before,
          metadata: { ...metadata, namespace: before.metadata.namespace },
          spec: { ...before.spec, ...rest },
        }
      : { ...before, metadata, spec: { ...before.spec, ...rest } };
  };

  /** What a process lets through within a window is not known to the next one, unless something is held; and a release counts nowhere. */
  const forgetWindow = (registry: string, guarded: DeletionGuard | undefined) => {
    const server = servers.get(registry);
    if (server !== undefined) Object.assign(server, { guarded, unseen: [] });
  };
  const asking = <M extends ObjectMeta>(metadata: M): M => ({
    ...metadata,
    annotations: { ...metadata.annotations, 'roster.dev/release': String(clock.now()) },
  });
  const releaseAll = (name: string) => {
    const before = cluster.registries.get(name);
    if (before === undefined) return;
    forgetWindow(name, undefined);
    put(cluster, 'registries', { ...before, metadata: asking(before.metadata) });
    log.push(`release ${name}`);
  };

  const slicesOf = (owner: string): readonly EndpointSlice[] =>
    [...cluster.slices.values()].filter((one) => ownerOf(one) === owner);

  const steps: Readonly<Record<string, () => void | Promise<void>>> = {
    service() {
      const owner = random.pick(SERVICES);
      const before = cluster.services.get(owner);
      const meta = {
        uid: before?.metadata.uid ?? uid(),
        creationTimestamp: before?.metadata.creationTimestamp ?? stamp(),
        labels: random.pick<Readonly<Record<string, string>>>([{}, { app: 'a' }, { app: 'b' }]),
        annotations: random.pick<Readonly<Record<string, string>>>([
          {},
          {},
          {},
          { 'roster.dev/register': 'false' },
          { 'roster.dev/name': 'fixed' },
          { 'roster.dev/weight': 'x' },
        ]),
      };
      put(cluster, 'services', service(owner, { meta, ports: random.pick(PORTS) }));
      log.push(`service ${owner}`);
    },
    endpoints() {
      const owner = random.pick(SERVICES);
      if (!cluster.services.has(owner)) return;
      const name = random.pick(['x', 'y']);
      const endpoints = ADDRESSES.filter(() => random.chance(0.5)).map((address) =>
        endpoint(
          address,
          random.pick([{}, {}, {}, { ready: false, serving: false }, { ready: false, terminating: true }]),
          owner.split('/')[0],
        ),
      );
      const ports = [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: 'grpc', port: random.pick([9090, 9090, 8080]), protocol: 'TCP' },
      ];
      put(
        cluster,
        'slices',
        slice(endpoints, { name: `${owner.split('/')[1]}-${name}`, ports, meta: { uid: uid() } }, owner),
      );
      log.push(`endpoints ${owner} ${endpoints.length}`);
    },
    loseSlices() {
      const owner = random.pick(SERVICES);
      for (const one of slicesOf(owner)) remove(cluster, 'slices', `${one.metadata.namespace}/${one.metadata.name}`);
      log.push(`no slices ${owner}`);
    },
    deleteService() {
      const owner = random.pick(SERVICES);
      remove(cluster, 'services', owner);
      for (const one of slicesOf(owner)) remove(cluster, 'slices', `${one.metadata.namespace}/${one.metadata.name}`);
      log.push(`delete service ${owner}`);
    },
    register() {
      const of = random.pick(NAMESPACES);
      const name = random.pick(['r1', 'r2']);
      const id = `ServiceRegistration/${of}/${name}`;
      const takes = random.chance(0.6)
        ? { serviceRef: { name: random.pick(['web', 'api', 'db']) } }
        : { selector: selector() };
      const before = cluster.registrations.get(id);
      if (before?.metadata.deletionTimestamp !== undefined) return;
      const next =
        before === undefined
          ? registration({ ...spec(), ...takes }, { name, namespace: of, uid: uid(), creationTimestamp: stamp() })
          : edit(before, spec());
      put(cluster, 'registrations', next);
      log.push(`register ${id} ${next.spec.name} ${next.spec.updatePolicy}${next.spec.suspend ? ' suspended' : ''}`);
    },
    refer() {
      const before = random.pick([...cluster.registrations.values(), undefined]);
      if (before?.kind !== 'ServiceRegistration' || before.spec.serviceRef === undefined) return;
      put(cluster, 'registrations', edit(before, { serviceRef: { name: random.pick(['web', 'api', 'db']) } }));
      log.push(`refer ${registrationId(before)}`);
    },
    mirror() {
      const name = random.pick(['c1', 'c2']);
      const id = `ClusterServiceRegistration/${name}`;
      const before = cluster.registrations.get(id);
      if (before?.metadata.deletionTimestamp !== undefined) return;
      const given = { ...spec(), selector: selector() };
      const namespaceSelector = random.pick<LabelSelector>([
        {},
        { matchLabels: { team: 'shop' } },
        { matchLabels: { stage: 'live' } },
      ]);
      const next =
        before === undefined
          ? clusterRegistration({ ...given, namespaceSelector }, { name, uid: uid(), creationTimestamp: stamp() })
          : edit(before, given);
      put(cluster, 'registrations', next);
      log.push(`mirror ${id} ${next.spec.name} ${next.spec.updatePolicy}`);
    },
    unregister() {
      const before = random.pick([...cluster.registrations.values(), undefined]);
      if (before === undefined) return;
      const id = registrationId(before);
      log.push(`unregister ${id}`);
      if (before.metadata.finalizers.length === 0 || random.chance(0.1)) return remove(cluster, 'registrations', id);
      if (before.metadata.deletionTimestamp !== undefined) return;
      const going = edit(before, random.chance(0.2) ? { deletionPolicy: random.pick(['Retain', 'Delete']) } : {});
      const deletionTimestamp = '2026-02-01T00:00:00Z';
      cluster.leaving.set(going.metadata.uid, clock.now());
      put(
        cluster,
        'registrations',
        going.kind === 'ServiceRegistration'
          ? { ...going, metadata: { ...going.metadata, deletionTimestamp } }
          : { ...going, metadata: { ...going.metadata, deletionTimestamp } },
      );
    },
    labelNamespace() {
      const name = random.pick(NAMESPACES);
      put(
        cluster,
        'namespaces',
        namespace(name, { team: random.pick(NAMESPACES), ...(random.chance(0.5) ? { stage: 'live' } : {}) }),
      );
      log.push(`label namespace ${name}`);
    },
    admit() {
      const name = random.pick(REGISTRIES);
      const before = cluster.registries.get(name);
      const allowedNamespaces = random.pick([
        { all: true },
        { all: true },
        { names: ['shop'] },
        { selector: { matchLabels: { stage: 'live' } } },
      ]);
      const generation = (before?.metadata.generation ?? 0) + 1;
      if (before === undefined) return;
      put(cluster, 'registries', {
        ...before,
        metadata: { ...before.metadata, generation },
        spec: { ...before.spec, allowedNamespaces },
      });
      log.push(`admit ${name} ${JSON.stringify(allowedNamespaces)}`);
    },
    weather() {
      const name = random.pick(REGISTRIES);
      const server = servers.get(name);
      if (server === undefined) return;
      server.weather = random.pick<Weather>(['refusing', 'losing', 'partial', 'partial', 'down', 'deaf']);
      clock.setTimer(random.below(40_000), () => {
        server.weather = 'healthy';
        server.disturbedAt = clock.now();
      });
      log.push(`weather ${name} ${server.weather}`);
    },
    meddle() {
      const server = servers.get(random.pick(REGISTRIES));
      const ours = server?.ours() ?? [];
      if (server === undefined || ours.length === 0) return;
      const entry = random.pick(ours);
      server.disturbedAt = clock.now();
      const what = random.pick(['removed', 'changed', 'forged']);
      log.push(`${entry.id} ${what}`);
      if (what === 'removed') server.entries.delete(entry.id);
      if (what === 'changed')
        server.entries.set(entry.id, { ...entry, weight: 7, service: random.pick([entry.service, 'elsewhere']) });
      if (what === 'forged')
        server.entries.set(entry.id, { ...entry, marks: { ...entry.marks, owner: random.pick(SERVICES) } });
    },
    watches() {
      const name = random.pick(REGISTRIES);
      const server = servers.get(name);
      if (server === undefined) return;
      if (random.chance(0.5) && server.sight !== 'absent') server.sight = random.pick(['clear', 'blind', 'noisy']);
      else server.breakWatches();
      log.push(`watches ${name} ${server.sight}`);
    },
    async leases() {
      const name = random.pick(REGISTRIES);
      const server = servers.get(name);
      if (server === undefined) return;
      const vanish = random.chance(0.5);
      server.disturbedAt = clock.now();
      log.push(`leases ${name} ${vanish ? 'vanish' : 'lapse'}`);
      if (!vanish) return server.stealLeases();
      for (const { id, liveness } of server.ours()) if (liveness === 'leased') server.entries.delete(id);
    },
    stranger() {
      const server = servers.get(random.pick(REGISTRIES));
      if (server === undefined) return;
      const address = random.pick(ADDRESSES);
      const squats = random.chance(0.3);
      const base = instance(address, { marks: { cluster: random.pick(['', 'staging']) } }, random.pick(SERVICES));
      const entry = squats ? base : { ...base, id: `stranger-${address}` };
      if (squats && server.entries.has(entry.id)) return;
      server.disturbedAt = clock.now();
      server.entries.set(entry.id, entry);
      strangers.get(server)?.set(entry.id, entry);
      log.push(`stranger ${entry.id}`);
    },
    release() {
      const name = random.pick(REGISTRIES);
      if (random.chance(0.5)) return releaseAll(name);
      const before = random.pick([...cluster.registrations.values(), undefined]);
      if (before === undefined) return;
      forgetWindow(before.spec.registryRef.name, undefined);
      put(cluster, 'registrations', edit({ ...before, metadata: asking(before.metadata) } as Registration, {}));
      log.push(`release ${registrationId(before)}`);
    },
    async restart() {
      const gracefully = random.chance(0.5);
      log.push(gracefully ? 'restart' : 'crash');
      await operator.stop(gracefully);
      assert.deepEqual(operator.errors, []);
      // What happens while nobody looks.
      for (let i = random.below(4); i > 0; i--)
        await act(
          random.pick(['service', 'endpoints', 'deleteService', 'register', 'unregister', 'meddle', 'loseSlices']),
        );
      emptied.clear();
      for (const [name, server] of servers) forgetWindow(name, server.guarded);
      for (const server of servers.values()) server.disturbedAt = clock.now();
      operator = await start();
    },
  };
  const names = [
    'service',
    'service',
    'endpoints',
    'endpoints',
    'endpoints',
    'endpoints',
    'endpoints',
    'loseSlices',
    'deleteService',
    'register',
    'register',
    'refer',
    'mirror',
    'unregister',
    'labelNamespace',
    'admit',
    'weather',
    'weather',
    'meddle',
    'stranger',
    'watches',
    'leases',
    'release',
    'restart',
  ];
  const act = async (name: string) => {
    await steps[name]?.();
  };
  for (const name of BEGINNING) await act(name);
  await clock.advance(10_000);
  for (let step = 0; step < STEPS; step++) {
    await act(random.pick(names));
    await clock.advance(random.pick([0, 0, 10, 300, 300, 2_000, 10_000, 70_000]));
  }
  for (const server of servers.values()) {
    server.weather = 'healthy';
    if (server.sight === 'noisy') server.sight = 'clear';
  }
  log.push('quiet');
  // What is to be proved first is held when it is, so one release is not enough.
  for (let n = 0; n < 5; n++) {
    for (const name of REGISTRIES) releaseAll(name);
    await clock.advance(90_000);
  }
  await clock.advance(900_000);
  return { clock, cluster, servers, strangers, operator, emptied };
}

/** For a hint, the list that it brings, and what is written then. */
const HINTED_MS = 12_000;
/** For the audit, and what is written then. */
const AUDITED_MS = 72_000;

async function check(seed: number): Promise<void> {
  const { clock, cluster, servers, strangers, operator, emptied } = await history(seed);
  assert.deepEqual(operator.errors, []);

  for (const [name, server] of servers) {
    assert.deepEqual(server.violations, []);
    const truth = truthOf(operator.surroundings, `ClusterRegistry/${name}`, server.seen());
    const squatted = new Set([...(strangers.get(server)?.keys() ?? [])]);

    for (const [id, entry] of strangers.get(server) ?? [])
      assert.deepEqual(server.entries.get(id), entry, `${id} is not ours to touch`);
    for (const { plan } of truth.values()) {
      const left = plan.changes.filter(({ instance: { id } }) => !squatted.has(id));
      assert.deepEqual(left, [], `${name} holds what is desired, as far as that may be`);
      for (const {
        because,
        message,
        instance: { marks },
      } of plan.leftAlone) {
        assert.ok(
          because !== 'no-endpoint-slices' || !emptied.has(marks.owner),
          `${marks.owner} was seen to lose its slices`,
        );
        assert.ok(
          because !== 'unconfirmed' || /marks .* were changed/.test(message),
          `${message} after a quarter of an hour`,
        );
      }
    }
    for (const { marks, id } of server.ours()) assert.ok(truth.has(marks.owner), `${id} is nobody's`);
  }

  for (const [id, object] of cluster.registrations) {
    const { conditions = [] } = object.status ?? {};
    assert.ok(conditions.length > 0, `${id} has a status`);
    assert.equal(object.metadata.deletionTimestamp, undefined, `${id} is let go`);
    if (!isSynced(object.status)) continue;
    const server = servers.get(object.spec.registryRef.name);
    const wanted = [
      ...truthOf(
        operator.surroundings,
        `ClusterRegistry/${object.spec.registryRef.name}`,
        server?.entries.values() ?? [],
      ).values(),
    ].flatMap(({ wanted: all }) =>
      all.filter((one) => registrationId(one.registration) === id).flatMap(({ instances }) => instances),
    );
    const standing = server?.ours().filter(({ marks }) => marks.registration === id) ?? [];
    assert.deepEqual(standing.sort(byId), wanted.sort(byId), `${id} says Synced`);
  }

  const before = [...servers.values()].map(({ written }) => written);
  const beforeIdle = [...servers.values()].map(({ takenOver, lists }) => ({ takenOver, lists }));
  const statusesBefore = operator.statusWrites.length;
  await clock.advance(600_000);
  assert.deepEqual(
    [...servers.values()].map(({ written }) => written),
    before,
    'idle, nothing is written',
  );
  assert.equal(operator.statusWrites.length, statusesBefore, 'idle, no status is written');
  for (const [n, [name, server]] of [...servers].entries()) {
    const { takenOver, lists } = server;
    assert.equal(takenOver, beforeIdle[n]?.takenOver, 'idle, no lease is taken over');
    // One that stands under our id is looked for again and again.
    if (leftToDo(operator, name, server, new Map()).length === 0)
      assert.ok(lists - (beforeIdle[n]?.lists ?? 0) <= 12, 'idle, nothing but the audit lists');
  }
  await operator.stop(true);
  assert.deepEqual(
    [...servers.values()].map(({ written }) => written),
    before,
    'the end deregisters nothing',
  );

  const again = await startProcess({ cluster, servers, clock, random: dice(seed) });
  await clock.advance(30_000);
  assert.deepEqual(
    [...servers.values()].map(({ written }) => written),
    before,
    'a restart with nothing changed writes nothing',
  );
  // What a dry run would do is told anew while absences that the process before knew of are being confirmed.
  const told = again.statusWrites.filter((id) => cluster.registrations.get(id)?.spec.updatePolicy !== 'DryRun');
  assert.deepEqual(told, [], 'nor a status');
  for (const [name, server] of servers) {
    assert.deepEqual(leftToDo(again, name, server, strangers), [], `${name}: what is leased was taken over`);
  }

  for (const sight of ['clear', 'blind'] as const) {
    for (const server of servers.values()) {
      if (server.sight !== 'absent') server.sight = sight;
      server.breakWatches();
    }
    // Until the watches are back, and their first hints, which led to nothing, are an audit interval ago.
    await clock.advance(120_000);
    for (const [name, server] of servers) {
      await server.stealLeases();
      for (const { id, liveness } of server.ours()) if (liveness === 'persistent') server.entries.delete(id);
      await clock.advance(sight === 'clear' && server.sight === 'clear' ? HINTED_MS : AUDITED_MS);
      assert.deepEqual(leftToDo(again, name, server, strangers), [], `${name}, ${sight}: drift is mended`);
    }
  }
  assert.deepEqual(again.errors, []);
  await again.stop(true);
}

/** What the operator would still have to do, strangers in its way aside. */
function leftToDo(
  { surroundings }: Awaited<ReturnType<typeof startProcess>>,
  name: string,
  server: Server,
  strangers: ReadonlyMap<Server, ReadonlyMap<string, Instance>>,
) {
  return [...truthOf(surroundings, `ClusterRegistry/${name}`, server.seen()).values()]
    .flatMap(({ plan }) => plan.changes)
    .filter(({ instance: { id } }) => strangers.get(server)?.has(id) !== true);
}

describe('the engine, after any history', () => {
  const replayed = process.env['SIM_SEED'];
  const runs = Number(process.env['SIM_RUNS'] ?? 60);
  const seeds = replayed === undefined ? Array.from({ length: runs }, (_, n) => n + 1) : [Number(replayed)];
  for (const seed of seeds) {
    it(`has lost nothing, touched no stranger’s entry, and is quiet (seed ${seed})`, () => check(seed));
  }
});
