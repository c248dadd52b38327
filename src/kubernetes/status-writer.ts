import { isFields } from '../api/metadata.ts';
import type { Clock } from '../clock.ts';
import { type Backoff, createBackoff } from './backoff.ts';
import { type KubeClient, KubeError } from './client.ts';
import { type Log, onceAMinute } from './log.ts';
import type { Resource } from './resources.ts';
import { sameJson } from './same-json.ts';

/** What the status of one object should be, and what stands there as far as we know. */
export interface StatusUpdate {
  readonly resource: Resource;
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
  /**
   * Of the cached object. With it, the write is refused when the object has changed since, and is decided anew. Without it, the status
   * of an object that was just replaced by another one of its name can stand on that one for a moment: the API server checks no UID
   * in an apply of a status.
   */
  readonly resourceVersion?: string;
  /** As cached; undefined when there is none. */
  readonly current: unknown;
  readonly status: Readonly<Record<string, unknown>>;
  /** Final as far as can be said. Otherwise the first write waits a moment, since a final one often follows at once. */
  readonly settled: boolean;
}

export interface StatusWrite {
  readonly key: string;
  readonly update: StatusUpdate;
  readonly ok: boolean;
  readonly durationMs: number;
}

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when a write is due, so it sees the newest state. undefined: nothing to say about this key. */
  readonly desired: (key: string) => StatusUpdate | undefined;
  /** Least time between two writes of one key. */
  readonly minIntervalMs?: number;
  readonly settleMs?: number;
  readonly onWrite?: (write: StatusWrite) => void;
  readonly random?: () => number;
}

/**
 * Writes statuses by server-side apply of `/status`, as the only writer of those fields.
 *
 * Guarantees: what stands there already is not written again; the first change of a quiet key goes out at once, then at most one write
 * in `minIntervalMs`, and the last state always lands; never creates an object. For objects replaced by others of their name see
 * `StatusUpdate.resourceVersion`.
 */
export interface StatusWriter {
  mark(key: string): void;
  /** Writes what is pending now, without the spacing. Resolves when all of it has landed, or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  /** Keys marked and not yet known to be right. */
  readonly pending: number;
  stop(): void;
}

const FIELD_MANAGER = 'roster';

const PARALLEL = 8;
const RETRY = { minMs: 500, maxMs: 30_000 };
/** The cache is a few milliseconds behind, as a rule of what we have just written ourselves. */
const AFTER_CONFLICT = { minMs: 50, maxMs: 5_000 };

interface Slot {
  marked: boolean;
  writing: boolean;
  queued: boolean;
  /** Clock times before which nothing is written: for the spacing, until it settles, and after a failure. */
  spacedUntil: number;
  settlesAt: number;
  retryAt: number;
  backoff: Backoff | undefined;
  cancel: (() => void) | undefined;
}

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { client, clock, log, desired, minIntervalMs = 5000, settleMs = 150, onWrite, random = Math.random } = options;
  const slots = new Map<string, Slot>();
  const unsettled = new Set<string>();
  const due = onceAMinute(clock);
  const ready: string[] = [];
  const stopping = new AbortController();
  const idle = new Set<() => void>();
  let active = 0;
  let draining = false;

  const dueAt = (slot: Slot) => (draining ? slot.retryAt : Math.max(slot.spacedUntil, slot.settlesAt, slot.retryAt));

  /** One timer for each slot: it runs what is marked when its time has come, and forgets the slot when nothing is. */
  const schedule = (key: string, slot: Slot) => {
    slot.cancel?.();
    slot.cancel = undefined;
    if (slot.writing || slot.queued || stopping.signal.aborted) return;
    slot.cancel = clock.setTimer(Math.max(0, dueAt(slot) - clock.now()), () => {
      slot.cancel = undefined;
      if (!slot.marked) {
        slots.delete(key);
        return;
      }
      slot.queued = true;
      ready.push(key);
      pump();
    });
  };

  const pump = () => {
    while (active < PARALLEL) {
      const key = ready.shift();
      if (key === undefined) return;
      const slot = slots.get(key);
      if (!slot) continue;
      active++;
      run(key, slot)
        .catch((error: unknown) => log.error({ key, error: String(error) }, 'a status could not be computed'))
        .finally(() => {
          active--;
          slot.writing = false;
          schedule(key, slot);
          pump();
          if (!slot.marked) unsettled.delete(key);
          if (unsettled.size === 0) for (const done of [...idle]) done();
        });
    }
  };

  const run = async (key: string, slot: Slot): Promise<void> => {
    slot.queued = false;
    slot.writing = true;
    slot.marked = false;
    const update = desired(key);
    if (update === undefined || sameJson(update.current, update.status)) {
      slot.settlesAt = 0;
      return;
    }
    if (!update.settled && !draining && slot.settlesAt === 0) {
      slot.marked = true;
      slot.settlesAt = clock.now() + settleMs;
      return;
    }
    slot.settlesAt = 0;
    const startedAt = clock.now();
    const failure = await write(update);
    if (stopping.signal.aborted) return;
    onWrite?.({ key, update, ok: failure === undefined, durationMs: clock.now() - startedAt });
    const refused = failure !== undefined && failure.status >= 400 && failure.status < 500;
    if (!refused) slot.spacedUntil = startedAt + minIntervalMs;
    if (failure === undefined) {
      slot.backoff = undefined;
      slot.retryAt = 0;
    } else if (isLasting(failure)) {
      explain(update, failure);
    } else {
      slot.marked = true;
      slot.backoff ??= createBackoff(failure.status === 409 ? AFTER_CONFLICT : RETRY, random);
      slot.retryAt = clock.now() + Math.max(slot.backoff.next(), failure.retryAfterMs ?? 0);
      explain(update, failure);
    }
  };

  const write = async (update: StatusUpdate): Promise<KubeError | undefined> => {
    const { resource, namespace, name, uid, resourceVersion, status } = update;
    try {
      const written = await client.request({
        method: 'PATCH',
        path: `${resource.objectPath(namespace, name)}/status`,
        query: { fieldManager: FIELD_MANAGER, force: 'true' },
        contentType: 'application/apply-patch+yaml',
        body: {
          apiVersion: resource.apiVersion,
          kind: resource.kind,
          metadata: {
            name,
            ...(namespace === undefined ? {} : { namespace }),
            uid,
            ...(resourceVersion === undefined ? {} : { resourceVersion }),
          },
          status,
        },
        signal: stopping.signal,
      });
      const replaced = uidOf(written) !== uid;
      return replaced
        ? new KubeError(409, 'Conflict', `${name} is another object by now, with the same name`)
        : undefined;
    } catch (error) {
      return error instanceof KubeError ? error : new KubeError(0, 'Unknown', String(error));
    }
  };

  const explain = ({ resource, namespace, name }: StatusUpdate, error: KubeError) => {
    const fields = { resource: resource.name, namespace, name, status: error.status, error: error.message };
    if (error.status === 404) log.debug(fields, 'the object of a status is not there, deciding anew');
    else if (error.status === 409) log.debug(fields, 'the object of a status has changed, deciding anew');
    else if (isLasting(error)) log.error(fields, 'the API server refuses a status');
    else if (!due(`${resource.name} ${error.status}`)) log.debug(fields, 'a status could not be written, trying again');
    else if (error.status === 403)
      log.warn(fields, `not allowed to write a status: grant the verb patch on ${resource.name}/status`);
    else log.warn(fields, 'a status could not be written, trying again');
  };

  return {
    mark(key) {
      if (stopping.signal.aborted) return;
      const known = slots.get(key);
      const slot: Slot = known ?? {
        marked: false,
        writing: false,
        queued: false,
        spacedUntil: 0,
        settlesAt: 0,
        retryAt: 0,
        backoff: undefined,
        cancel: undefined,
      };
      if (slot.marked) return;
      slot.marked = true;
      unsettled.add(key);
      if (!known) slots.set(key, slot);
      if (!slot.cancel) schedule(key, slot);
    },
    async drain(signal) {
      draining = true;
      for (const [key, slot] of slots) if (slot.marked) schedule(key, slot);
      if (unsettled.size > 0) {
        await new Promise<void>((resolve) => {
          const done = () => {
            idle.delete(done);
            signal.removeEventListener('abort', done);
            resolve();
          };
          if (signal.aborted) return resolve();
          idle.add(done);
          signal.addEventListener('abort', done, { once: true });
        });
      }
      draining = false;
    },
    get pending() {
      return unsettled.size;
    },
    stop() {
      stopping.abort();
      for (const slot of slots.values()) slot.cancel?.();
      slots.clear();
      unsettled.clear();
      for (const done of [...idle]) done();
      ready.length = 0;
    },
  };
}

function uidOf(object: unknown): unknown {
  return isFields(object) && isFields(object['metadata']) ? object['metadata']['uid'] : undefined;
}

/**
 * Trying the same again cannot help: the status breaks its schema. Not so a 404: an API server that has just started answers it for kinds
 * that it does not serve yet, and for an object that is gone there is soon nothing to say any more.
 */
const isLasting = ({ status }: KubeError): boolean => status === 400 || status === 422;
