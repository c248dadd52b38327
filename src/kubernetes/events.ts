import { randomBytes } from 'node:crypto';
import { type Clock, pause } from '../clock.ts';
import { type KubeClient, KubeError } from './client.ts';
import type { Log } from './log.ts';
import type { ObjectTarget } from './resources.ts';

export type EventType = 'Normal' | 'Warning';

/**
 * Kubernetes Events about objects, for `kubectl describe` and `kubectl get events`.
 *
 * Guarantees: `record` neither blocks nor throws. The same event again within some minutes counts up one Event instead of making
 * another. What cannot be written is dropped: Events are a courtesy, the status is the truth.
 */
export interface EventRecorder {
  /** `reason` is one CamelCase word, `message` a sentence without secrets. */
  record(target: ObjectTarget, type: EventType, reason: string, message: string): void;
  /** Resolves when everything recorded so far was written or dropped, or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Name of this process among its replicas: the Pod's, say. */
  readonly instance: string;
  /** For the times that people read in the Event. */
  readonly wallClock?: () => Date;
}

const CONTROLLER = 'roster.dev/operator';

/** An Event that was not repeated for so long is over; the next one is a new Event, as in client-go. */
const SERIES_MS = 360_000;
/** A series is written at its first repetition and then this often. */
const REWRITE_MS = 30_000;
const MOST_SERIES = 1000;
const MOST_QUEUED = 1000;
const ATTEMPTS = 4;
const RETRY_MS = 1000;
/** In bytes. */
const LONGEST_NOTE = 1024;

interface Series {
  readonly path: string;
  readonly name: string;
  readonly body: object;
  created: boolean;
  count: number;
  lastAt: number;
  lastTime: string;
  writtenAt: number;
  queued: boolean;
  cancel: (() => void) | undefined;
}

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, clock, log, instance, wallClock = () => new Date() } = options;
  const known = new Map<string, Series>();
  const queue: Series[] = [];
  const idle = new Set<() => void>();
  let ending: AbortSignal | undefined;
  let working = false;
  let dropped = 0;

  const enqueue = (series: Series) => {
    if (series.queued) return;
    if (queue.length >= MOST_QUEUED) {
      dropped++;
      return;
    }
    series.queued = true;
    queue.push(series);
    if (!working) {
      working = true;
      work()
        .catch((error: unknown) => log.warn({ error: String(error) }, 'events could not be written'))
        .finally(() => {
          working = false;
          for (const done of [...idle]) done();
        });
    }
  };

  const work = async (): Promise<void> => {
    for (let series = queue.shift(); series; series = queue.shift()) {
      series.queued = false;
      await write(series);
      if (dropped > 0 && queue.length === 0) {
        log.warn({ dropped }, 'more events than could be written: some were dropped');
        dropped = 0;
      }
    }
  };

  const write = async (series: Series): Promise<void> => {
    const signal = ending ?? new AbortController().signal;
    for (let attempt = 1; attempt <= ATTEMPTS && !signal.aborted; attempt++) {
      try {
        await send(series, signal);
        return;
      } catch (error) {
        const later = error instanceof KubeError && (error.status === 0 || error.status === 429 || error.status >= 500);
        if (!later || attempt === ATTEMPTS) {
          log.debug({ event: series.name, error: String(error) }, 'an event was not written');
          return;
        }
        await pause(clock, (error.retryAfterMs ?? 0) + RETRY_MS * attempt, signal);
      }
    }
  };

  const send = async (series: Series, signal: AbortSignal): Promise<void> => {
    const { path, name, count, lastTime } = series;
    series.writtenAt = clock.now();
    const repeated = count > 1 ? { series: { count, lastObservedTime: lastTime } } : {};
    if (series.created) {
      const contentType = 'application/merge-patch+json';
      try {
        await client.request({ method: 'PATCH', path: `${path}/${name}`, contentType, body: repeated, signal });
        return;
      } catch (error) {
        // The server deletes Events after an hour or so: this one is told anew.
        if (!(error instanceof KubeError && error.status === 404)) throw error;
      }
    }
    try {
      await client.request({ method: 'POST', path, body: { ...series.body, ...repeated }, signal });
    } catch (error) {
      // Our own name already: an earlier attempt got there, only its answer was lost.
      if (!(error instanceof KubeError && error.status === 409)) throw error;
    }
    series.created = true;
  };

  const repeat = (series: Series) => {
    series.count++;
    series.lastAt = clock.now();
    series.lastTime = microTime(wallClock());
    const wait = series.count === 2 ? 0 : series.writtenAt + REWRITE_MS - clock.now();
    if (wait <= 0) {
      enqueue(series);
    } else {
      series.cancel ??= clock.setTimer(wait, () => {
        series.cancel = undefined;
        enqueue(series);
      });
    }
  };

  const forget = () => {
    for (const [key, { lastAt, cancel }] of known) {
      if (known.size < MOST_SERIES && clock.now() - lastAt < SERIES_MS) return;
      cancel?.();
      known.delete(key);
    }
  };

  return {
    record(target, type, reason, message) {
      try {
        const note = noteOf(message);
        const key = JSON.stringify([target.uid, type, reason, note]);
        const series = known.get(key);
        if (series && clock.now() - series.lastAt < SERIES_MS) {
          // To the end of the map, so that the oldest stand first.
          known.delete(key);
          known.set(key, series);
          repeat(series);
          return;
        }
        forget();
        const fresh = newSeries({
          target,
          type,
          reason,
          note,
          instance,
          time: microTime(wallClock()),
          at: clock.now(),
        });
        known.set(key, fresh);
        enqueue(fresh);
      } catch (error) {
        log.warn({ error: String(error) }, 'an event could not be recorded');
      }
    },
    async drain(signal) {
      ending = signal;
      for (const series of known.values()) {
        if (!series.cancel) continue;
        series.cancel();
        series.cancel = undefined;
        enqueue(series);
      }
      if (!working || signal.aborted) return;
      await new Promise<void>((resolve) => {
        const done = () => {
          idle.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        idle.add(done);
        signal.addEventListener('abort', done, { once: true });
      });
    },
  };
}

interface Occurrence {
  readonly target: ObjectTarget;
  readonly type: EventType;
  readonly reason: string;
  readonly note: string;
  readonly instance: string;
  readonly time: string;
  readonly at: number;
}

function newSeries({ target, type, reason, note, instance, time, at }: Occurrence): Series {
  const { resource, namespace, name: object, uid } = target;
  // Events about objects without a namespace live in "default".
  const eventNamespace = namespace ?? 'default';
  const name = `${object.slice(0, 230).replace(/[-.]+$/, '')}.${randomBytes(8).toString('hex')}`;
  return {
    path: `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(eventNamespace)}/events`,
    name,
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace: eventNamespace },
      eventTime: time,
      reportingController: CONTROLLER,
      reportingInstance: instance.slice(0, 128),
      action: reason,
      reason,
      type,
      note,
      regarding: {
        apiVersion: resource.apiVersion,
        kind: resource.kind,
        ...(namespace === undefined ? {} : { namespace }),
        name: object,
        uid,
      },
    },
    created: false,
    count: 1,
    lastAt: at,
    lastTime: time,
    writtenAt: at,
    queued: false,
    cancel: undefined,
  };
}

function noteOf(message: string): string {
  if (Buffer.byteLength(message) <= LONGEST_NOTE) return message;
  const cut = Buffer.from(message).subarray(0, LONGEST_NOTE - Buffer.byteLength('…'));
  // A character that was cut in two comes out as one or more of these.
  return `${cut.toString('utf8').replace(/\uFFFD+$/, '')}…`;
}

/** MicroTime of the API: six decimals, no fewer. */
const microTime = (date: Date): string => date.toISOString().replace('Z', '000Z');
