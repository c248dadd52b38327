import type { Clock } from '../src/clock.ts';

export interface VirtualClock extends Clock {
  /** Moves time on, firing timers in order, and lets promises settle after each. */
  advance(ms: number): Promise<void>;
}

/** `turns` of the event loop after each timer: more than one where what it sets going waits for further turns. */
export function virtualClock({ turns = 1 }: { readonly turns?: number } = {}): VirtualClock {
  let now = 0;
  let sequence = 0;
  const timers = new Map<number, { at: number; fire: () => void }>();
  const settle = async () => {
    for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  };

  const due = (until: number) =>
    [...timers].filter(([, timer]) => timer.at <= until).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];

  return {
    now: () => now,
    setTimer(ms, fire) {
      const id = ++sequence;
      timers.set(id, { at: now + Math.max(0, ms), fire });
      return () => timers.delete(id);
    },
    async advance(ms) {
      const until = now + ms;
      await settle();
      for (let next = due(until); next; next = due(until)) {
        timers.delete(next[0]);
        now = next[1].at;
        next[1].fire();
        await settle();
      }
      now = until;
      await settle();
    },
  };
}
