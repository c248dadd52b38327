import type { KubeObject } from '../api/core.ts';
import { type Clock, pause } from '../clock.ts';
import { confirmMissing } from './absence.ts';
import { createBackoff } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { createIntake, type Delta, type Malformed } from './intake.ts';
import { fromTransport, KubeError } from './kube-error.ts';
import { listAll } from './list.ts';
import type { Log } from './log.ts';
import type { Resource } from './resources.ts';
import type { StoreWriter } from './store.ts';
import { createTrouble } from './trouble.ts';
import { type WatchEnd, watchOnce } from './watch.ts';

export type { Delta } from './intake.ts';

export interface ReflectorTuning {
  /** Objects a page. */
  readonly pageSize?: number;
  /** Silence after which a watch counts as dead. An idle API server sends a bookmark about each minute. */
  readonly stallMs?: number;
  /** Between the two lists that must lack an object, and that must agree on a restored cluster. */
  readonly confirmMs?: number;
  /** The server ends each watch after a random time in this range. */
  readonly watchSeconds?: readonly [from: number, to: number];
  readonly backoffMs?: readonly [from: number, to: number];
}

export interface ReflectOptions<T extends KubeObject> extends ReflectorTuning {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  /** All namespaces when absent. */
  readonly namespace?: string;
  readonly writer: StoreWriter<T>;
  /** Called after the store has changed. What it throws is logged and stops nothing. */
  readonly onDelta: (delta: Delta<T>) => void;
  /** An object that cannot be read: what was cached of it stays, and its author must be told. Called at each look. */
  readonly onMalformed?: (object: Malformed) => void;
  /** A list was taken, or a watch opened again and why. */
  readonly onRead?: (what: 'list' | WatchEnd['type']) => void;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A watch that lived so long was a good one, even if nothing happened. */
const HEALTHY_MS = 10_000;

/**
 * Keeps a store equal to what the API server holds: list, watch from there, and again whatever breaks. Resolves when the signal
 * aborts, never rejects.
 *
 *   list ──taken──▶ watch ──ended──────────▶ watch from the last event
 *    ▲  ◀──refused     │ ──broke off───────▶ back off, watch from the last event
 *    └─────────────────┴─ 410, silence, a stream not to be believed, or a watch that cannot be opened again
 *
 * Guarantees: those of `createIntake`; an object that vanished while nobody watched is removed only after two complete lists without
 * it, `confirmMs` apart, and a live 404.
 */
export async function reflect<T extends KubeObject>(options: ReflectOptions<T>): Promise<void> {
  const { client, resource, namespace, writer, onDelta, clock, random, log, signal } = options;
  const {
    pageSize = 500,
    stallMs = 90_000,
    confirmMs = 30_000,
    watchSeconds = [300, 600],
    backoffMs = [500, 10_000],
  } = options;
  const backoff = createBackoff({ minMs: backoffMs[0], maxMs: backoffMs[1] }, random);
  const trouble = createTrouble({ resource, log, clock });

  const intake = createIntake({
    resource,
    writer,
    confirmMs,
    malformed(object) {
      trouble.malformed(object.key, object.message);
      options.onMalformed?.(object);
    },
    emit(deltas) {
      for (const delta of deltas) {
        try {
          onDelta(delta);
        } catch (error) {
          log.error({ resource: resource.name, error: String(error) }, 'the handler of a change failed');
        }
      }
    },
  });
  /** A list without anything may be one of a server that cannot say yet; no event would ever tell of what it left out. */
  let emptyAgainAt: number | undefined;
  const absences = confirmMissing({ client, resource, intake, clock, log, confirmMs, signal });

  const wait = (retryAfterMs = 0): Promise<void> => pause(clock, Math.max(backoff.next(), retryAfterMs), signal);

  /** Resolves when a list was taken, or the signal aborted. */
  const list = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const complete = await listAll({ client, resource, namespace, pageSize, clock, read: intake.read, signal });
        if (intake.takeList(complete) === 'taken') {
          trouble.listed();
          options.onRead?.('list');
          absences.check(complete);
          emptyAgainAt = complete.entries.length === 0 ? clock.now() + confirmMs : undefined;
          return;
        }
        trouble.olderList(complete.resourceVersion, intake.seen);
        await wait();
      } catch (error) {
        if (signal.aborted) return;
        const failure = error instanceof KubeError ? error : fromTransport(error, `list ${resource.name}`);
        trouble.failed('list', failure);
        await wait(failure.retryAfterMs);
      }
    }
  };

  /** What to do after a watch has ended. */
  const after = async (end: WatchEnd, fruitless: number): Promise<'list' | 'watch'> => {
    switch (end.type) {
      case 'aborted':
      case 'due':
        return 'list';
      case 'ended':
        if (fruitless > 0) await wait();
        return 'watch';
      case 'stalled':
      case 'distrusted':
        trouble.distrusted(end.why);
        if (fruitless > 0) await wait();
        return 'list';
      case 'failed': {
        const { status, retryAfterMs } = end.error;
        if (status === 410) {
          if (fruitless > 1) await wait();
          return 'list';
        }
        trouble.failed('watch', end.error);
        await wait(retryAfterMs);
        if (status === 429) return 'watch';
        // A server that was away may come back restored, with revisions ahead of ours: no watch would tell. 504 is how it refuses one of its future.
        const brokeOff = status === 0 || (status >= 500 && status !== 504);
        return brokeOff && fruitless === 0 ? 'watch' : 'list';
      }
    }
  };

  let next: 'list' | 'watch' = 'list';
  let fruitless = 0;
  while (!signal.aborted) {
    if (next === 'list') await list();
    if (signal.aborted) break;
    const openedAt = clock.now();
    const { end, events } = await watchOnce({
      client,
      resource,
      namespace,
      resourceVersion: intake.seen,
      timeoutSeconds: Math.round(watchSeconds[0] + random() * (watchSeconds[1] - watchSeconds[0])),
      stallMs,
      until: absences.nextListAt() ?? emptyAgainAt,
      take: intake.takeEvent,
      clock,
      signal,
    });
    const fruitful = events > 0 || clock.now() - openedAt >= HEALTHY_MS;
    fruitless = fruitful ? 0 : fruitless + 1;
    if (fruitful) backoff.reset();
    if (!signal.aborted) options.onRead?.(end.type);
    next = await after(end, fruitless);
  }
}
