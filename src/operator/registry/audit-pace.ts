import type { Clock } from '../../clock.ts';

export interface AuditPaceOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  intervalMs(): number;
}

export interface Found {
  /** Somebody else changed what we knew. Undefined: there was nothing to compare with. */
  readonly drift: boolean | undefined;
  /** Something was written while it was under way, of which this list says nothing. */
  readonly gaps: boolean;
}

/**
 * When a registry is listed next: after its audit interval, or sooner for a hint that something changed.
 *
 * Guarantees
 * - A hint that came after the last list was begun is answered by a list, whatever else happens.
 * - Lists for hints begin a second or more after the list before. Each that finds nothing doubles this, up to the audit interval; one that finds
 *   something, and an interval without a hint, make it a second again.
 */
export interface AuditPace {
  hint(): void;
  /** Whoever waits goes on now. */
  hurry(): void;
  /** Call before a list is asked for, and the returned function when it has come. */
  beginList(): (found: Found) => void;
  /** Resolves when the next list is due. */
  due(): Promise<void>;
}

const LEAST_GAP_MS = 1_000;

export function createAuditPace({ clock, random, signal, intervalMs }: AuditPaceOptions): AuditPace {
  let hinted = false;
  let gapMs = LEAST_GAP_MS;
  let reschedule = () => {};
  let hurry = () => {};

  return {
    hint() {
      hinted = true;
      reschedule();
    },
    hurry: () => hurry(),
    beginList() {
      const forHint = hinted;
      hinted = false;
      return ({ drift, gaps }) => {
        if (gaps && forHint) hinted = true;
        if (drift === true || !forHint) gapMs = LEAST_GAP_MS;
        else if (drift === false) gapMs = Math.min(gapMs * 2, Math.max(LEAST_GAP_MS, intervalMs()));
      };
    },
    due() {
      if (signal.aborted) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      const listedAt = clock.now();
      // Jitter keeps many registries, and many operators, from listing in step.
      const auditAt = listedAt + intervalMs() * (0.9 + random() * 0.1);
      let cancel = () => {};
      const done = () => {
        cancel();
        signal.removeEventListener('abort', done);
        reschedule = () => {};
        hurry = () => {};
        resolve();
      };
      reschedule = () => {
        cancel();
        const at = hinted ? Math.min(auditAt, listedAt + gapMs) : auditAt;
        cancel = clock.setTimer(Math.max(0, at - clock.now()), done);
      };
      hurry = done;
      signal.addEventListener('abort', done, { once: true });
      reschedule();
      return promise;
    },
  };
}
