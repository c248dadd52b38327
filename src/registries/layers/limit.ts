import type { Clock } from '../../clock.ts';
import { RegistryError } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';
import { createWindow } from '../window.ts';
import { around, isWatch } from './around.ts';

export interface LimitOptions {
  readonly clock: Clock;
  /** Calls in flight at once while the registry is quick. */
  readonly maxInFlight: number;
}

/**
 * At most so many calls at once as the window of the registry allows; others wait in the order of their coming, until their signal aborts.
 * A watch is no load, and a `check` must not wait behind what it is to judge: neither is counted.
 */
export function withLimit<R extends ServiceRegistry>(registry: R, { clock, maxInFlight }: LimitOptions): R {
  const window = createWindow(maxInFlight);
  const waiting = new Set<() => void>();
  let inFlight = 0;

  const admit = () => {
    for (const enter of waiting) {
      if (inFlight >= window.size) return;
      waiting.delete(enter);
      inFlight++;
      enter();
    }
  };

  /** Resolves with a place in flight, which the caller gives back. */
  const place = (operation: string, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = () => {
        waiting.delete(enter);
        const message = `${operation} was cancelled before it was sent`;
        reject(new RegistryError('aborted', message, { cause: signal.reason }));
      };
      const enter = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      if (signal.aborted) return leave();
      waiting.add(enter);
      signal.addEventListener('abort', leave, { once: true });
      admit();
    });

  async function limited<T>(operation: string, kind: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    await place(operation, signal);
    const started = clock.now();
    // A failure is quick or slow for reasons of its own; only a missing answer says that the registry is slow.
    const judge = () => window.judge(clock.now() - started, kind);
    try {
      const result = await run();
      judge();
      return result;
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'timeout') judge();
      throw error;
    } finally {
      inFlight--;
      admit();
    }
  }

  return {
    ...around(registry, (operation, signal, run) =>
      operation === 'check' || isWatch(operation)
        ? run(signal)
        : limited(operation, operation, signal, () => run(signal)),
    ),
    apply: (changes, signal) =>
      // Applies of about one size are compared with one another.
      limited('apply', `apply ${Math.ceil(Math.log2(changes.length + 1))}`, signal, () =>
        registry.apply(changes, signal),
      ),
  };
}
