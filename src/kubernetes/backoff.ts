export interface Backoff {
  /** The next delay in milliseconds. */
  next(): number;
  reset(): void;
}

export interface BackoffRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Decorrelated jitter: each delay is drawn between the least one and three times the last. Many clients that lost the same server
 * spread out, and none waits in step with another.
 */
export function createBackoff({ minMs, maxMs }: BackoffRange, random: () => number): Backoff {
  let last = minMs;
  return {
    next() {
      last = Math.min(maxMs, minMs + random() * (last * 3 - minMs));
      return last;
    },
    reset() {
      last = minMs;
    },
  };
}
