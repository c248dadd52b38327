import type { Json, Kube, Target } from './kube.ts';

/** One write to the status of an object of ours. */
export interface StatusWrite {
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
  /** Milliseconds of the monotonic clock, when the watch brought it. */
  readonly at: number;
  readonly object: Json;
  /** The object as it was before this write. */
  readonly previous: Json;
}

export interface StatusRecorder {
  /** In order. */
  writes(target?: Partial<Target>): readonly StatusWrite[];
  stop(): void;
}

const KINDS = ['ServiceRegistration', 'ClusterServiceRegistration', 'Registry', 'ClusterRegistry'] as const;

/** Watches the four kinds and keeps every status that was ever written: what stands at the end of a test hides what was wrong for a second. */
export async function recordStatuses(kube: Kube): Promise<StatusRecorder> {
  const ending = new AbortController();
  const known = new Map<string, Json>();
  const writes: StatusWrite[] = [];
  await Promise.all(
    KINDS.map((kind) =>
      kube.watch(
        kind,
        (type, object) => {
          const { uid, namespace, name } = object.metadata;
          const previous = known.get(uid);
          known.set(uid, object);
          // What an object is created with, the API server's default, is nobody's write.
          if (type !== 'MODIFIED' || JSON.stringify(previous?.status) === JSON.stringify(object.status)) return;
          writes.push({ kind, namespace, name, at: performance.now(), object, previous });
        },
        ending.signal,
      ),
    ),
  );
  return {
    writes: ({ kind, namespace, name } = {}) =>
      writes.filter(
        (write) =>
          (kind === undefined || write.kind === kind) &&
          (namespace === undefined || write.namespace === namespace) &&
          (name === undefined || write.name === name),
      ),
    stop: () => ending.abort(),
  };
}
