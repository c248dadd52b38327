import type { Clock } from '../../src/clock.ts';

/** The clock of one process: once it has died, no timer of it fires any more; while it is frozen none does, and time passes. */
export interface ProcessClock extends Clock {
  readonly alive: boolean;
  die(): void;
  freeze(): void;
  /** What was due in the meantime fires in its order, one after the other: the process finds out by and by how late it is. */
  goOn(): void;
}

export function processClock(clock: Clock): ProcessClock {
  let alive = true;
  let frozen = false;
  const pending = new Set<() => void>();
  const late: (() => void)[] = [];
  return {
    get alive() {
      return alive;
    },
    now: clock.now,
    setTimer(ms, fire) {
      if (!alive) return () => {};
      const run = () => {
        if (!pending.has(cancel)) return;
        if (frozen) return void late.push(run);
        pending.delete(cancel);
        fire();
      };
      const cancelTimer = clock.setTimer(ms, run);
      const cancel = () => {
        pending.delete(cancel);
        cancelTimer();
      };
      pending.add(cancel);
      return cancel;
    },
    die() {
      alive = false;
      for (const cancel of pending) cancel();
      pending.clear();
    },
    freeze() {
      frozen = true;
    },
    goOn() {
      frozen = false;
      for (const run of late.splice(0)) clock.setTimer(0, run);
    },
  };
}
