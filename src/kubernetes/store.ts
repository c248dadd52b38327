import { type KubeObject, type ObjectKey, objectKey } from '../api/core.ts';

/** The values under which an object is found, by the name of the index. */
export type Indexes<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

/** How it is known that an object is gone: its DELETED event was seen, or its absence proved (two looks apart and a live 404). */
export type Deletion = 'seen' | 'proved';

/**
 * The cached objects of one kind, for reading.
 *
 * Guarantees: a complete list becomes visible at once, never in part. Objects are shared: never change one.
 */
export interface Store<T extends KubeObject> {
  get(key: ObjectKey): T | undefined;
  all(): Iterable<T>;
  /** Throws on an index that was not declared. */
  by(index: string, value: string): readonly T[];
  readonly size: number;
  /** True from the first complete list on. */
  readonly synced: boolean;
  /**
   * False after a first list without anything, until another one says the same or more: it may be one of a server that cannot say yet, and what came by
   * events since then only some of what exists.
   */
  readonly complete: boolean;
  /** Cached, and the last list lacked it: gone, or left out by mistake. */
  isMissing(key: ObjectKey): boolean;
  /** Rejects with the signal's reason when it aborts first. */
  whenSynced(signal: AbortSignal): Promise<void>;
  /**
   * A DELETED event or a confirmed absence was seen for this key and nothing came back since. Memory is bounded: old knowledge is
   * forgotten, and then the answer is false.
   */
  wasDeleted(key: ObjectKey): boolean;
  /** The same, and how that is known. */
  deletion(key: ObjectKey): Deletion | undefined;
  /** What a deleted object stood under in an index when it went; empty when that is not known. */
  lastUnder(index: string, key: ObjectKey): readonly string[];
}

/** Held by the reflector alone. */
export interface StoreWriter<T extends KubeObject> {
  readonly reader: Store<T>;
  put(object: T): void;
  /** Remembers the key as deleted, whether it was cached or not. */
  remove(key: ObjectKey, known?: Deletion): void;
  markSynced(): void;
  markComplete(complete: boolean): void;
  /** Until it is put or removed, or marked as listed. */
  markMissing(key: ObjectKey, missing: boolean): void;
}

const TOMBSTONES = 20_000;

interface Tombstone {
  readonly known: Deletion;
  readonly under: Readonly<Record<string, readonly string[]>>;
}

export function createStore<T extends KubeObject>(
  indexes: Indexes<T> = {},
): { readonly reader: Store<T>; readonly writer: StoreWriter<T> } {
  const objects = new Map<ObjectKey, T>();
  const indexed = new Map(Object.keys(indexes).map((name) => [name, new Map<string, Map<ObjectKey, T>>()]));
  const tombstones = new Map<ObjectKey, Tombstone>();
  const waiting = new Set<() => void>();
  const missing = new Set<ObjectKey>();
  let synced = false;
  let complete = true;

  const unindex = (key: ObjectKey, object: T) => {
    for (const [name, values] of indexed) {
      for (const value of indexes[name]?.(object) ?? []) {
        const bucket = values.get(value);
        bucket?.delete(key);
        if (bucket?.size === 0) values.delete(value);
      }
    }
  };

  const index = (key: ObjectKey, object: T) => {
    for (const [name, values] of indexed) {
      for (const value of indexes[name]?.(object) ?? []) {
        const bucket = values.get(value);
        if (bucket) bucket.set(key, object);
        else values.set(value, new Map([[key, object]]));
      }
    }
  };

  const entriesOf = (object: T) =>
    Object.fromEntries(Object.entries(indexes).map(([name, valuesOf]) => [name, valuesOf(object)]));

  const reader: Store<T> = {
    get: (key) => objects.get(key),
    all: () => objects.values(),
    by(name, value) {
      const values = indexed.get(name);
      if (!values)
        throw new Error(`there is no index "${name}": the store has ${[...indexed.keys()].join(', ') || 'none'}`);
      return [...(values.get(value)?.values() ?? [])];
    },
    get size() {
      return objects.size;
    },
    get synced() {
      return synced;
    },
    get complete() {
      return complete;
    },
    isMissing: (key) => missing.has(key),
    whenSynced(signal) {
      if (synced) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const done = () => {
          waiting.delete(done);
          signal.removeEventListener('abort', aborted);
          resolve();
        };
        const aborted = () => {
          waiting.delete(done);
          reject(signal.reason);
        };
        if (signal.aborted) return aborted();
        waiting.add(done);
        signal.addEventListener('abort', aborted, { once: true });
      });
    },
    wasDeleted: (key) => tombstones.has(key),
    deletion: (key) => tombstones.get(key)?.known,
    lastUnder: (name, key) => tombstones.get(key)?.under[name] ?? [],
  };

  const writer: StoreWriter<T> = {
    reader,
    put(object) {
      const key = objectKey(object.metadata);
      const previous = objects.get(key);
      if (previous) unindex(key, previous);
      objects.set(key, object);
      tombstones.delete(key);
      missing.delete(key);
      index(key, object);
    },
    remove(key, known = 'seen') {
      const previous = objects.get(key);
      if (previous) unindex(key, previous);
      objects.delete(key);
      missing.delete(key);
      const before = tombstones.get(key);
      tombstones.delete(key);
      // What was seen to go, or to be about to, is known better than by its absence.
      const seen = before?.known === 'seen' || previous?.metadata.deletionTimestamp !== undefined;
      tombstones.set(key, {
        known: seen ? 'seen' : known,
        under: previous ? entriesOf(previous) : (before?.under ?? {}),
      });
      if (tombstones.size > TOMBSTONES) {
        for (const oldest of tombstones.keys()) {
          tombstones.delete(oldest);
          break;
        }
      }
    },
    markSynced() {
      synced = true;
      for (const done of [...waiting]) done();
    },
    markComplete(isComplete) {
      complete = isComplete;
    },
    markMissing(key, isMissing) {
      if (isMissing) missing.add(key);
      else missing.delete(key);
    },
  };

  return { reader, writer };
}
