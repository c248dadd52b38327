import type { Change } from '../../src/mirror/change.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import type { ChangeResult, Claim, Scope, ServiceRegistry } from '../../src/registries/registry.ts';
import { noClaim, noKeyValue, noWatch } from '../../src/registries/unclaimed.ts';

type Scripted = 'check' | 'list' | 'apply' | 'claim';

/** A call that waits for the test to say how it ends. */
export interface Call {
  readonly operation: Scripted;
  readonly at: number;
  readonly changes: readonly Change[];
  /** Of a `claim`. */
  readonly claim?: Claim;
  /** `check`: a version. `list`: instances. `apply`: results; without any, all are taken. */
  answer(value?: readonly Instance[] | readonly ChangeResult[]): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/** A watch that tells what the test says. */
export interface ScriptedWatch {
  readonly at: number;
  readonly scope: Scope;
  readonly ended: boolean;
  hint(): Promise<void>;
  fail(error: unknown): Promise<void>;
}

export interface ScriptedRegistry extends ServiceRegistry {
  readonly calls: Call[];
  /** The open calls of one operation. */
  open(operation: Scripted): readonly Call[];
  /** The one open call of this operation. */
  only(operation: Scripted): Call;
  /** In the order of their opening. */
  readonly watches: readonly ScriptedWatch[];
  readonly closed: boolean;
}

/** Nothing happens in it but what the test says. */
export function scriptedRegistry(
  clock: { now(): number; advance(ms: number): Promise<void> },
  { watch: watched = false, claim: claimed = false } = {},
): ScriptedRegistry {
  const watches: ScriptedWatch[] = [];
  const calls: Call[] = [];
  const ended = new Set<Call>();
  let closed = false;

  function call<T>(
    operation: Scripted,
    signal: AbortSignal,
    changes: readonly Change[],
    usual: () => T,
    claim?: Claim,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const one: Call = {
      operation,
      at: clock.now(),
      changes,
      ...(claim !== undefined && { claim }),
      async answer(value) {
        ended.add(one);
        resolve((value as T | undefined) ?? usual());
        await clock.advance(0);
      },
      async fail(error) {
        ended.add(one);
        reject(error);
        await clock.advance(0);
      },
    };
    signal.addEventListener('abort', () => {
      ended.add(one);
      reject(signal.reason);
    });
    calls.push(one);
    return promise;
  }

  const open = (operation: Scripted) => calls.filter((one) => one.operation === operation && !ended.has(one));
  return {
    calls,
    open,
    only(operation) {
      const [first, ...others] = open(operation);
      if (first === undefined || others.length > 0)
        throw new Error(`there are ${others.length + (first ? 1 : 0)} open calls of ${operation}`);
      return first;
    },
    get closed() {
      return closed;
    },
    capabilities: { batchSize: 10, leased: false, watch: watched, kv: false, fenced: false },
    normalise: (instance) => ({ ok: true, instance }),
    apply: (changes, signal) => call('apply', signal, changes, () => changes.map((): ChangeResult => ({ ok: true }))),
    list: (_, signal) => call('list', signal, [], (): readonly Instance[] => []),
    claim: (claim, signal) =>
      claimed ? call('claim', signal, [], () => undefined, claim) : noClaim('it')(claim, signal),
    check: (signal) => call('check', signal, [], () => ({ version: '1' })),
    discover: async () => [],
    watches,
    watch(scope, onHint, signal) {
      if (!watched) return noWatch('it')(scope, onHint, signal);
      const { promise, reject } = Promise.withResolvers<never>();
      let ended = false;
      const end = (error: unknown) => {
        ended = true;
        reject(error);
      };
      signal.addEventListener('abort', () => end(new RegistryError('aborted', 'watch was cancelled')));
      watches.push({
        at: clock.now(),
        scope,
        get ended() {
          return ended;
        },
        async hint() {
          onHint();
          await clock.advance(0);
        },
        async fail(error) {
          end(error);
          await clock.advance(0);
        },
      });
      return promise;
    },
    kv: noKeyValue('it'),
    async close() {
      closed = true;
    },
  };
}
