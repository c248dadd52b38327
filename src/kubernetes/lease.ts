import { type Clock, pause } from '../clock.ts';
import { KubeError } from './client.ts';
import {
  type LeasePlace,
  type LeaseRecord,
  type LeaseSpec,
  leaseAt,
  microTime,
  stampOf,
  versionOf,
} from './lease-record.ts';

/** The time in which one candidate may do what only one may do. */
export interface Term {
  /** By our own clock. To be asked right before each thing that must not be done without: a process that was stopped learns late that its term is over. */
  isValid(): boolean;
  /** Aborts when the term is over. */
  readonly signal: AbortSignal;
}

export interface LeaseOptions extends LeasePlace {
  readonly clock: Clock;
  readonly random: () => number;
  readonly wallClock?: () => Date;
  /** Labels and annotations of a Lease that is made. */
  readonly metadata?: object;
  /** Name of this process, unlike that of every other. */
  readonly identity: string;
  /** How long a Lease that nobody holds is left to others first. */
  reluctanceMs?(): number;
  /** Taking Leases that nobody holds, one after the other. */
  inTurn?(take: () => Promise<void>): Promise<void>;
  onTerm(term: Term): void;
  onEnd?(why: string): void;
  /** Who holds it has changed; undefined: nobody. */
  onHolder?(holder: string | undefined): void;
  onError?(error: KubeError): void;
}

/**
 * One candidate for one Lease.
 *
 * Guarantees
 * - Of candidates whose clocks run about equally fast, two never have a valid term at once. A term is valid until `DEADLINE_MS` after the sending of the last
 *   request that renewed it; another's Lease may be taken when its record has not changed for the whole of its duration since we first saw it so. Times
 *   in the record are for people, and never compared with a clock.
 * - A record is written only over the version that was read. An answer that got lost is looked up before anything follows from it.
 * - That the API server does not answer, or answers with an error, makes nobody leader and ends no term before its time.
 *
 * Caveats
 * - A Lease is no fence: what was sent before the end of a term may arrive after it. Whoever receives it has to compare.
 * - The clock stands still while a virtual machine is paused. Somebody who deletes a Lease makes it free for candidates that have not seen it before.
 */
export interface Candidate {
  /** As last seen. */
  readonly holder: string | undefined;
  /** Renews now. `unknown`: the API server does not say. */
  confirm(): Promise<'leading' | 'lost' | 'unknown'>;
  /** Ends the term and, when the Lease is ours, tells the others that they need not wait: `release` it, or `remove` it altogether. Once it is called, nothing is taken any more. */
  leave(how: 'release' | 'remove' | 'silently', signal: AbortSignal): Promise<void>;
}

const DURATION_MS = 15_000;
const DEADLINE_MS = 10_000;
const RENEW_MS = 2_000;
const POLL_MS = 900;
const AFTER_ERROR_MS = 1_000;
const AFTER_CONFLICT_MS = 50;
const MOST_WAIT_MS = 5_000;

interface Held {
  readonly ending: AbortController;
  readonly validUntil: number;
  cancelTimer(): void;
}

export function standForLease(options: LeaseOptions): Candidate {
  const { clock, random, identity, reluctanceMs = () => 0 } = options;
  const { wallClock = () => new Date(), inTurn = (take) => take() } = options;
  const lease = leaseAt(options);
  const stopping = new AbortController();
  let held: Held | undefined;
  /** As last read or written, and when it was first seen so. Kept when the Lease is gone: its holder may still rely on it. */
  let seen: { readonly record: LeaseRecord; readonly since: number } | undefined;
  let exists = false;
  let freeSince: number | undefined;
  /** Stamps of our last write that was answered, and of one since whose answer is not known: nobody else had the Lease after what bears one of them. */
  let answered: string | undefined;
  let unanswered: string | undefined;
  let holder: string | undefined;
  let step: Promise<unknown> = Promise.resolve();

  const inOrder = <T>(run: () => Promise<T>): Promise<T> => {
    const next = step.then(run, run);
    step = next;
    return next;
  };

  function note(record: LeaseRecord): void {
    if (seen === undefined || versionOf(seen.record) !== versionOf(record)) seen = { record, since: clock.now() };
    exists = true;
    // Whatever we wrote before it stands no more, and if it ever does again, as after a restore, it counts for nothing.
    if (record.holder !== identity) answered = unanswered = undefined;
    const now = record.holder === '' ? undefined : record.holder;
    if (now === holder) return;
    holder = now;
    options.onHolder?.(now);
  }

  async function read(signal = stopping.signal): Promise<void> {
    const record = await lease.read(signal);
    if (record === undefined) exists = false;
    else note(record);
  }

  /** Over the version that was read, or as a new one. */
  async function write(spec: LeaseSpec, signal = stopping.signal): Promise<void> {
    unanswered = stampOf(spec);
    try {
      const over = exists ? seen?.record : undefined;
      note(await (over ? lease.replace(over, spec, signal) : lease.create(options.metadata ?? {}, spec, signal)));
      answered = unanswered;
    } catch (error) {
      // A refusal is an answer: nothing of it will ever stand.
      if (isRefusal(error)) unanswered = undefined;
      throw error;
    }
  }

  /** The next one of ours, over whatever stands. */
  function ourSpec(): LeaseSpec {
    const now = microTime(wallClock());
    const before = seen?.record;
    const goesOn = before?.holder === identity;
    return {
      holder: identity,
      durationMs: DURATION_MS,
      acquireTime: goesOn ? before.acquireTime : now,
      renewTime: now,
      transitions: before === undefined ? 0 : before.transitions + (goesOn ? 0 : 1),
    };
  }

  function hold(sentAt: number): void {
    const validUntil = sentAt + DEADLINE_MS;
    // It took so long that others may be about to take it: ours by the record, and nothing to rely on until it is renewed.
    if (clock.now() >= validUntil) return;
    const before = held;
    before?.cancelTimer();
    const cancelTimer = clock.setTimer(validUntil - clock.now(), () => end('it could not be renewed in time'));
    held = { ending: before?.ending ?? new AbortController(), validUntil, cancelTimer };
    freeSince = undefined;
    if (before === undefined) options.onTerm(termOf(held.ending));
  }

  const termOf = (ending: AbortController): Term => ({
    signal: ending.signal,
    isValid: () => held?.ending === ending && clock.now() < held.validUntil,
  });

  function end(why: string): void {
    if (held === undefined) return;
    const { ending, cancelTimer } = held;
    held = undefined;
    cancelTimer();
    ending.abort(new Error(`the term is over: ${why}`));
    options.onEnd?.(why);
  }

  async function renew(): Promise<number> {
    const term = held?.ending;
    if (term === undefined) return 0;
    const sentAt = clock.now();
    try {
      await write(ourSpec());
    } catch (error) {
      if (!isOutdated(error)) throw error;
      await read();
      // While it bears our name nobody else can have it: only its version moved, by others or by a write of ours that got no answer.
      if (exists && seen?.record.holder !== identity) end('somebody else holds the Lease');
      return AFTER_CONFLICT_MS;
    }
    // The answer may come after the end.
    if (held?.ending === term) hold(sentAt);
    return RENEW_MS * (0.9 + random() * 0.2);
  }

  function isFree(): boolean {
    if (seen === undefined) return true;
    if (exists && seen.record.holder === '') return true;
    return clock.now() >= seen.since + seen.record.durationMs;
  }

  async function seek(): Promise<number> {
    await read();
    const stamp = exists && seen?.record.holder === identity ? stampOf(seen.record) : undefined;
    if (stamp !== undefined && (stamp === answered || stamp === unanswered)) return take();
    if (!isFree()) {
      freeSince = undefined;
      return POLL_MS * (0.9 + random() * 0.2);
    }
    freeSince ??= clock.now();
    return takeInTurn(freeSince);
  }

  async function takeInTurn(since: number): Promise<number> {
    let waitMs = Number.NaN;
    while (Number.isNaN(waitMs)) {
      // How much we hold may change while we wait.
      await pause(clock, since + reluctanceMs() - clock.now(), stopping.signal);
      if (stopping.signal.aborted) return 0;
      await inTurn(async () => {
        if (clock.now() >= since + reluctanceMs()) waitMs = await take();
      });
    }
    return waitMs;
  }

  async function take(): Promise<number> {
    const sentAt = clock.now();
    try {
      await write(ourSpec());
    } catch (error) {
      // Another one was quicker.
      if (isOutdated(error)) return AFTER_CONFLICT_MS;
      throw error;
    }
    if (stopping.signal.aborted) return 0;
    hold(sentAt);
    return held === undefined ? AFTER_CONFLICT_MS : RENEW_MS;
  }

  async function campaign(): Promise<void> {
    while (!stopping.signal.aborted) {
      const waitMs = await inOrder(() => (held === undefined ? seek() : renew())).catch((error: unknown) => {
        const failure =
          error instanceof KubeError ? error : new KubeError(0, 'Unknown', String(error), { cause: error });
        if (!stopping.signal.aborted) options.onError?.(failure);
        return Math.min(MOST_WAIT_MS, Math.max(failure.retryAfterMs ?? 0, AFTER_ERROR_MS * (0.75 + random() * 0.5)));
      });
      await pause(clock, waitMs, stopping.signal);
    }
  }

  const campaigning = campaign();

  async function giveUp(how: 'release' | 'remove', signal: AbortSignal): Promise<void> {
    for (let tries = 0; tries < 3 && exists && !signal.aborted; tries++) {
      const record = seen?.record;
      if (record?.holder !== identity) return;
      const now = microTime(wallClock());
      const free = { holder: '', durationMs: 1_000, acquireTime: now, renewTime: now, transitions: record.transitions };
      try {
        return await (how === 'release' ? write(free, signal) : lease.remove(record, signal));
      } catch (error) {
        if (!isOutdated(error)) return;
        // A renewal whose answer we did not wait for.
        await read(signal);
      }
    }
  }

  return {
    get holder() {
      return holder;
    },
    confirm: () =>
      inOrder(async () => {
        const before = held;
        // The first answer may be that another version stands.
        for (let tries = 0; tries < 2 && held !== undefined && held === before; tries++) await renew();
        if (held === undefined) return 'lost';
        return held === before ? 'unknown' : 'leading';
      }).catch(() => 'unknown' as const),
    async leave(how, signal) {
      stopping.abort();
      await campaigning;
      end('this process gives it up');
      if (how !== 'silently') await giveUp(how, signal).catch(() => {});
    },
  };
}

const isRefusal = (error: unknown): boolean => error instanceof KubeError && error.status >= 400 && error.status < 500;

/** What was written over is not the newest version, or not there any more. */
const isOutdated = (error: unknown): boolean =>
  error instanceof KubeError && (error.status === 409 || error.status === 404);
