// The engine as operator.ts strings it together, between a cluster and registries that are made up: caches are filled by hand, time is
// virtual, chance is seeded. Everything that a run does follows from its seed.

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { EndpointSlice, KubeObject, Namespace, Service } from '../../src/api/core.ts';
import { objectKey } from '../../src/api/core.ts';
import type {
  ClusterRegistry,
  DeletionGuard,
  Registration,
  RegistrationStatus,
} from '../../src/api/kinds.generated.ts';
import type { Clock } from '../../src/clock.ts';
import { FINALIZER } from '../../src/kubernetes/finalizer.ts';
import type { Delta } from '../../src/kubernetes/intake.ts';
import type { StoreWriter } from '../../src/kubernetes/store.ts';
import type { Change } from '../../src/mirror/change.ts';
import { createClaimIndex } from '../../src/mirror/claims.ts';
import { desired } from '../../src/mirror/desired.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { planChanges } from '../../src/mirror/plan.ts';
import { limitOf } from '../../src/mirror/removal-window.ts';
import { referencedRegistry, registryId } from '../../src/mirror/selection.ts';
import { registrationId, type View } from '../../src/mirror/view.ts';
import { createAbsenceProof } from '../../src/operator/cluster/absence.ts';
import {
  createCaches,
  findOurs,
  findRegistration,
  findRegistry,
  keyOf,
  registrationsOf,
} from '../../src/operator/cluster/caches.ts';
import { createTriggers } from '../../src/operator/cluster/triggers.ts';
import { createDeletionGuards } from '../../src/operator/deletion-guards.ts';
import { createFinalization } from '../../src/operator/finalization.ts';
import { gather, type Surroundings } from '../../src/operator/gather.ts';
import { endlessTerms, type Terms } from '../../src/operator/leading/terms.ts';
import { CONFIRM_MS, withClaims } from '../../src/operator/reconcile.ts';
import { createReconciler } from '../../src/operator/reconciler.ts';
import { createPropagation } from '../../src/operator/registry/propagation.ts';
import { createRegistrySet } from '../../src/operator/registry/registry-set.ts';
import { openRegistryWorker, type RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { createOutcomes } from '../../src/operator/reporting/outcomes.ts';
import { createStatuses } from '../../src/operator/reporting/statuses.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { type MemoryRegistry, openMemory } from '../../src/registries/memory.ts';
import { storeOf } from '../../src/registries/memory-store.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import { type ProcessClock, processClock } from '../faults/process-clock.ts';
import { brokenRules } from '../mirror/condition-rules.ts';
import { CLUSTER } from '../mirror/objects.ts';
import { randomOf } from '../random.ts';
import { type VirtualClock, virtualClock } from '../virtual-clock.ts';

/** SIM_TRACE=1: what happens, as it happens. */
export const trace = (clock: Clock, ...told: readonly unknown[]): void => {
  if (process.env['SIM_TRACE'] !== undefined) console.log(Math.round(clock.now()), ...told);
};

export interface Dice {
  /** Uniform in [0, 1). */
  next(): number;
  below(n: number): number;
  pick<T>(items: readonly T[]): T;
  chance(share: number): boolean;
}

export function dice(seed: number): Dice {
  const next = randomOf(seed);
  const below = (n: number) => Math.floor(next() * n);
  return {
    next,
    below,
    chance: (share) => next() < share,
    pick(items) {
      if (items.length === 0) throw new Error('there is nothing to pick from');
      return items[below(items.length)] as (typeof items)[number];
    },
  };
}

/**
 * healthy. refusing: nothing is taken, for now. losing: everything is written and every answer is lost. partial: each change fares in its
 * own way. down: no connection. deaf: writes work and lists do not. slow: everything is done and answered, seconds later.
 */
export type Weather = 'healthy' | 'refusing' | 'losing' | 'partial' | 'down' | 'deaf' | 'slow';

/** clear: hints come, a little late. blind: all are lost. noisy: some come for nothing. absent: the registry has no watch. */
export type Sight = 'clear' | 'blind' | 'noisy' | 'absent';

/** What a server held at one time. */
export interface Backup {
  readonly entries: ReadonlyMap<string, Instance>;
  readonly claims: ReadonlyMap<string, { readonly owner: string }>;
  readonly claimant: MemoryRegistry | undefined;
}

export const TTL_MS = 180_000;
const LATE_MS = 5_000;
const SLOW_MS = 6_000;
/** Four batches in flight at most, and one at a time after a while. */
const SLOW_DECISION_MS = 60_000;

/** One registry server, which outlives the operator. */
export function openServer(clock: VirtualClock, random: Dice, sight: Sight = 'clear') {
  const entries = new Map<string, Instance>();
  const store = storeOf(entries, clock);
  const watches = new Set<(error: RegistryError) => void>();
  const server = {
    entries,
    weather: 'healthy' as Weather,
    sight,
    /** Changes that were asked for, and those of them that had an effect; leases that were taken over are counted apart. */
    asked: 0,
    written: 0,
    takenOver: 0,
    lists: 0,
    /** When something was asked of it, whatever came of that. */
    requests: [] as { readonly operation: string; readonly at: number }[],
    onRemoved: (_: Instance, __: Change): void => {},
    /** The client whose writes count, since it was the last to claim. */
    claimant: undefined as MemoryRegistry | undefined,
    /** Threshold of the deletion guard; absent while removals are not counted, as after a release. */
    guarded: undefined as DeletionGuard | undefined,
    /** When entries were removed without a deletion that was seen, and the most that stood before. */
    unseen: [] as number[],
    most: 0,
    violations: [] as string[],
    /** When something last stood in the way of knowing what it holds: bad weather, meddling, a restart. */
    disturbedAt: 0,
    /** How long a decision may take until its effect, besides. */
    latenessMs: (): number => {
      if (server.weather === 'slow') server.slowAt = clock.now();
      return clock.now() - server.slowAt < SLOW_DECISION_MS ? SLOW_DECISION_MS : 0;
    },
    slowAt: Number.NEGATIVE_INFINITY,
    connect,
    /** Another client takes over all of our leases, and ends: they run out unless they are taken back. */
    async stealLeases() {
      const thief = openMemory({ entries, clock, ttlMs: TTL_MS });
      const changes = server
        .ours()
        .filter(({ liveness }) => liveness === 'leased')
        .map((instance): Change => ({ action: 'update', instance, previous: instance, reason: 'LeaseTakenOver' }));
      await thief.apply(changes, new AbortController().signal);
      await thief.close();
    },
    /** With every stranger's entry, and every claim. */
    wipe: () => restore({ entries: new Map(), claims: new Map(), claimant: undefined }),
    backup: (): Backup => ({ entries: new Map(entries), claims: new Map(store.claims), claimant: server.claimant }),
    restore,
    breakWatches() {
      for (const end of [...watches]) end(new RegistryError('unreachable', 'the watch is broken'));
    },
    /** What stands, as a client that is alive and holds all leases but those of the dead. */
    seen: (): readonly Instance[] =>
      [...store.standing().values()].map((entry) => {
        const holder = store.holderOf(entry.id);
        const lapsing = entry.liveness === 'leased' && (holder === undefined || holder.endedAt !== undefined);
        return lapsing ? { ...entry, liveness: 'lapsing' } : entry;
      }),
    ours: () => [...store.standing().values()].filter(({ marks }) => marks.cluster === CLUSTER),
  };

  function restore(backup: Backup): void {
    server.disturbedAt = clock.now();
    for (const id of [...entries.keys()]) if (!backup.entries.has(id)) entries.delete(id);
    for (const [id, entry] of backup.entries) {
      if (entries.get(id) === entry) continue;
      // Leases of a backup begin anew, and nobody keeps them.
      if (entry.liveness === 'leased') store.write(id, entry, { ttlMs: TTL_MS, endedAt: clock.now() });
      else entries.set(id, entry);
    }
    store.claims.clear();
    for (const [name, record] of backup.claims) store.claims.set(name, record);
    server.claimant = backup.claimant;
  }

  function connect(): ServiceRegistry {
    const memory = openMemory({ entries, clock, ttlMs: TTL_MS });
    return {
      ...memory,
      capabilities: { batchSize: 4, leased: true, watch: server.sight !== 'absent', kv: false, fenced: true },
      watch: (_, onHint, signal) => watch(memory, onHint, signal),
      async apply(changes, signal) {
        server.asked += changes.length;
        server.requests.push({ operation: 'apply', at: clock.now() });
        for (const { action, instance, reason } of changes)
          trace(clock, server.weather, action, instance.id, instance.service, instance.marks.registration, reason);
        await delay(signal, 'apply');
        switch (server.weather) {
          case 'down':
            throw new RegistryError('unreachable', 'there is no connection');
          case 'refusing':
            return changes.map(() => failed('rate-limited'));
          case 'losing':
            await write(memory, changes);
            throw new RegistryError('timeout', 'the answer is lost', { ambiguous: true });
          case 'partial':
            return Promise.all(changes.map((change) => one(memory, change)));
          default:
            return write(memory, changes);
        }
      },
      async list(cluster, signal) {
        server.lists++;
        server.requests.push({ operation: 'list', at: clock.now() });
        // The answer is of any moment between the question and its arrival.
        if (random.chance(0.5)) await delay(signal, 'list');
        const instances = await memory.list(cluster, signal);
        await delay(signal, 'list');
        if (server.weather === 'down' || server.weather === 'deaf') throw new RegistryError('timeout', 'no list came');
        return instances;
      },
      async claim(claim, signal) {
        await delay(signal, 'claim');
        if (server.weather === 'down') throw new RegistryError('unreachable', 'there is no connection');
        await memory.claim(claim, signal);
        if (claim.seat !== undefined) server.claimant = memory;
        await delay(signal, 'claim');
      },
      async check(signal) {
        server.requests.push({ operation: 'check', at: clock.now() });
        await delay(signal, 'check');
        if (server.weather === 'down') throw new RegistryError('unreachable', 'there is no connection');
        return memory.check(signal);
      },
    };
  }

  async function watch(memory: MemoryRegistry, onHint: () => void, signal: AbortSignal): Promise<never> {
    server.requests.push({ operation: 'watch', at: clock.now() });
    await delay(signal, 'watch');
    if (server.weather === 'down') throw new RegistryError('unreachable', 'there is no connection');
    const ending = new AbortController();
    const broken = Promise.withResolvers<never>();
    const end = (error: RegistryError) => {
      watches.delete(end);
      ending.abort();
      broken.reject(error);
    };
    watches.add(end);
    const hint = () => {
      if (ending.signal.aborted || signal.aborted || server.sight === 'blind') return;
      trace(clock, 'hint');
      onHint();
    };
    const alarm = () => {
      if (ending.signal.aborted || signal.aborted) return;
      if (server.sight === 'noisy') hint();
      clock.setTimer(1 + random.below(20_000), alarm);
    };
    alarm();
    const inner = AbortSignal.any([signal, ending.signal]);
    const watching = memory.watch({ cluster: CLUSTER }, () => clock.setTimer(random.below(500), hint), inner);
    try {
      return await Promise.race([watching, broken.promise]);
    } finally {
      watches.delete(end);
      ending.abort();
    }
  }

  /** Decisions are carried out a moment later, so the window counts a little less. */
  function countRemoval(): void {
    if (server.guarded === undefined) return;
    server.unseen.push(clock.now());
    const begin = clock.now() - server.guarded.windowSeconds * 1_000 + LATE_MS;
    const within = server.unseen.filter((at) => at > begin).length;
    if (within > limitOf(server.most, server.guarded))
      server.violations.push(`${within} entries were removed within a window without a deletion that was seen`);
  }

  async function one(memory: MemoryRegistry, change: Change): Promise<ChangeResult> {
    const fate = random.below(5);
    if (fate === 0) return failed('rate-limited');
    if (fate === 1) return failed('timeout', true);
    const [result] = await write(memory, [change]);
    return fate === 2 ? failed('timeout', true) : (result ?? failed('protocol', true));
  }

  async function write(memory: MemoryRegistry, changes: readonly Change[]): Promise<readonly ChangeResult[]> {
    const results: ChangeResult[] = [];
    for (const change of changes) {
      // Also by what goes beside it for a deletion that was seen.
      server.most = Math.max(server.most, server.ours().length);
      const before = entries.get(change.instance.id);
      results.push(...(await memory.apply([change], new AbortController().signal)));
      const after = entries.get(change.instance.id);
      if (before === after) continue;
      if (server.claimant !== memory)
        server.violations.push(`${change.instance.id} was written by one that has not claimed`);
      if (change.reason === 'LeaseTakenOver') server.takenOver++;
      else server.written++;
      if (before === undefined || after !== undefined) continue;
      server.onRemoved(before, change);
      if (change.action === 'deregister' && change.evidence !== 'ObjectDeleted') countRemoval();
    }
    return results;
  }

  /** A request that is given up may still be carried out. */
  function delay(signal: AbortSignal, operation: string): Promise<void> {
    const late = random.chance(0.5);
    return new Promise((resolve, reject) => {
      const slow = server.weather === 'slow' ? SLOW_MS : 0;
      if (slow > 0) server.slowAt = clock.now();
      clock.setTimer(1 + random.below(40) + random.below(slow), resolve);
      const giveUp = () => {
        if (late && operation === 'apply') return;
        reject(new RegistryError('aborted', `${operation} was given up`, { ambiguous: true }));
      };
      if (signal.aborted) giveUp();
      signal.addEventListener('abort', giveUp);
    });
  }

  const failed = (code: 'rate-limited' | 'timeout' | 'protocol', ambiguous = false): ChangeResult => ({
    ok: false,
    error: new RegistryError(code, 'not this time', { ambiguous }),
  });

  return server;
}

export type Server = ReturnType<typeof openServer>;

interface Kinds {
  readonly namespaces: Namespace;
  readonly services: Service;
  readonly slices: EndpointSlice;
  readonly registrations: Registration;
  readonly registries: ClusterRegistry;
}

export type Cluster = { readonly [K in keyof Kinds]: Map<string, Kinds[K]> } & {
  /** By UID of a registration: when its deletion was asked for. */
  readonly leaving: Map<string, number>;
  /** Told of every change, in order: `previous` is what stood under the key before. */
  watchers: Set<(kind: keyof Kinds, object: KubeObject | undefined, previous: KubeObject | undefined) => void>;
};

/** Registrations of both kinds are kept under their ids, everything else under its key. */
export const clusterKey = (kind: keyof Kinds, object: KubeObject): string =>
  kind === 'registrations' ? registrationId(object as Registration) : objectKey(object.metadata);

export function openCluster(): Cluster {
  return {
    namespaces: new Map(),
    services: new Map(),
    slices: new Map(),
    registrations: new Map(),
    registries: new Map(),
    leaving: new Map(),
    watchers: new Set(),
  };
}

let versions = 0;

export function put<K extends keyof Kinds>(cluster: Cluster, kind: K, object: Kinds[K]): void {
  const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++versions) } };
  const key = clusterKey(kind, stored);
  const objects = cluster[kind] as Map<string, KubeObject>;
  const previous = objects.get(key);
  objects.set(key, stored);
  for (const watcher of cluster.watchers) watcher(kind, stored, previous);
}

export function remove<K extends keyof Kinds>(cluster: Cluster, kind: K, key: string): void {
  const previous = cluster[kind].get(key);
  cluster[kind].delete(key);
  if (previous !== undefined) for (const watcher of cluster.watchers) watcher(kind, undefined, previous);
}

/** Longer than an audit and all that may follow from it. */
const CALM_MS = 130_000;

/** What a registry holds can be known: nothing disturbed it for a while. */
export const isCalm = (server: Server, now: number): boolean =>
  server.weather === 'healthy' && now - server.disturbedAt > CALM_MS;

export interface ProcessOptions {
  readonly cluster: Cluster;
  readonly servers: ReadonlyMap<string, Server>;
  readonly clock: VirtualClock;
  readonly random: Dice;
  /** Some of what exists is not in the first lists, and comes later. */
  readonly belated?: boolean;
  /** Of the process. Default: as everybody's. */
  readonly own?: ProcessClock;
  /** When it may write to the registry of this id. Absent: always. */
  readonly terms?: (registry: string) => Terms;
  /** By how much the wall clock is wrong. */
  readonly wallOffMs?: () => number;
  /** How often a live read of the cluster fails. Default: 0.2. */
  readonly unsure?: () => number;
  /** Of the client to each registry: another one is another client. */
  readonly token?: (registry: string) => string;
  /** Told of each status that is written. */
  readonly onStatus?: (id: string, status: RegistrationStatus) => void;
}

/** One run of the operator: begins with complete lists of the cluster, then sees every change in order, some a little late. */
export async function startProcess(options: ProcessOptions) {
  const { cluster, servers, random, belated = false, onStatus } = options;
  const { clock: everybodys } = options;
  const clock = options.own ?? processClock(everybodys);
  const { terms: termsOf = endlessTerms, wallOffMs = () => 0, unsure = () => 0.2, token = () => '' } = options;
  const { caches, writers } = createCaches();
  const surroundings: Surroundings = {
    cluster: CLUSTER,
    caches,
    reservedNamespaces: new Set(['kube-system']),
    isUnreadable: () => false,
  };
  const outcomes = createOutcomes();
  const propagation = createPropagation({ clock, wallNow: () => 0, observe: () => {} });
  const ending = new AbortController();
  const errors: string[] = [];
  const note = (error: unknown) => {
    if (errors.length < 3) errors.push(String(error).slice(0, 400));
  };
  const rfc3339 = () => new Date(1_780_000_000_000 + clock.now() + wallOffMs()).toISOString().replace(/\.\d+Z$/, 'Z');
  const statusWrites: string[] = [];

  const known = new Map<string, Terms>();
  const terms = (id: string): Terms => {
    const found = known.get(id) ?? termsOf(id);
    known.set(id, found);
    return found;
  };
  const leads = (id: string | undefined) => id === undefined || terms(id).current !== undefined;

  const registries = createRegistrySet({
    clock,
    signal: ending.signal,
    find: (id) => findRegistry(caches, id),
    credentials: async ({ metadata: { name } }) => ({ ok: true, secrets: { token: token(name) } }),
    create(object) {
      const server = servers.get(object.metadata.name);
      assert.ok(server);
      return heardBy(clock, server.connect());
    },
    open: openWorker,
    onChange: touchRegistry,
    onReconfigured: (worker) => reconciler.lookAtAll(worker),
    onError: (_, error) => note(error),
  });
  const guards = createDeletionGuards({
    clock,
    find: (id) => findOurs(caches, id),
    isCatchingUp: (id) => reconciler.isCatchingUp(id),
    look: (id, owner) => registries.get(id)?.worker?.queue.add(owner),
    touch: (id) => touch(id),
    onResumed: touchRegistry,
    onChange: ({ owner, held }) => trace(clock, 'held', owner, held),
    onReleased: (id, removals) => trace(clock, 'released', id, removals),
  });
  const statuses = createStatuses({
    surroundings,
    registries,
    outcomes,
    leads,
    isCatchingUp: (id) => reconciler.isCatchingUp(id),
    guards,
    unreadable: { status: () => undefined },
    now: rfc3339,
  });
  const finalization = createFinalization({
    clock,
    find: (id) => findRegistration(caches, id).object,
    isHeld: (registration) => guards.held(referencedRegistry(registration), registrationId(registration)).size > 0,
    leads: (registration) => leads(referencedRegistry(registration)),
    registryOf: (id) => ({ exists: findRegistry(caches, id) !== undefined, worker: registries.get(id)?.worker }),
    async hold(registration) {
      const object = cluster.registrations.get(registrationId(registration));
      if (object?.metadata.uid !== registration.metadata.uid || object.metadata.deletionTimestamp !== undefined) return;
      if (!object.metadata.finalizers.includes(FINALIZER))
        put(cluster, 'registrations', withFinalizers(object, [FINALIZER]));
    },
    async release(registration) {
      const object = cluster.registrations.get(registrationId(registration));
      if (object?.metadata.uid !== registration.metadata.uid) return;
      if (object.metadata.deletionTimestamp === undefined)
        return put(cluster, 'registrations', withFinalizers(object, []));
      const id = registrationId(object);
      const server = servers.get(object.spec.registryRef.name);
      const left = server?.ours().filter(({ marks }) => marks.registration === id && !marks.retained) ?? [];
      const waited = clock.now() - (cluster.leaving.get(object.metadata.uid) ?? Number.NEGATIVE_INFINITY);
      if (server !== undefined && isCalm(server, clock.now()) && waited < 60_000 && left.length > 0)
        server.violations.push(`${id} is let go before its entries are: ${left.map((one) => one.id)}`);
      remove(cluster, 'registrations', id);
    },
    onAbandoned: () => {},
    onError: (_, error) => note(error),
  });
  const marked = new Map<string, () => void>();
  const touch = (id: string) => {
    if (ending.signal.aborted) return;
    guards.heed(id);
    if (marked.has(id)) return;
    marked.set(
      id,
      clock.setTimer(1 + random.below(300), () => {
        marked.delete(id);
        writeStatus(id);
      }),
    );
  };
  const triggers = createTriggers({
    caches,
    emptied: writers.emptied,
    terminations: writers.terminations,
    propagation,
    workers: () => registries.workers(),
    touch(id) {
      touch(id);
      finalization.look(id);
    },
  });
  const absences = createAbsenceProof({
    clock,
    waitMs: CONFIRM_MS,
    async ask(kind, key) {
      if (random.chance(unsure())) return 'unknown';
      const there = kind === 'Service' ? cluster.services.has(key) : cluster.registrations.has(`${kind}/${key}`);
      return there ? 'present' : 'absent';
    },
    isCached: (kind, key) =>
      (kind === 'Service' ? caches.services.get(key) : findRegistration(caches, `${kind}/${key}`).object) !== undefined,
    onProved(kind, key) {
      if (kind === 'Service') writers.services.remove(key);
      else if (kind === 'ServiceRegistration') writers.serviceRegistrations.remove(key);
      else writers.clusterServiceRegistrations.remove(key);
    },
  });
  const reconciler = createReconciler({
    surroundings,
    registries,
    outcomes,
    propagation,
    absences,
    guards,
    touch,
    touchRegistry,
    finalize: (id) => finalization.look(id),
  });

  function touchRegistry(id: string): void {
    touch(id);
    for (const one of registrationsOf(caches, id)) {
      touch(registrationId(one));
      if (one.metadata.deletionTimestamp !== undefined) finalization.look(registrationId(one));
    }
  }

  function openWorker(object: { kind: string; metadata: { name: string } }, registry: ServiceRegistry): RegistryWorker {
    const id = `ClusterRegistry/${object.metadata.name}`;
    reconciler.startOver(id);
    const worker = openRegistryWorker({
      id,
      cluster: CLUSTER,
      registry,
      clock,
      random: random.next,
      terms: terms(id),
      claimant: { seat: 'consul', owner: () => 'uid/roster-system', adopt: () => undefined },
      auditMs: () => 60_000,
      onTerm: () => reconciler.startOver(id),
      onFenced: (_, disputed) => trace(clock, disputed ? 'disputed' : 'fenced', id),
      reconcile: (owner) => reconciler.reconcile(worker, owner),
      onListed(owners) {
        if (owners === undefined) reconciler.lookAtAll(worker);
        for (const owner of owners ?? []) worker.queue.add(owner);
        touch(id);
      },
      onLink: () => touchRegistry(id),
      onBlind: () => {},
      onWritten: () => {},
      onBatch: () => {},
      onClosed: () => {},
      timing: { onError: (_, error) => note(error) },
    });
    return worker;
  }

  /** What a status write of the operator comes to: checked, written when it differs, and seen again as an event. */
  function writeStatus(id: string): void {
    const update = statuses.desired(id);
    if (update === undefined) return;
    const isRegistry = id.startsWith('ClusterRegistry/');
    const object = isRegistry
      ? cluster.registries.get(id.slice('ClusterRegistry/'.length))
      : cluster.registrations.get(id);
    if (object === undefined || object.metadata.uid !== update.uid) return;
    // Compared with what is cached, as the status writer does it, although our last write may not have come back yet.
    if (isDeepStrictEqual(update.current, update.status)) return;
    // It has not: the server refuses a write that was decided from what is outdated.
    if (!isDeepStrictEqual(object.status, update.current)) {
      touch(id);
      return;
    }
    statusWrites.push(id);
    trace(clock, 'status', id, JSON.stringify(update.status));
    const written: KubeObject = { ...object, ...{ status: update.status } };
    assert.deepEqual(brokenRules(written, { previous: object }), [], `the status of ${id}`);
    if (isRegistry) put(cluster, 'registries', written as ClusterRegistry);
    else {
      put(cluster, 'registrations', written as Registration);
      onStatus?.(id, update.status as unknown as RegistrationStatus);
    }
  }

  const waiting: (() => void)[] = [];
  const deliver = () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next();
  };
  const watcher: Parameters<Cluster['watchers']['add']>[0] = (kind, object, previous) => {
    waiting.push(() => see(kind, object, previous));
    if (random.chance(0.5) && !clock.frozen) deliver();
    else clock.setTimer(random.below(800), () => ending.signal.aborted || deliver());
  };

  function see(kind: keyof Kinds, object: KubeObject | undefined, previous: KubeObject | undefined): void {
    const writer = writerOf(kind, (object ?? previous) as KubeObject);
    const key = objectKey(((object ?? previous) as KubeObject).metadata);
    const cached = writer.reader.get(key);
    if (object === undefined) {
      writer.remove(key);
      if (cached !== undefined) emit(kind, { type: 'deleted', object: cached });
      return;
    }
    writer.put(object);
    if (cached !== undefined && cached.metadata.uid !== object.metadata.uid) {
      emit(kind, { type: 'deleted', object: cached });
      emit(kind, { type: 'applied', object, previous: undefined });
    } else emit(kind, { type: 'applied', object, previous: cached });
  }

  function comeLate(kind: 'namespaces' | 'services', key: string): void {
    deliver();
    const object = cluster[kind].get(key);
    if (object !== undefined && writerOf(kind, object).reader.get(key) === undefined) see(kind, object, undefined);
  }

  function writerOf(kind: keyof Kinds, object: KubeObject): StoreWriter<KubeObject> {
    const kindOf = (object as { kind?: string }).kind;
    const all = {
      namespaces: writers.namespaces,
      services: writers.services,
      slices: writers.slices,
      registrations:
        kindOf === 'ServiceRegistration' ? writers.serviceRegistrations : writers.clusterServiceRegistrations,
      registries: writers.clusterRegistries,
    };
    return all[kind] as StoreWriter<KubeObject>;
  }

  function emit(kind: keyof Kinds, delta: Delta<KubeObject>): void {
    if (kind === 'namespaces') triggers.onNamespace(delta as Delta<Namespace>);
    else if (kind === 'services') triggers.onService(delta as Delta<Service>);
    else if (kind === 'slices') triggers.onSlice(delta as Delta<EndpointSlice>);
    else if (kind === 'registrations') triggers.onRegistration(delta as Delta<Registration>);
    else {
      void registries.sync(registryId(delta.object as ClusterRegistry));
      touch(registryId(delta.object as ClusterRegistry));
    }
  }

  for (const kind of ['namespaces', 'services', 'slices', 'registrations', 'registries'] as const) {
    for (const object of cluster[kind].values()) {
      const late = belated && (kind === 'namespaces' || kind === 'services') && random.chance(0.2);
      if (!late) writerOf(kind, object).put(object);
      else
        clock.setTimer(random.below(25_000), () => ending.signal.aborted || comeLate(kind, clusterKey(kind, object)));
    }
  }
  cluster.watchers.add(watcher);
  for (const id of cluster.registrations.keys()) {
    touch(id);
    finalization.look(id);
  }
  void Promise.all([...cluster.registries.values()].map((object) => registries.sync(registryId(object))));

  return {
    surroundings,
    registries,
    statuses,
    guards,
    errors,
    statusWrites: statusWrites as readonly string[],
    deliver,
    /** What was in flight may be carried out or not; nothing is deregistered. */
    async stop(gracefully: boolean): Promise<void> {
      cluster.watchers.delete(watcher);
      finalization.stop();
      for (const cancel of marked.values()) cancel();
      if (gracefully) {
        const drained = registries.drain(new AbortController().signal);
        await everybodys.advance(2_000);
        await drained;
      }
      ending.abort();
      await registries.close();
    },
  };
}

/** Answers and hints reach a process that is frozen when it goes on. */
function heardBy(own: ProcessClock, registry: ServiceRegistry): ServiceRegistry {
  const heard =
    <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      try {
        return await call(...args);
      } finally {
        await own.whenRunning();
      }
    };
  const watch = heard(registry.watch);
  return {
    ...registry,
    apply: heard(registry.apply),
    list: heard(registry.list),
    claim: heard(registry.claim),
    check: heard(registry.check),
    watch: (scope, onHint, signal) => watch(scope, () => void own.whenRunning().then(onHint), signal),
  };
}

export type Process = Awaited<ReturnType<typeof startProcess>>;

const withFinalizers = (object: Registration, finalizers: readonly string[]): Registration => {
  const metadata = { ...object.metadata, finalizers };
  return object.kind === 'ServiceRegistration'
    ? { ...object, metadata: { ...metadata, namespace: object.metadata.namespace } }
    : { ...object, metadata };
};

/** The caches of somebody who sees the cluster as it is. */
export function surroundingsOf(cluster: Cluster): Surroundings {
  const { caches, writers } = createCaches();
  for (const object of cluster.namespaces.values()) writers.namespaces.put(object);
  for (const object of cluster.services.values()) writers.services.put(object);
  for (const object of cluster.slices.values()) writers.slices.put(object);
  for (const object of cluster.registries.values()) writers.clusterRegistries.put(object);
  for (const object of cluster.registrations.values()) {
    if (object.kind === 'ServiceRegistration') writers.serviceRegistrations.put(object);
    else writers.clusterServiceRegistrations.put(object);
  }
  return { cluster: CLUSTER, caches, reservedNamespaces: new Set(['kube-system']), isUnreadable: () => false };
}

export interface Truth {
  readonly view: View;
  readonly wanted: ReturnType<typeof desired>;
  readonly plan: ReturnType<typeof planChanges>;
}

/** What should stand in a registry, and what is left to do, computed anew from what is seen and what really stands. */
export function truthOf(
  surroundings: Surroundings,
  registry: string,
  entries: Iterable<Instance>,
): ReadonlyMap<string, Truth> {
  const { caches } = surroundings;
  const object = findRegistry(caches, registry);
  if (object === undefined) return new Map();
  const ours = [...entries].filter(({ marks }) => marks.cluster === CLUSTER);
  const owners = new Set([...caches.services.all()].map(keyOf));
  for (const { marks } of ours) owners.add(marks.owner);
  for (const { metadata, spec } of caches.serviceRegistrations.by('registry', registry))
    if (spec.serviceRef) owners.add(`${metadata.namespace}/${spec.serviceRef.name}`);
  const index = createClaimIndex();
  const seen = [...owners].map((owner) =>
    gather(
      surroundings,
      object,
      owner,
      ours.filter(({ marks }) => marks.owner === owner),
    ),
  );
  for (const view of seen) withClaims(view, index, () => {});
  return new Map(
    seen.map((one) => {
      const view = withClaims(one, index, () => {});
      const wanted = desired(view, (instance) =>
        instance.service === '' ? { ok: false, message: 'no name' } : { ok: true, instance },
      );
      return [view.owner, { view, wanted, plan: planChanges(view, wanted) }];
    }),
  );
}

export const isSynced = (status: RegistrationStatus | undefined): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Synced' && status === 'True') === true;

export const newClock = virtualClock;
