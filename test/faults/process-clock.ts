import type { Clock } from '../../src/clock.ts';

/** The clock of one process: once it has died, no timer of it fires any more; while it is frozen none does. */
export interface ProcessClock extends Clock {
  readonly alive: boolean;
  die(): void;
  readonly frozen: boolean;
  /** As by a signal; `suspended`: with its machine, so that for its clock no time passes. */
  freeze(how?: 'stopped' | 'suspended'): void;
  /** What was due in the meantime fires in its order, one after the other: the process finds out by and by how late it is. */
  goOn(): void;
  /** At once, unless it is frozen. */
  whenRunning(): Promise<void>;
}

const ROUNDING_MS = 0.001;

export function processClock(clock: Clock): ProcessClock {
  let alive = true;
  let frozen: { readonly at: number; readonly standsStill: boolean } | undefined;
  let behindMs = 0;
  const pending = new Set<() => void>();
  const late: (() => void)[] = [];
  const now = () => (frozen?.standsStill === true ? frozen.at : clock.now()) - behindMs;

  function setTimer(ms: number, fire: () => void): () => void {
    if (!alive) return () => {};
    const due = now() + ms;
    const run = () => {
      if (!pending.has(cancel)) return;
      if (frozen !== undefined) return void late.push(run);
      // Its clock has stood still in the meantime.
      if (due - now() > ROUNDING_MS) {
        cancelTimer = clock.setTimer(due - now(), run);
        return;
      }
      pending.delete(cancel);
      fire();
    };
    let cancelTimer = clock.setTimer(ms, run);
    const cancel = () => {
      pending.delete(cancel);
      cancelTimer();
    };
    pending.add(cancel);
    return cancel;
  }

  return {
    get alive() {
      return alive;
    },
    get frozen() {
      return frozen !== undefined;
    },
    now,
    setTimer,
    die() {
      alive = false;
      for (const cancel of pending) cancel();
      pending.clear();
    },
    freeze(how = 'stopped') {
      frozen ??= { at: clock.now(), standsStill: how === 'suspended' };
    },
    goOn() {
      if (frozen?.standsStill === true) behindMs += clock.now() - frozen.at;
      frozen = undefined;
      for (const run of late.splice(0)) clock.setTimer(0, run);
    },
    whenRunning: () => (frozen === undefined ? Promise.resolve() : new Promise((resolve) => setTimer(0, resolve))),
  };
}
