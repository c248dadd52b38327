import type { Clock } from '../clock.ts';
import type { Instance } from '../mirror/instance.ts';

/** One client of a store. Its leases last until `ttlMs` after `endedAt`. */
export interface Holder {
  readonly ttlMs: number;
  endedAt?: number;
}

/** What changed: an entry with what stood and what stands, or a key-value pair. */
export type StoreChange =
  | { readonly kind: 'entry'; readonly before: Instance | undefined; readonly after: Instance | undefined }
  | { readonly kind: 'pair'; readonly service: string; readonly key: string };

/** Called after each change, with its writer, or undefined when nobody's client made it. */
export type Listener = (change: StoreChange, writer: Holder | undefined) => void;

/** What the clients of one Memory registry share. */
export interface MemoryStore {
  /** Entries whose lease has run out are gone. */
  standing(): ReadonlyMap<string, Instance>;
  holderOf(id: string): Holder | undefined;
  /** Undefined removes it. A leased instance is held by its writer from now on. */
  write(id: string, instance: Instance | undefined, writer: Holder): void;
  /** The entries that the holder still has lapse from now on. */
  end(holder: Holder): void;
  pair(service: string, key: string): string | undefined;
  writePair(service: string, key: string, value: string | undefined, writer: Holder): void;
  /** By cluster, or cluster and seat: who claimed it last. Each claim is another object. */
  readonly claims: Map<string, { readonly owner: string }>;
  /** The returned function ends it. */
  listen(listener: Listener): () => void;
}

/** Beside the map that clients are given, so that those of one map find each other. */
const stores = new WeakMap<Map<string, Instance>, MemoryStore>();

export function storeOf(entries: Map<string, Instance>, clock: Clock): MemoryStore {
  const store = stores.get(entries) ?? createStore(entries, clock);
  stores.set(entries, store);
  return store;
}

function createStore(entries: Map<string, Instance>, clock: Clock): MemoryStore {
  const holders = new Map<string, Holder>();
  const pairs = new Map<string, string>();
  const claims = new Map<string, { readonly owner: string }>();
  const listeners = new Set<Listener>();
  let writer: Holder | undefined;
  let cancelReaping: (() => void) | undefined;

  const as = (holder: Holder, write: () => void) => {
    writer = holder;
    write();
    writer = undefined;
  };
  const tell = (change: StoreChange) => {
    for (const listener of [...listeners]) listener(change, writer);
  };

  observe(entries, (id, before, after) => {
    // Whoever writes behind the clients' backs renews no lease.
    if (writer !== undefined && after?.liveness === 'leased') holders.set(id, writer);
    else if (after?.liveness !== 'leased') holders.delete(id);
    tell({ kind: 'entry', before, after });
  });

  const lapseOf = (id: string): number => {
    const { endedAt, ttlMs } = holders.get(id) ?? NOBODY;
    return endedAt === undefined ? Number.POSITIVE_INFINITY : endedAt + ttlMs;
  };
  const reap = () => {
    for (const id of holders.keys()) if (lapseOf(id) <= clock.now()) entries.delete(id);
  };

  /** Only while somebody listens: everyone else finds out when reading, and no timer outlives the last client. */
  function scheduleReaping(): void {
    cancelReaping?.();
    cancelReaping = undefined;
    if (listeners.size === 0) return;
    const next = Math.min(...[...holders.keys()].map(lapseOf));
    if (next === Number.POSITIVE_INFINITY) return;
    cancelReaping = clock.setTimer(Math.max(0, next - clock.now()), () => {
      reap();
      scheduleReaping();
    });
  }

  return {
    standing() {
      reap();
      return entries;
    },
    holderOf: (id) => holders.get(id),
    write: (id, instance, holder) =>
      as(holder, () => void (instance === undefined ? entries.delete(id) : entries.set(id, instance))),
    end(holder) {
      holder.endedAt ??= clock.now();
      scheduleReaping();
    },
    pair: (service, key) => pairs.get(pairId(service, key)),
    writePair(service, key, value, holder) {
      const id = pairId(service, key);
      if (pairs.get(id) === value) return;
      if (value === undefined) pairs.delete(id);
      else pairs.set(id, value);
      as(holder, () => tell({ kind: 'pair', service, key }));
    },
    claims,
    listen(listener) {
      listeners.add(listener);
      scheduleReaping();
      return () => {
        listeners.delete(listener);
        scheduleReaping();
      };
    },
  };
}

const NOBODY: Holder = { ttlMs: 0 };

const pairId = (service: string, key: string): string => JSON.stringify([service, key]);

/** Sees every change of the map, those of tests that act behind the clients' backs included. */
function observe(
  entries: Map<string, Instance>,
  changed: (id: string, before: Instance | undefined, after: Instance | undefined) => void,
): void {
  const set = entries.set.bind(entries);
  const remove = entries.delete.bind(entries);
  entries.set = (id, instance) => {
    const before = entries.get(id);
    set(id, instance);
    changed(id, before, instance);
    return entries;
  };
  entries.delete = (id) => {
    const before = entries.get(id);
    if (before === undefined) return false;
    remove(id);
    changed(id, before, undefined);
    return true;
  };
  entries.clear = () => {
    for (const id of [...entries.keys()]) entries.delete(id);
  };
}
