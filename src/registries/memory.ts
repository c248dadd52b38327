import { type Clock, systemClock } from '../clock.ts';
import type { Change } from '../mirror/change.ts';
import { type Instance, sameInstance } from '../mirror/instance.ts';
import { assertClaim, fencedOff, mayReplace, ownedByAnother, recordNameOf } from './claim.ts';
import { cancelled, RegistryError } from './error.ts';
import { type Holder, storeOf } from './memory-store.ts';
import { openWatches } from './memory-watch.ts';
import type { ChangeResult, KeyValue, Normalised, ServiceRegistry } from './registry.ts';

export interface MemorySettings {
  /** Most instances it holds; without it there is no bound. */
  readonly capacity?: number;
  /** How long a leased entry outlives its writer. Default: 180 s. */
  readonly ttlMs?: number;
  /** Every entry is leased, whatever is asked for. */
  readonly leasesAll?: boolean;
  /** Of clients of one store the first one's counts. */
  readonly clock?: Clock;
  /**
   * The entries by id. Registries given the same map are several clients of one store, which outlives each of them; what else changes the map is
   * seen by their watches.
   */
  readonly entries?: Map<string, Instance>;
}

export interface MemoryRegistry extends ServiceRegistry {
  /** Everything that stands in it, whoever wrote it, by service and id. Open after `close` too. */
  snapshot(): readonly Instance[];
}

/**
 * A registry in this process. Guarantees all of {@link ServiceRegistry}; what it holds is gone with the process. A client holds its leases until it
 * is closed, and what it leased goes `ttlMs` later.
 */
export function openMemory(settings: MemorySettings = {}): MemoryRegistry {
  const { capacity = Number.POSITIVE_INFINITY, ttlMs = 180_000, leasesAll = false } = settings;
  const store = storeOf(settings.entries ?? new Map<string, Instance>(), settings.clock ?? systemClock);
  const me: Holder = { ttlMs };
  const watches = openWatches(store, me);
  const claimed = new Map<string, { readonly name: string; readonly record: { readonly owner: string } }>();
  let closed = false;

  const isFencedOff = (cluster: string): boolean =>
    claimed.has(cluster) && claimed.get(cluster)?.record !== store.claims.get(claimed.get(cluster)?.name ?? '');

  const usable = (operation: string, signal: AbortSignal) => {
    if (closed) throw new RegistryError('closed', `${operation} was called after the Memory registry was closed`);
    if (signal.aborted) throw cancelled(operation, signal);
  };

  const normalise = (instance: Instance): Normalised => {
    if (instance.service === '') return { ok: false, message: 'a service name cannot be empty' };
    if (instance.liveness === 'lapsing') return { ok: false, message: 'liveness lapsing is read, and never wanted' };
    return { ok: true, instance: { ...copy(instance), liveness: leasesAll ? 'leased' : instance.liveness } };
  };

  /** As this client sees it. */
  const seen = (instance: Instance): Instance =>
    instance.liveness === 'leased' && store.holderOf(instance.id) !== me
      ? { ...copy(instance), liveness: 'lapsing' }
      : copy(instance);

  const refusal = ({ action, instance }: Change): RegistryError | undefined => {
    const { id, marks } = instance;
    if (isFencedOff(marks.cluster)) return fencedOff('apply', marks.cluster);
    const standing = store.standing().get(id);
    const foreign = standing !== undefined && standing.marks.cluster !== marks.cluster;
    if (action === 'deregister') return undefined;
    if (foreign) {
      return new RegistryError('conflict', `an entry that is not ours stands under the id ${id}; remove it there`);
    }
    if (instance.service === '') return new RegistryError('invalid', 'a service name cannot be empty');
    if (standing === undefined && store.standing().size >= capacity) {
      return new RegistryError('too-large', `the registry holds its ${capacity} instances; raise spec.memory.capacity`);
    }
    return undefined;
  };

  const applyOne = (change: Change): ChangeResult => {
    const error = refusal(change);
    if (error !== undefined) return { ok: false, error };
    const { id, marks, liveness } = change.instance;
    const standing = store.standing().get(id);
    if (change.action === 'deregister') {
      if (standing?.marks.cluster === marks.cluster) store.write(id, undefined, me);
      return { ok: true };
    }
    // An update made of an entry that was read may still say `lapsing`: it takes the lease over.
    const wanted: Instance = { ...copy(change.instance), liveness: liveness === 'persistent' ? liveness : 'leased' };
    if (standing === undefined || !sameInstance(seen(standing), wanted)) store.write(id, wanted, me);
    return { ok: true };
  };

  const kv: KeyValue = {
    async get(service, key, signal) {
      usable('kv.get', signal);
      return store.pair(service, key);
    },
    async put(service, key, value, signal) {
      usable('kv.put', signal);
      if (service === '' || key === '') throw new RegistryError('invalid', 'a service and a key cannot be empty');
      store.writePair(service, key, value, me);
    },
    async watch(service, key, onHint, signal) {
      usable('kv.watch', signal);
      return watches.watch({ service, key }, onHint, signal);
    },
  };

  return {
    capabilities: { batchSize: 1_000, leased: true, watch: true, kv: true, fenced: true },
    normalise,
    async apply(changes, signal) {
      usable('apply', signal);
      const results = new Map<Change, ChangeResult>();
      // At full capacity a removal makes room for what is registered beside it.
      const removals = changes.filter(({ action }) => action === 'deregister');
      const others = changes.filter(({ action }) => action !== 'deregister');
      for (const change of [...removals, ...others]) results.set(change, applyOne(change));
      return changes.flatMap((change) => results.get(change) ?? []);
    },
    async list(cluster, signal) {
      usable('list', signal);
      return [...store.standing().values()].filter(({ marks }) => marks.cluster === cluster).map(seen);
    },
    async discover(service, signal) {
      usable('discover', signal);
      return [...store.standing().values()].filter((instance) => instance.service === service).map(seen);
    },
    async claim(claim, signal) {
      usable('claim', signal);
      assertClaim(claim);
      const name = recordNameOf(claim);
      const standing = store.claims.get(name)?.owner;
      if (standing !== undefined && !mayReplace(claim, standing)) throw ownedByAnother(claim, standing);
      const record = { owner: claim.owner };
      store.claims.set(name, record);
      claimed.set(claim.cluster, { name, record });
    },
    async check(signal) {
      usable('check', signal);
      for (const cluster of claimed.keys()) if (isFencedOff(cluster)) throw fencedOff('check', cluster);
      return { version: 'embedded' };
    },
    async watch(scope, onHint, signal) {
      usable('watch', signal);
      return watches.watch(scope, onHint, signal);
    },
    kv,
    async close() {
      if (closed) return;
      closed = true;
      watches.close();
      store.end(me);
    },
    snapshot: () =>
      [...store.standing().values()]
        .map(seen)
        .sort((a, b) => (a.service === b.service ? order(a.id, b.id) : order(a.service, b.service))),
  };
}

/** Callers keep what they pass and what they get: no change of theirs reaches the store. */
const copy = (instance: Instance): Instance => ({
  ...instance,
  tags: [...instance.tags],
  metadata: { ...instance.metadata },
  marks: { ...instance.marks },
});

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
