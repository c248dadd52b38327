import type { Clock } from '../../clock.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';
import type { ChangeResult, ServiceRegistry } from '../registry.ts';
import { around, isWatch, type Operation } from './around.ts';

export interface Observation {
  readonly operation: Operation;
  /** `ok`, or the code of the error; for `apply` that of the first change that failed. */
  readonly outcome: 'ok' | RegistryErrorCode;
  /** 0 for a hint of a watch; for its failure, how long it stood. */
  readonly durationMs: number;
  /** Changes of an `apply`, instances of a `list` or `discover`, 1 for a hint, 0 for anything else or where none came. */
  readonly size: number;
}

/** Reports each finished operation once; of a watch, each hint, and its failure. */
export function withMetrics<R extends ServiceRegistry>(
  registry: R,
  observe: (observation: Observation) => void,
  clock: Clock,
): R {
  const hinting = (operation: Operation, onHint: () => void) => () => {
    observe({ operation, outcome: 'ok', size: 1, durationMs: 0 });
    onHint();
  };
  const { watch, kv } = registry;
  const hinted = {
    ...registry,
    watch: (scope, onHint, signal) => watch(scope, hinting('watch', onHint), signal),
    kv: {
      ...kv,
      watch: (service, key, onHint, signal) => kv.watch(service, key, hinting('kv.watch', onHint), signal),
    },
  } satisfies R;
  return around<R>(hinted, async (operation, signal, run) => {
    const start = clock.now();
    const report = ({ outcome, size }: Summary) =>
      observe({ operation, outcome, size, durationMs: clock.now() - start });
    try {
      const result = await run(signal);
      if (!isWatch(operation)) report(summary(operation, result));
      return result;
    } catch (error) {
      report({ outcome: RegistryError.from(error, operation).code, size: 0 });
      throw error;
    }
  });
}

type Summary = Pick<Observation, 'outcome' | 'size'>;

function summary(operation: Operation, result: unknown): Summary {
  if (!Array.isArray(result)) return { outcome: 'ok', size: 0 };
  const failed = operation === 'apply' ? result.find((one: ChangeResult) => !one.ok) : undefined;
  return { outcome: failed?.error.code ?? 'ok', size: result.length };
}
