import type { Clock } from '../../src/clock.ts';

/** The clock of one process: once it has died, no timer of it fires any more. */
export interface ProcessClock extends Clock {
  readonly alive: boolean;
  die(): void;
}

export function processClock(clock: Clock): ProcessClock {
  let alive = true;
  const pending = new Set<() => void>();
  return {
    get alive() {
      return alive;
    },
    now: clock.now,
    setTimer(ms, fire) {
      if (!alive) return () => {};
      const cancel = clock.setTimer(ms, () => {
        pending.delete(cancel);
        fire();
      });
      pending.add(cancel);
      return () => {
        pending.delete(cancel);
        cancel();
      };
    },
    die() {
      alive = false;
      for (const cancel of pending) cancel();
      pending.clear();
    },
  };
}
