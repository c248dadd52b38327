import type { Clock } from '../../clock.ts';

/** done: forget failures. retry: run again after `afterMs`, or after the key's back-off when that is longer. */
export type RunResult = { readonly kind: 'done' } | { readonly kind: 'retry'; readonly afterMs?: number };

export interface WorkQueueOptions {
  run(key: string): Promise<RunResult>;
  readonly clock: Clock;
  /** Uniform in [0, 1): spreads retries. */
  readonly random: () => number;
  /** Runs at once, over all keys. */
  readonly concurrency: number;
  /** A key runs at most once in its window. It starts at `firstMs`, doubles with each run that follows within `calmMs` of the last, up to `maxMs`. */
  readonly window?: { readonly firstMs: number; readonly maxMs: number; readonly calmMs: number };
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number };
  /** A run that threw: a defect, since `run` answers with a result. The key is retried. */
  onError?(key: string, error: unknown): void;
  /** Each addition that was not merged into one that waits. */
  onAdd?(key: string): void;
  onTiming?(timing: {
    readonly waitedMs: number;
    readonly ranMs: number;
    readonly end: 'done' | 'retry' | 'error';
  }): void;
}

/**
 * Keys in, one run at a time for each.
 *
 * Guarantees
 * - A key added while it waits is run once; added while it runs, once more afterwards. No addition is lost.
 * - The first addition of a quiet key runs at once; a key that keeps changing runs ever more seldom, and the last addition always runs.
 * - An `urgent` addition waits for no more than the first window.
 * - A failing key backs off on its own; others are not held up by it.
 * - Paused, nothing starts; additions are kept.
 *
 * Memory: one record for each key that waits, runs, backs off or changed within `calmMs`.
 */
export interface WorkQueue {
  add(key: string, urgency?: 'normal' | 'urgent'): void;
  pause(): void;
  resume(): void;
  /** Neither waiting nor running, retries included. */
  has(key: string): boolean;
  readonly concurrency: number;
  readonly depth: number;
  readonly running: number;
  /** Milliseconds since the start of each run that has not ended. */
  unfinishedMs(): readonly number[];
  /** Resolves when no run is in progress. */
  idle(): Promise<void>;
  /** Starts nothing any more and drops what waits. */
  stop(): void;
}

interface Entry {
  phase: 'quiet' | 'delayed' | 'ready' | 'running';
  /** Added while running: run again. */
  again: 'normal' | 'urgent' | undefined;
  addedAt: number;
  startedAt: number;
  /** Of a delayed one. */
  dueAt: number;
  windowMs: number;
  failures: number;
  cancelTimer: (() => void) | undefined;
}

const WINDOW = { firstMs: 100, maxMs: 4_000, calmMs: 10_000 };
const BACKOFF = { firstMs: 500, maxMs: 60_000 };

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, concurrency, window = WINDOW, backoff = BACKOFF } = options;
  const entries = new Map<string, Entry>();
  const ready = new Set<string>();
  const idlers = new Set<() => void>();
  let running = 0;
  let paused = false;
  let stopped = false;

  function add(key: string, urgency: 'normal' | 'urgent' = 'normal'): void {
    if (stopped) return;
    const entry = entries.get(key);
    if (entry === undefined) {
      entries.set(key, {
        phase: 'quiet',
        again: undefined,
        addedAt: clock.now(),
        startedAt: Number.NEGATIVE_INFINITY,
        dueAt: Number.NEGATIVE_INFINITY,
        windowMs: window.firstMs,
        failures: 0,
        cancelTimer: undefined,
      });
      makeReady(key);
      return;
    }
    if (entry.phase === 'ready') return;
    if (entry.phase === 'running') {
      if (entry.again !== 'urgent') entry.again = urgency;
      return;
    }
    const dueAt = entry.startedAt + (urgency === 'urgent' ? window.firstMs : entry.windowMs);
    // What waits already, urgent or to be tried again, is never put off by another addition.
    if (entry.phase === 'quiet' || dueAt < entry.dueAt) schedule(key, entry, dueAt - clock.now());
  }

  function schedule(key: string, entry: Entry, delayMs: number): void {
    if (entry.phase !== 'delayed') entry.addedAt = clock.now();
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    entry.phase = 'delayed';
    entry.dueAt = clock.now() + delayMs;
    if (delayMs <= 0) makeReady(key);
    else entry.cancelTimer = clock.setTimer(delayMs, () => makeReady(key));
  }

  function makeReady(key: string): void {
    const entry = entries.get(key);
    if (entry === undefined || stopped) return;
    options.onAdd?.(key);
    entry.cancelTimer = undefined;
    entry.phase = 'ready';
    ready.add(key);
    startRuns();
  }

  function startRuns(): void {
    for (const key of ready) {
      if (paused || stopped || running >= concurrency) return;
      ready.delete(key);
      const entry = entries.get(key);
      if (entry !== undefined) start(key, entry);
    }
  }

  function start(key: string, entry: Entry): void {
    const now = clock.now();
    const calm = now - entry.startedAt >= window.calmMs;
    entry.windowMs = calm ? window.firstMs : Math.min(window.maxMs, entry.windowMs * 2);
    const waitedMs = now - entry.addedAt;
    entry.startedAt = now;
    entry.phase = 'running';
    running++;
    options
      .run(key)
      .catch((error: unknown): 'error' => {
        options.onError?.(key, error);
        return 'error';
      })
      .then((result) => {
        running--;
        options.onTiming?.({ waitedMs, ranMs: clock.now() - now, end: result === 'error' ? 'error' : result.kind });
        settle(key, entry, result === 'error' ? { kind: 'retry' } : result);
        startRuns();
        if (running === 0) for (const wake of [...idlers]) wake();
      })
      .catch((error: unknown) => options.onError?.(key, error));
  }

  function settle(key: string, entry: Entry, result: RunResult): void {
    entry.failures = result.kind === 'done' ? 0 : entry.failures + 1;
    entry.phase = 'quiet';
    if (stopped) return;
    if (entry.again !== undefined) {
      const urgency = entry.again;
      entry.again = undefined;
      add(key, urgency);
    } else if (result.kind === 'retry') {
      const ceiling = Math.min(backoff.maxMs, backoff.firstMs * 2 ** (entry.failures - 1));
      const jittered = ceiling * (0.5 + options.random() / 2);
      schedule(key, entry, Math.max(jittered, result.afterMs ?? 0));
    } else {
      // Kept for as long as the window could still matter, then forgotten.
      entry.cancelTimer = clock.setTimer(window.calmMs, () => entries.delete(key));
    }
  }

  return {
    add,
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      startRuns();
    },
    has(key) {
      const entry = entries.get(key);
      return entry !== undefined && entry.phase !== 'quiet';
    },
    concurrency,
    get depth() {
      return ready.size;
    },
    get running() {
      return running;
    },
    unfinishedMs() {
      return [...entries.values()]
        .filter(({ phase }) => phase === 'running')
        .map(({ startedAt }) => clock.now() - startedAt);
    },
    idle: () =>
      running === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            const wake = () => {
              idlers.delete(wake);
              resolve();
            };
            idlers.add(wake);
          }),
    stop() {
      stopped = true;
      ready.clear();
      for (const entry of entries.values()) entry.cancelTimer?.();
    },
  };
}
