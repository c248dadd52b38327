import { type KubeObject, type ObjectKey, objectKey } from '../api/core.ts';
import { isFields } from '../api/metadata.ts';
import { MalformedObject } from './fields.ts';
import { compareResourceVersions, isResourceVersion, newest } from './resource-version.ts';
import type { Resource } from './resources.ts';
import type { Deletion, StoreWriter } from './store.ts';

/** What happened to one object of the cache. `deleted` carries it as it was cached last. */
export type Delta<T> =
  | { readonly type: 'applied'; readonly object: T; readonly previous: T | undefined }
  | { readonly type: 'deleted'; readonly object: T };

/** One object of an answer: enough to place it, and what became of reading it. */
export interface Entry<T> {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly read:
    | { readonly object: T }
    | { readonly ignored: true }
    | { readonly malformed: string; readonly generation: number };
}

/** A list of which every page has come, from a quorum read. Times are of the clock, in ms. */
export interface CompleteList<T> {
  readonly resourceVersion: string;
  readonly entries: readonly Entry<T>[];
  readonly startedAt: number;
  readonly finishedAt: number;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: unknown }
  | { readonly type: 'BOOKMARK'; readonly object: unknown };

/** An object that is cached and that a list lacks. */
export interface Missing {
  readonly key: ObjectKey;
  readonly uid: string;
}

/** `distrusted`: the stream contradicts what was seen before, so the cache must be compared with a new list. */
export type Taken = { readonly ok: true } | { readonly ok: false; readonly distrusted: string };

/** Well enough formed to be told apart and answered, not to be read. */
export interface Malformed {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly generation: number;
  readonly message: string;
}

export interface IntakeOptions<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly writer: StoreWriter<T>;
  readonly emit: (deltas: readonly Delta<T>[]) => void;
  readonly malformed: (object: Malformed) => void;
  /** Two lists must be at least so far apart before they count as two. */
  readonly confirmMs: number;
}

/**
 * Decides what of the server's answers is believed, and writes it to the store.
 *
 * Guarantees
 * - The newest version wins: no answer replaces an object by an older one of itself.
 * - One name, two UIDs: the old object was deleted and another one made.
 * - A list shows what exists, never what does not: objects that it lacks stay cached and are `missing` until their absence is confirmed.
 * - What a list shows again, or is the first list to show beside events, is told again although it did not change: it was doubtful, and is no more.
 * - A list older than what was already seen, or with an object older than it is cached, is refused, until a second such one, `confirmMs` later, shows that
 *   the cluster was restored.
 * - Readers see all of a list at once, and deltas come after that.
 */
export function createIntake<T extends KubeObject>(options: IntakeOptions<T>) {
  const { resource, writer, emit, malformed, confirmMs } = options;
  const store = writer.reader;
  const missing = new Map<ObjectKey, { readonly uid: string; readonly since: number }>();
  let seen = '';
  /** When the first list came, which was without anything; nothing has come by events either. */
  let emptySince: number | undefined;
  let older: { readonly resourceVersion: string; readonly at: number } | undefined;

  const put = (object: T, previous: T | undefined): readonly Delta<T>[] => {
    writer.put(object);
    if (previous === undefined || previous.metadata.uid === object.metadata.uid)
      return [{ type: 'applied', object, previous }];
    return [
      { type: 'deleted', object: previous },
      { type: 'applied', object, previous: undefined },
    ];
  };

  const remove = (key: ObjectKey, known: Deletion = 'seen'): readonly Delta<T>[] => {
    const object = store.get(key);
    missing.delete(key);
    writer.remove(key, known);
    return object === undefined ? [] : [{ type: 'deleted', object }];
  };

  const replace = (entry: Entry<T>): readonly Delta<T>[] => {
    missing.delete(entry.key);
    if ('object' in entry.read) return put(entry.read.object, store.get(entry.key));
    if ('malformed' in entry.read) {
      malformed({ key: entry.key, uid: entry.uid, generation: entry.read.generation, message: entry.read.malformed });
      return [];
    }
    return store.get(entry.key) === undefined ? [] : remove(entry.key);
  };

  return {
    /** The resource version from which a watch goes on; "" before the first list. */
    get seen() {
      return seen;
    },

    read: (raw: unknown): Entry<T> => readEntry(resource, raw),

    takeList(list: CompleteList<T>): 'taken' | 'older' {
      const rewound =
        seen !== '' &&
        (compareResourceVersions(list.resourceVersion, seen) < 0 || list.entries.some(isOlderThanCached));
      if (rewound && !confirmsRestore(older, list, confirmMs)) {
        if (older === undefined || compareResourceVersions(list.resourceVersion, older.resourceVersion) < 0) {
          older = { resourceVersion: list.resourceVersion, at: list.finishedAt };
        }
        return 'older';
      }
      older = undefined;
      seen = list.resourceVersion;

      const doubted = !store.complete;
      if (!store.synced || doubted) writer.markComplete(list.entries.length > 0 || confirmsEmptiness(list));

      const deltas: Delta<T>[] = [];
      const present = new Set<ObjectKey>();
      for (const entry of list.entries) {
        present.add(entry.key);
        const isBack = missing.delete(entry.key);
        writer.markMissing(entry.key, false);
        const object = store.get(entry.key);
        const age =
          object === undefined ? 1 : compareResourceVersions(entry.resourceVersion, object.metadata.resourceVersion);
        // Versions of the time before a restore say nothing about those after it.
        if (age > 0 || rewound) deltas.push(...replace(entry));
        else if (object !== undefined && (isBack || doubted))
          deltas.push({ type: 'applied', object, previous: object });
      }
      for (const object of store.all()) {
        const key = objectKey(object.metadata);
        const { uid } = object.metadata;
        if (present.has(key)) continue;
        if (missing.get(key)?.uid !== uid) missing.set(key, { uid, since: list.finishedAt });
        writer.markMissing(key, true);
      }
      for (const key of missing.keys()) if (store.get(key) === undefined) missing.delete(key);
      writer.markSynced();
      emit(deltas);
      return 'taken';
    },

    takeEvent(event: WatchEvent): Taken {
      if (event.type === 'BOOKMARK') return takeBookmark(event.object);
      let entry: Entry<T>;
      try {
        entry = readEntry(resource, event.object);
      } catch (error) {
        return { ok: false, distrusted: error instanceof Error ? error.message : 'an object cannot be read' };
      }
      const cached = store.get(entry.key)?.metadata;
      const age = cached === undefined ? 1 : compareResourceVersions(entry.resourceVersion, cached.resourceVersion);
      if (age < 0) return { ok: true };
      if (event.type === 'DELETED') return takeDeletion(entry, cached?.uid);
      if (age === 0) return { ok: true };
      if (compareResourceVersions(entry.resourceVersion, seen) <= 0) return wentBack(entry.resourceVersion);
      seen = entry.resourceVersion;
      emit(replace(entry));
      return { ok: true };
    },

    /** When the next list can confirm an absence; undefined when nothing is missing. */
    get confirmAt(): number | undefined {
      let earliest: number | undefined;
      for (const { since } of missing.values()) earliest = Math.min(earliest ?? since, since);
      return earliest === undefined ? undefined : earliest + confirmMs;
    },

    /** What two lists lack, the second of them started at `listStartedAt`. */
    twiceMissing(listStartedAt: number): readonly Missing[] {
      return [...missing]
        .filter(([, { since }]) => since + confirmMs <= listStartedAt)
        .map(([key, { uid }]) => ({ key, uid }));
    },

    /** After a live 404; false when the object came back or was replaced since it was found missing. */
    takeAbsence({ key, uid }: Missing): boolean {
      if (missing.get(key)?.uid !== uid || store.get(key)?.metadata.uid !== uid) return false;
      emit(remove(key, 'proved'));
      return true;
    },
  };

  /**
   * The revisions of a restored etcd may be ahead of all that was seen, because of its own writes or of `--bump-revision`; those of its objects are not.
   * Within one history no list as new as the cache can show an object older than there.
   */
  function isOlderThanCached({ key, uid, resourceVersion }: Entry<T>): boolean {
    const cached = store.get(key)?.metadata;
    if (cached === undefined) return false;
    const age = compareResourceVersions(resourceVersion, cached.resourceVersion);
    return age < 0 || (age === 0 && uid !== cached.uid);
  }

  function confirmsEmptiness({ startedAt, finishedAt }: CompleteList<T>): boolean {
    if (store.size > 0) return false;
    emptySince ??= finishedAt;
    return startedAt - emptySince >= confirmMs;
  }

  function takeBookmark(object: unknown): Taken {
    const metadata = isFields(object) && isFields(object['metadata']) ? object['metadata'] : {};
    const resourceVersion = metadata['resourceVersion'];
    if (!isResourceVersion(resourceVersion)) return { ok: false, distrusted: 'a bookmark has no resource version' };
    if (compareResourceVersions(resourceVersion, seen) < 0) return wentBack(resourceVersion);
    seen = resourceVersion;
    return { ok: true };
  }

  function takeDeletion(entry: Entry<T>, cachedUid: string | undefined): Taken {
    if (cachedUid !== undefined && cachedUid !== entry.uid) {
      return { ok: false, distrusted: `${entry.key} was deleted under a UID that was never seen` };
    }
    if (cachedUid === undefined && compareResourceVersions(entry.resourceVersion, seen) <= 0)
      return wentBack(entry.resourceVersion);
    seen = newest(seen, entry.resourceVersion);
    emit(remove(entry.key));
    return { ok: true };
  }

  function wentBack(resourceVersion: string): Taken {
    return { ok: false, distrusted: `the watch went back to resource version ${resourceVersion} after ${seen}` };
  }
}

export type Intake<T extends KubeObject> = ReturnType<typeof createIntake<T>>;

/** Throws {@link MalformedObject} when the object cannot even be placed. */
function readEntry<T extends KubeObject>(resource: Resource<T>, raw: unknown): Entry<T> {
  const metadata = isFields(raw) ? raw['metadata'] : undefined;
  if (!isFields(metadata)) throw new MalformedObject('an object has no metadata');
  const { name, namespace, uid, resourceVersion, generation } = metadata;
  if (typeof name !== 'string' || typeof uid !== 'string' || !isResourceVersion(resourceVersion)) {
    throw new MalformedObject('an object lacks its name, UID or resource version');
  }
  const key = objectKey(typeof namespace === 'string' && namespace !== '' ? { namespace, name } : { name });
  try {
    const object = resource.parse(raw);
    return { key, uid, resourceVersion, read: object === undefined ? { ignored: true } : { object } };
  } catch (error) {
    if (!(error instanceof MalformedObject)) throw error;
    return {
      key,
      uid,
      resourceVersion,
      read: { malformed: error.message, generation: typeof generation === 'number' ? generation : 0 },
    };
  }
}

function confirmsRestore(
  older: { readonly resourceVersion: string; readonly at: number } | undefined,
  list: { readonly resourceVersion: string; readonly startedAt: number },
  confirmMs: number,
): boolean {
  return (
    older !== undefined &&
    list.startedAt - older.at >= confirmMs &&
    compareResourceVersions(list.resourceVersion, older.resourceVersion) >= 0
  );
}
