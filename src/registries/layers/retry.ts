import { type Clock, pause } from '../../clock.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';
import type { ChangeResult, ServiceRegistry } from '../registry.ts';
import { around, isWatch, type Operation } from './around.ts';

/**
 * What is tried again, and after how many milliseconds the first time; twice that the second. `false`: the answer would be the same
 * (`invalid`, `too-large`, credentials, `owned`, `protocol`), somebody must read first (`conflict`, `fenced`), the caller has ended it (`aborted`, `closed`), or
 * has waited long enough (`timeout`).
 */
export const RETRIED: Readonly<Record<RegistryErrorCode, number | false>> = {
  unreachable: 100,
  unavailable: 250,
  'rate-limited': 500,
  timeout: false,
  conflict: false,
  invalid: false,
  unauthorized: false,
  forbidden: false,
  'not-found': false,
  'too-large': false,
  protocol: false,
  owned: false,
  fenced: false,
  aborted: false,
  closed: false,
  unsupported: false,
};

const MORE_TRIES = 2;
/** A registry that wants to be left alone for longer than this is better left to the caller. */
const LONGEST_WAIT_MS = 10_000;

export interface RetryOptions {
  readonly clock: Clock;
  /** 0 up to, not including, 1. */
  readonly random: () => number;
}

/**
 * Tries again, up to two times more, what failed for a moment: reads, what certainly was not claimed or put, and of an `apply` the changes of which
 * it is certain that they were not written, unless something has been claimed since: they were decided before. A `check` is asked how it is now, and a
 * watch is its caller's to begin anew: neither is repeated.
 */
export function withRetry<R extends ServiceRegistry>(registry: R, { clock, random }: RetryOptions): R {
  let claims = 0;

  /** How long to wait before another try, jittered so that many callers do not come back as one. Undefined: none is made. */
  const waitMs = (error: RegistryError, tried: number): number | undefined => {
    const base = RETRIED[error.code];
    if (base === false || error.ambiguous || tried > MORE_TRIES) return undefined;
    const ms = Math.max(error.retryAfterMs ?? 0, base * 2 ** (tried - 1) * (0.5 + random() / 2));
    return ms > LONGEST_WAIT_MS ? undefined : ms;
  };
  const cancelled = (operation: Operation, cause: RegistryError) =>
    new RegistryError('aborted', `${operation} was cancelled while it waited for another try`, { cause });

  const patient = around(registry, async (operation, signal, run) => {
    if (operation === 'check' || isWatch(operation)) return run(signal);
    if (operation === 'claim') claims++;
    for (let tried = 1; ; tried++) {
      try {
        return await run(signal);
      } catch (thrown) {
        const error = RegistryError.from(thrown, operation);
        const ms = waitMs(error, tried);
        if (ms === undefined) throw error;
        await pause(clock, ms, signal);
        if (signal.aborted) throw cancelled(operation, error);
      }
    }
  });

  return {
    ...patient,
    async apply(changes, signal) {
      const before = claims;
      const results = [...(await registry.apply(changes, signal))];
      for (let tried = 1; ; tried++) {
        const waits = results.map((result) => (result.ok ? undefined : waitMs(result.error, tried)));
        const again = waits.flatMap((ms, index) => (ms === undefined ? [] : [index]));
        if (again.length === 0) return results;
        await pause(clock, Math.max(...waits.map((ms) => ms ?? 0)), signal);
        // Nothing is in flight: what is known is the truth.
        if (signal.aborted || claims !== before) return results;
        const repeated = await registry.apply(
          again.flatMap((index) => changes[index] ?? []),
          signal,
        );
        again.forEach((index, position) => {
          results[index] = repeated[position] ?? missingResult();
        });
      }
    },
  };
}

const missingResult = (): ChangeResult => ({
  ok: false,
  error: new RegistryError('protocol', 'the registry adapter gave fewer results than changes', { ambiguous: true }),
});
