import type { Clock } from '../../clock.ts';
import { cancelled, RegistryError } from '../error.ts';
import type { ChangeResult, ServiceRegistry } from '../registry.ts';
import { around, isWatch, isWrite, type Operation } from './around.ts';

export interface Deadlines {
  /** For one full batch (`capabilities.batchSize` changes); an `apply` of more gets as many times this. */
  readonly batchMs: number;
  readonly listMs: number;
  /** For what is one request: a `discover`, and each get or put of `kv`; and for a `claim`, which is two, and more only against others. */
  readonly discoverMs: number;
  readonly checkMs: number;
}

/**
 * Every operation but a watch, which has no end, ends by its deadline, even when the registry below ignores its signal. An `apply` that does not
 * make it resolves: all its changes may have been written, so every result is an ambiguous `timeout`.
 */
export function withTimeout<R extends ServiceRegistry>(registry: R, deadlines: Deadlines, clock: Clock): R {
  const { batchMs, listMs, discoverMs, checkMs } = deadlines;
  const timely = around(registry, (operation, signal, run) => {
    if (isWatch(operation)) return run(signal);
    const ms = operation === 'list' ? listMs : operation === 'check' ? checkMs : discoverMs;
    return withDeadline(clock, ms, { operation, signal, run });
  });
  return {
    ...timely,
    async apply(changes, signal) {
      const batches = Math.max(1, Math.ceil(changes.length / registry.capabilities.batchSize));
      const run = (inner: AbortSignal) => registry.apply(changes, inner);
      try {
        return await withDeadline(clock, batches * batchMs, { operation: 'apply', signal, run });
      } catch (error) {
        if (!(error instanceof RegistryError) || error.code !== 'timeout') throw error;
        return changes.map((): ChangeResult => ({ ok: false, error }));
      }
    },
  };
}

interface Call<T> {
  readonly operation: Operation;
  readonly signal: AbortSignal;
  readonly run: (inner: AbortSignal) => Promise<T>;
}

function withDeadline<T>(clock: Clock, ms: number, { operation, signal, run }: Call<T>): Promise<T> {
  const inner = new AbortController();
  const ambiguous = isWrite(operation);
  return new Promise<T>((resolve, reject) => {
    const stop = (error: RegistryError) => {
      settle();
      inner.abort(error);
      reject(error);
    };
    const late = () => {
      const seconds = Math.round(ms / 100) / 10;
      const message = `${operation} took longer than ${seconds} s; the registry is overloaded, or spec.timeouts is too short for it`;
      stop(new RegistryError('timeout', message, { ambiguous }));
    };
    const aborted = () => stop(cancelled(operation, signal, ambiguous));
    const cancelTimer = clock.setTimer(ms, late);
    const settle = () => {
      cancelTimer();
      signal.removeEventListener('abort', aborted);
    };
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    run(inner.signal).then(resolve, reject).finally(settle);
  });
}
