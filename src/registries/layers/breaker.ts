import type { Clock } from '../../clock.ts';
import { meansUnreachable, RegistryError } from '../error.ts';
import type { ChangeResult, ServiceRegistry } from '../registry.ts';
import { around, isWatch } from './around.ts';

/** So many calls in a row that mean unreachable open it: one may be the misfortune of a connection. */
const FAILURES = 3;
const PROBE_MS = 1_000;

type State =
  | { readonly name: 'closed'; readonly failures: number }
  | { readonly name: 'open'; readonly error: RegistryError; readonly probedAt: number }
  | { readonly name: 'ended' };

/**
 * While the registry cannot be reached, calls fail at once with the last error instead of waiting for one more deadline each. At most once a second
 * one of them asks first whether the registry is back, with a `check`, and goes on if it is; a `check` of the caller is that question itself.
 * Nothing is asked when nobody calls. The end of a watch says nothing of the registry, and is not counted.
 */
export function withBreaker<R extends ServiceRegistry>(registry: R, clock: Clock): R {
  let state: State = { name: 'closed', failures: 0 };

  const succeeded = () => {
    if (state.name !== 'ended') state = { name: 'closed', failures: 0 };
  };
  const failed = (error: RegistryError) => {
    if (state.name === 'open') state = { ...state, error };
    if (state.name !== 'closed') return;
    const failures = state.failures + 1;
    state = failures < FAILURES ? { name: 'closed', failures } : { name: 'open', error, probedAt: clock.now() };
  };
  /** An answer, of whatever content, means that the registry is there; that of our own side means nothing. */
  const judge = (error: RegistryError) => {
    if (error.code === 'aborted' || error.code === 'closed') return;
    if (meansUnreachable(error.code)) failed(error);
    else succeeded();
  };

  async function judged<T>(run: () => Promise<T>, operation: string, outcome: (result: T) => void): Promise<T> {
    try {
      const result = await run();
      outcome(result);
      return result;
    } catch (thrown) {
      const error = RegistryError.from(thrown, operation);
      judge(error);
      throw error;
    }
  }

  /** A registry that has lost what was claimed is back all the same: the call itself tells, or is the one that claims it again. */
  const probe = (signal: AbortSignal) =>
    judged(() => registry.check(signal), 'check', succeeded).catch((error: unknown) => {
      if (!(error instanceof RegistryError && error.code === 'fenced')) throw error;
    });

  /** Rejects while the registry is known to be away. */
  async function pass(operation: string, signal: AbortSignal): Promise<void> {
    if (state.name !== 'open' || signal.aborted) return;
    if (clock.now() - state.probedAt < PROBE_MS) throw refusal(state.error);
    state = { ...state, probedAt: clock.now() };
    // A caller's check that comes next is the probe.
    if (operation !== 'check') await probe(signal);
  }

  const guarded = around(registry, async (operation, signal, run) => {
    await pass(operation, signal);
    return isWatch(operation) ? run(signal) : judged(() => run(signal), operation, succeeded);
  });

  return {
    ...guarded,
    async apply(changes, signal) {
      try {
        await pass('apply', signal);
      } catch (thrown) {
        const error = RegistryError.from(thrown, 'apply');
        if (error.code === 'aborted' || error.code === 'closed') throw error;
        return changes.map((): ChangeResult => ({ ok: false, error }));
      }
      return judged(
        () => registry.apply(changes, signal),
        'apply',
        (results) => {
          const failures = results.flatMap((result) => (result.ok ? [] : [result.error]));
          const [first] = failures;
          const away = first !== undefined && failures.length === results.length;
          if (away && failures.every(({ code }) => meansUnreachable(code))) failed(first);
          else if (results.length > 0) succeeded();
        },
      );
    },
    close() {
      state = { name: 'ended' };
      return registry.close();
    },
  };
}

/** Nothing was sent, so nothing of it is ambiguous. */
const refusal = (error: RegistryError): RegistryError =>
  new RegistryError(error.code, `${error.message} (not asked again: the registry is being probed once a second)`, {
    cause: error,
  });
