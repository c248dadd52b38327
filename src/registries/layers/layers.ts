import type { Clock } from '../../clock.ts';
import type { ErrorContext } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';
import { withBreaker } from './breaker.ts';
import { withContext } from './context.ts';
import { withLimit } from './limit.ts';
import { type Observation, withMetrics } from './metrics.ts';
import { withRetry } from './retry.ts';
import { type Deadlines, withTimeout } from './timeout.ts';

export interface LayerOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly context: ErrorContext;
  /** The random numbers of the back-off; undefined for callers that try again themselves. */
  readonly retry: (() => number) | undefined;
  /** Calls in flight at once while the registry is quick. */
  readonly maxInFlight: number;
  readonly observe: ((observation: Observation) => void) | undefined;
}

/**
 * The layers around an adapter. From outside:
 * - metrics: what a caller sees, waiting and repeating included
 * - context: below it errors are made, by the layers too
 * - breaker: above retry, so that a call counts as one however often it was tried, and none is tried while the registry is away
 * - retry: above limit, so that what waits for another try holds no place
 * - limit: above timeout, so that waiting for a place takes nothing from the time that the registry has to answer
 * - timeout: around the adapter itself
 */
export function withLayers<R extends ServiceRegistry>(adapter: R, options: LayerOptions): R {
  const { clock, deadlines, context, retry, maxInFlight, observe } = options;
  const timely = withTimeout(adapter, deadlines, clock);
  const limited = withLimit(timely, { clock, maxInFlight });
  const patient = retry === undefined ? limited : withRetry(limited, { clock, random: retry });
  const guarded = withBreaker(patient, clock);
  const told = withContext(guarded, context);
  return observe === undefined ? told : withMetrics(told, observe, clock);
}
