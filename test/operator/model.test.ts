// What people and machines do, in any order, as commands that shrink to the shortest history that goes wrong. A failure tells its seed and paths; replay it with
//   MODEL_SEED=<seed> MODEL_PATH=<path> MODEL_REPLAY=<replayPath> SIM_TRACE=1 node --test test/operator/model.test.ts
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { DeletionGuard, Registration } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import type { Term, Terms } from '../../src/operator/leading/terms.ts';
import { processClock } from '../faults/process-clock.ts';
import { clusterRegistry, endpoint, instance, namespace, registration, service, slice } from '../mirror/objects.ts';
import {
  type Backup,
  dice,
  isCalm,
  isSynced,
  newClock,
  openCluster,
  openServer,
  put,
  remove,
  startProcess,
  TTL_MS,
  trace,
  truthOf,
  type Weather,
} from './simulation.ts';
import { watchWanted } from './wanted.ts';

const OWNERS = ['shop/web', 'shop/api', 'other/db'] as const;
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5'] as const;
/** The guard of each registry: none that would ever hold anything, and one that often does. */
const GUARDS: Readonly<Record<'consul' | 'second', DeletionGuard>> = {
  consul: { maxPercent: 100, minInstances: 0, windowSeconds: 60 },
  second: { maxPercent: 20, minInstances: 1, windowSeconds: 60 },
};
type Name = keyof typeof GUARDS;
const REGISTRIES = ['consul', 'second'] as const;
/** A claim that went twice in a short time is not made again for a minute, and an absence takes two looks. */
const KEPT_MS = 130_000;
const SILENT_MS = 60_000;
/** How long a process that lost the term may go on as if it had it. */
const LINGER_MS = 20_000;
/** After which another process leads when one is frozen. */
const TAKEOVER_MS = 15_000;
type Liveness = Registration['spec']['liveness'];

/** Processes that take the term from one another. One that lost it does not know before it asks, or is fenced, or its term runs out. */
function openElection(clock: { now(): number }) {
  let holder = 0;
  return {
    /** Another process leads from now on; the one before lingers. */
    join() {
      const me = ++holder;
      let lostAt = Number.POSITIVE_INFINITY;
      const endings = new Set<AbortController>();
      const isValid = () => clock.now() < lostAt;
      return {
        terms(): Terms {
          const ending = new AbortController();
          endings.add(ending);
          const term: Term = { signal: ending.signal, isValid: () => isValid() && !ending.signal.aborted };
          return {
            get current() {
              return term.isValid() ? term : undefined;
            },
            next: (signal) =>
              term.isValid()
                ? Promise.resolve(term)
                : new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined))),
            async confirm() {
              if (holder === me) return 'leading';
              ending.abort();
              return 'lost';
            },
          };
        },
        /** By the clock; no timer has fired yet. */
        expire() {
          lostAt = clock.now();
        },
        end() {
          lostAt = clock.now();
          for (const ending of endings) ending.abort();
        },
      };
    },
  };
}

async function openWorld(seed: number) {
  const random = dice(seed);
  const clock = newClock();
  const cluster = openCluster();
  const servers = new Map(REGISTRIES.map((name) => [name as string, openServer(clock, random, 'clear')]));
  const strangers = new Map(REGISTRIES.map((name) => [name as string, new Map<string, Instance>()]));
  const backups = new Map<string, { readonly held: Backup; readonly strangers: ReadonlyMap<string, Instance> }>();
  const tokens = new Map<string, number>();
  const election = openElection(clock);
  const wanted = watchWanted(cluster, servers, clock);
  const serverOf = (name: Name) => servers.get(name) ?? assert.fail(name);
  let uids = 0;
  let wallOffMs = 0;
  let uncounted = 0;
  let unsure = 0.2;
  const uid = () => `uid-${++uids}`;
  for (const one of ['shop', 'other']) put(cluster, 'namespaces', namespace(one));
  for (const name of REGISTRIES) {
    const deletionGuard = GUARDS[name];
    put(cluster, 'registries', clusterRegistry({ deletionGuard }, { name, uid: uid() }));
  }
  rearm();

  async function start() {
    const member = election.join();
    const own = processClock(clock);
    const process = await startProcess({
      cluster,
      servers,
      clock,
      own,
      random,
      belated: random.chance(0.5),
      terms: member.terms,
      wallOffMs: () => wallOffMs,
      unsure: () => unsure,
      token: (name) => String(tokens.get(name) ?? 0),
    });
    return { ...process, own, end: member.end, expire: member.expire };
  }
  let leader = await start();
  const lingering = new Set<Awaited<ReturnType<typeof start>>>();

  const slicesOf = (owner: string) => [...cluster.slices.values()].filter((one) => keyOf(one) === owner);

  /** What a process lets through within a window is not known to the next one, unless something is held; and a release counts nowhere. */
  function disarm(name: Name): void {
    Object.assign(serverOf(name), { guarded: undefined, unseen: [] });
  }
  function rearm(): void {
    if (uncounted > 0) return;
    for (const name of REGISTRIES) if (GUARDS[name].maxPercent < 100) serverOf(name).guarded = GUARDS[name];
  }

  /** Of no registry, until the returned function is called. */
  function stopCounting(): () => void {
    uncounted++;
    for (const name of REGISTRIES) disarm(name);
    return () => {
      uncounted--;
      rearm();
    };
  }

  /** Another process leads. It knows nothing of what the one before let through within a window, which may be at work for a while. */
  async function takeOver(): Promise<void> {
    lingering.add(leader);
    leader = await start();
    for (const server of servers.values()) server.disturbedAt = clock.now();
  }

  const scale = (owner: string, addresses: readonly string[], ready: (address: string) => boolean) => {
    const [namespaceOf, name = ''] = owner.split('/');
    const endpoints = addresses.map((address) =>
      endpoint(address, ready(address) ? {} : { ready: false, serving: false }, namespaceOf),
    );
    put(cluster, 'slices', slice(endpoints, { name: `${name}-x`, meta: { uid: uid() } }, owner));
  };

  return {
    clock,
    async create(owner: string, liveness: Liveness) {
      const [of = '', name = ''] = owner.split('/');
      if (!cluster.services.has(owner)) put(cluster, 'services', service(owner, { meta: { uid: uid() } }));
      for (const registry of REGISTRIES) {
        const meta = { name: `${name}-${registry}`, namespace: of, uid: uid() };
        if (cluster.registrations.has(`ServiceRegistration/${of}/${meta.name}`)) continue;
        const registryRef = { kind: 'ClusterRegistry', name: registry } as const;
        put(cluster, 'registrations', registration({ registryRef, serviceRef: { name }, liveness }, meta));
      }
    },
    async setLiveness(owner: string, name: Name, liveness: Liveness) {
      const before = cluster.registrations.get(`ServiceRegistration/${owner}-${name}`);
      if (before === undefined || before.spec.liveness === liveness) return;
      const metadata = { ...before.metadata, generation: (before.metadata.generation ?? 0) + 1 };
      put(cluster, 'registrations', { ...before, metadata, spec: { ...before.spec, liveness } } as Registration);
    },
    /** To another Service of the namespace: seen to come before it goes, or the other way round. */
    async move(from: string, to: string, address: string, comesFirst: boolean) {
      if (from === to || !addressesOf(from).includes(address) || !cluster.services.has(to)) return;
      const go = () =>
        scale(
          from,
          addressesOf(from).filter((one) => one !== address),
          () => true,
        );
      const come = () => scale(to, [...new Set([...addressesOf(to), address])], () => true);
      for (const step of comesFirst ? [come, go] : [go, come]) step();
    },
    /** All of a slice, by its label. */
    async relabel(from: string, to: string) {
      const slice = slicesOf(from)[0];
      const [of, name = ''] = to.split('/');
      if (slice !== undefined && slice.metadata.namespace === of) put(cluster, 'slices', { ...slice, service: name });
    },
    async scale(owner: string, addresses: readonly string[]) {
      if (cluster.services.has(owner)) scale(owner, addresses, () => true);
    },
    async flip(owner: string, address: string) {
      const endpoints = slicesOf(owner).flatMap(({ subsets }) => subsets.flatMap((subset) => subset.endpoints));
      const ready = new Map(endpoints.map((one) => [one.addresses[0] ?? '', one.ready]));
      if (ready.has(address)) scale(owner, [...ready.keys()], (one) => ready.get(one) !== (one === address));
    },
    async deleteService(owner: string) {
      remove(cluster, 'services', owner);
      for (const one of slicesOf(owner)) remove(cluster, 'slices', `${one.metadata.namespace}/${one.metadata.name}`);
    },
    async deleteRegistration(owner: string, name: Name) {
      const id = `ServiceRegistration/${owner}-${name}`;
      const before = cluster.registrations.get(id);
      if (before === undefined || before.metadata.deletionTimestamp !== undefined) return;
      if (before.metadata.finalizers.length === 0) return remove(cluster, 'registrations', id);
      cluster.leaving.set(before.metadata.uid, clock.now());
      const generation = (before.metadata.generation ?? 0) + 1;
      const metadata = { ...before.metadata, generation, deletionTimestamp: '2026-02-01T00:00:00Z' };
      put(cluster, 'registrations', { ...before, metadata } as Registration);
    },
    async crash() {
      await leader.stop(false);
      assert.deepEqual(leader.errors, []);
      for (const name of REGISTRIES) disarm(name);
      for (const server of servers.values()) server.disturbedAt = clock.now();
      rearm();
      leader = await start();
    },
    async failOver() {
      const old = leader;
      const count = stopCounting();
      await takeOver();
      clock.setTimer(LINGER_MS, () => {
        old.end();
        count();
      });
    },
    /** Stopped, it knows by its clock that its term is over; suspended with its machine, it does not. */
    async freeze(how: 'stopped' | 'suspended', ms: number) {
      const old = leader;
      const count = stopCounting();
      old.own.freeze(how);
      await clock.advance(TAKEOVER_MS);
      await takeOver();
      clock.setTimer(ms, () => {
        for (const server of servers.values()) server.disturbedAt = clock.now();
        if (how === 'stopped') old.expire();
        old.own.goOn();
        clock.setTimer(how === 'stopped' ? 1 : LINGER_MS, () => {
          old.end();
          count();
        });
      });
    },
    async partition(name: Name, weather: Weather, ms: number) {
      const server = serverOf(name);
      server.weather = weather;
      // What is decided within one window is carried out in another.
      const count = weather === 'slow' ? stopCounting() : () => {};
      clock.setTimer(ms, () => {
        server.weather = 'healthy';
        server.disturbedAt = clock.now();
        clock.setTimer(server.latenessMs(), count);
      });
    },
    async wipe(name: Name) {
      strangers.get(name)?.clear();
      serverOf(name).wipe();
    },
    async backUp(name: Name) {
      backups.set(name, { held: serverOf(name).backup(), strangers: new Map(strangers.get(name)) });
    },
    async rewind(name: Name) {
      const backup = backups.get(name);
      if (backup === undefined) return;
      strangers.set(name, new Map(backup.strangers));
      serverOf(name).restore(backup.held);
    },
    async rotate(name: Name) {
      tokens.set(name, (tokens.get(name) ?? 0) + 1);
      serverOf(name).disturbedAt = clock.now();
      // The guard is kept: it is the registry's, not the client's.
      await Promise.race([leader.registries.sync(`ClusterRegistry/${name}`), clock.advance(5_000)]);
    },
    async jump(ms: number) {
      wallOffMs += ms;
    },
    async stranger(name: Name, owner: string, address: string, squats: boolean) {
      const base = instance(address, { marks: { cluster: 'staging' } }, owner);
      const entry = squats ? base : { ...base, id: `stranger-${address}` };
      const { entries } = serverOf(name);
      if (entries.has(entry.id)) return;
      serverOf(name).disturbedAt = clock.now();
      entries.set(entry.id, entry);
      strangers.get(name)?.set(entry.id, entry);
    },
    /** What must hold whatever happened. Rules of statuses are checked with each write. */
    check() {
      for (const process of [leader, ...lingering]) assert.deepEqual(process.errors, []);
      for (const [name, server] of servers) {
        assert.deepEqual(server.violations, []);
        for (const [id, entry] of strangers.get(name) ?? [])
          assert.deepEqual(server.entries.get(id), entry, `${name}: ${id} is not ours to touch`);
        if (!isCalm(server, clock.now())) continue;
        for (const { id } of wanted.throughout(name, KEPT_MS))
          assert.ok(server.entries.has(id), `${name} lacks ${id}, which is wanted since long`);
      }
    },
    /** Nothing goes wrong any more: right within 130 s, and then silent. */
    async settle() {
      unsure = 0;
      while ([...lingering].some(({ own }) => own.frozen)) await clock.advance(1_000);
      for (const server of servers.values()) server.weather = 'healthy';
      // Of what is held, nobody takes the leases over: when they run out, what is left may be within the threshold.
      if ([...servers.values()].some((server) => server.seen().some(isLapsing))) await clock.advance(TTL_MS);
      await clock.advance(KEPT_MS);
      this.check();
      for (const [name, server] of servers) {
        const id = `ClusterRegistry/${name}`;
        const held = leader.guards.held(id);
        const left = [...truthOf(leader.surroundings, id, server.seen()).values()]
          .flatMap(({ plan }) => plan.changes)
          .filter((change) => strangers.get(name)?.has(change.instance.id) !== true)
          .filter(({ action, instance: { marks } }) => action !== 'deregister' || !held.has(marks.owner));
        assert.deepEqual(left, [], `${name} holds what it should`);
        for (const [registration, { status, spec }] of cluster.registrations) {
          if (spec.registryRef.name !== name || !isSynced(status)) continue;
          const mine = ({ marks }: Instance) => marks.registration === registration;
          assert.deepEqual(
            server.ours().filter(mine).sort(byId),
            [...wanted.of(name)].filter(mine).sort(byId),
            `${registration} says Synced`,
          );
        }
        const ids = new Set(wanted.of(name).map((one) => one.id));
        for (const entry of server.ours())
          assert.ok(ids.has(entry.id) || held.has(entry.marks.owner) || hasNoSlices(entry), `${entry.id} is nobody's`);
      }
      const before = [...servers.values()].map(({ written }) => written);
      await clock.advance(SILENT_MS);
      assert.deepEqual(
        [...servers.values()].map(({ written }) => written),
        before,
        'and then nothing is written',
      );
      this.check();
    },
    async close() {
      for (const process of [leader, ...lingering]) {
        process.own.goOn();
        await process.stop(false);
      }
    },
    /** Everybody is dead, and nobody comes. Entries of the dead lapse, and nothing else goes. */
    async die() {
      const before = [...servers.values()].map((server) => [server, server.ours(), server.seen()] as const);
      await this.close();
      await clock.advance(TTL_MS - 1_000);
      for (const [server, ours, seen] of before) {
        const lapsing = new Set(seen.filter(isLapsing).map(({ id }) => id));
        const standing = new Set(server.ours());
        assert.deepEqual(
          ours.filter((entry) => !standing.has(entry) && !lapsing.has(entry.id)),
          [],
          'nothing lapses that the last process held',
        );
      }
      await clock.advance(2_000);
      for (const [server, ours] of before) {
        const left = ours.filter(({ liveness }) => liveness === 'persistent');
        assert.deepEqual(server.ours(), left, 'what is leased has lapsed, and nothing else');
      }
    },
  };

  function addressesOf(owner: string): readonly string[] {
    return slicesOf(owner).flatMap(({ subsets }) =>
      subsets.flatMap(({ endpoints }) => endpoints.flatMap(({ addresses }) => addresses)),
    );
  }

  /** A Service without any slices, none of them deleted before our eyes, says nothing of what stands. */
  function hasNoSlices({ marks: { owner } }: Instance): boolean {
    return cluster.services.has(owner) && slicesOf(owner).length === 0;
  }
}

const keyOf = ({ metadata, service: name }: { metadata: { namespace?: string }; service: string }) =>
  `${metadata.namespace}/${name}`;

const isLapsing = ({ liveness }: Instance): boolean => liveness === 'lapsing';

const byId = (a: Instance, b: Instance): number => (a.id < b.id ? -1 : 1);

type World = Awaited<ReturnType<typeof openWorld>>;

/** One thing that happens, and how long it is quiet after it. */
function command<T>(
  name: string,
  given: fc.Arbitrary<T>,
  run: (world: World, given: T) => Promise<void>,
): fc.Arbitrary<fc.AsyncCommand<object, World>> {
  const quiet = fc.constantFrom(0, 10, 300, 2_000, 10_000, 70_000, 140_000);
  return fc.tuple(given, quiet).map(([value, ms]) => ({
    check: () => true,
    async run(_, world) {
      trace(world.clock, '#', name, JSON.stringify(value), ms);
      await run(world, value);
      await world.clock.advance(ms);
      world.check();
    },
    toString: () => `${name} ${JSON.stringify(value)}, then ${ms} ms`,
  }));
}

const owner = fc.constantFrom(...OWNERS);
const address = fc.constantFrom(...ADDRESSES);
const registry = fc.constantFrom(...REGISTRIES);
const nothing = fc.constant(null);
const shop = fc.constantFrom('shop/web', 'shop/api');
const liveness = fc.constantFrom<Liveness>('Persistent', 'Leased');
const weather = fc.constantFrom<Weather>('down', 'down', 'deaf', 'losing', 'refusing', 'partial', 'slow');
const COMMANDS = [
  command('create', fc.tuple(owner, liveness), (world, given) => world.create(...given)),
  command('create', fc.tuple(owner, liveness), (world, given) => world.create(...given)),
  command('liveness', fc.tuple(owner, registry, liveness), (world, given) => world.setLiveness(...given)),
  command('scale', fc.tuple(owner, fc.subarray([...ADDRESSES])), (world, given) => world.scale(...given)),
  command('scale', fc.tuple(owner, fc.subarray([...ADDRESSES])), (world, given) => world.scale(...given)),
  command('flip', fc.tuple(owner, address), (world, given) => world.flip(...given)),
  command('move', fc.tuple(shop, shop, address, fc.boolean()), (world, given) => world.move(...given)),
  command('relabel', fc.tuple(shop, shop), (world, given) => world.relabel(...given)),
  command('delete Service', owner, (world, of) => world.deleteService(of)),
  command('delete registration', fc.tuple(owner, registry), (world, given) => world.deleteRegistration(...given)),
  command('crash', nothing, (world) => world.crash()),
  command('fail over', nothing, (world) => world.failOver()),
  command(
    'freeze',
    fc.tuple(fc.constantFrom('stopped', 'suspended'), fc.integer({ min: 1, max: 60_000 })),
    (world, given) => world.freeze(...given),
  ),
  command('partition', fc.tuple(registry, weather, fc.integer({ min: 1, max: 40_000 })), (world, given) =>
    world.partition(...given),
  ),
  command('wipe', registry, (world, name) => world.wipe(name)),
  command('back up', registry, (world, name) => world.backUp(name)),
  command('rewind', registry, (world, name) => world.rewind(name)),
  command('rotate', registry, (world, name) => world.rotate(name)),
  command('jump', fc.constantFrom(-86_400_000, -1_000, 3_600_000), (world, ms) => world.jump(ms)),
  command('stranger', fc.tuple(registry, owner, address, fc.boolean()), (world, given) => world.stranger(...given)),
];

const given = (name: string): string | undefined => process.env[name];

it('after any commands nothing is lost, nothing of others touched, nothing removed without evidence, and soon all is right and silent', async (t) => {
  const seed = Number(given('MODEL_SEED') ?? Math.floor(Math.random() * 2 ** 31));
  const runs = given('MODEL_RUNS');
  const [path, replayPath] = [given('MODEL_PATH'), given('MODEL_REPLAY')];
  t.diagnostic(`MODEL_SEED=${seed}`);
  const commands = fc.commands(COMMANDS, {
    maxCommands: 40,
    size: 'max',
    ...(replayPath !== undefined && { replayPath }),
  });
  await fc.assert(
    fc.asyncProperty(fc.noShrink(fc.integer()), commands, async (chance, listed) => {
      const world = await openWorld(chance);
      try {
        // Something to lose.
        for (const [index, one] of OWNERS.entries()) {
          await world.create(one, index === 0 ? 'Persistent' : 'Leased');
          await world.scale(one, ADDRESSES.slice(0, 3));
        }
        await world.clock.advance(10_000);
        await fc.asyncModelRun(() => ({ model: {}, real: world }), listed);
        await world.settle();
        await world.die();
      } finally {
        await world.close();
      }
    }),
    {
      seed,
      ...(path !== undefined && { path, endOnFailure: true }),
      // Within a time, whatever the machine: the rest is for another seed. All of as many as are asked for.
      ...(runs === undefined
        ? { numRuns: 200, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: false }
        : { numRuns: Number(runs) }),
    },
  );
});
