import type { Change } from '../../src/mirror/change.ts';
import { RegistryError, type RegistryErrorCode, type RegistryErrorDetails } from '../../src/registries/error.ts';
import type { Operation } from '../../src/registries/layers/around.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';

export interface AskedCall {
  readonly operation: Operation;
  readonly signal: AbortSignal;
  readonly changes: readonly Change[];
  readonly onHint: () => void;
}

/** Each call is answered by the function: with its results for an apply, undefined for what is good by default, or by throwing. */
export function answeringRegistry(
  answer: (call: AskedCall) => Promise<unknown> | unknown,
): ServiceRegistry & { readonly asked: AskedCall[]; readonly isClosed: () => boolean } {
  const asked: AskedCall[] = [];
  let closed = false;
  const ask = async <T>(
    operation: Operation,
    signal: AbortSignal,
    usual: T,
    more: Partial<Pick<AskedCall, 'changes' | 'onHint'>> = {},
  ): Promise<T> => {
    const call = { operation, signal, changes: [], onHint: () => {}, ...more };
    asked.push(call);
    // The test says what comes back.
    return ((await answer(call)) as T | undefined) ?? usual;
  };
  const forever = () => new Promise<never>(() => {});
  return {
    asked,
    isClosed: () => closed,
    capabilities: { batchSize: 100, leased: true, watch: true, kv: true, fenced: true },
    normalise: (instance) => ({ ok: true, instance }),
    apply: (changes, signal) =>
      ask<readonly ChangeResult[]>(
        'apply',
        signal,
        changes.map(() => ({ ok: true })),
        { changes },
      ),
    list: (_, signal) => ask('list', signal, []),
    discover: (_, signal) => ask('discover', signal, []),
    claim: (_, signal) => ask('claim', signal, undefined),
    check: (signal) => ask('check', signal, { version: '1' }),
    watch: (_, onHint, signal) => ask('watch', signal, undefined, { onHint }).then(forever),
    kv: {
      get: (_service, _key, signal) => ask<string | undefined>('kv.get', signal, undefined),
      put: (_service, _key, _value, signal) => ask('kv.put', signal, undefined),
      watch: (_service, _key, onHint, signal) => ask('kv.watch', signal, undefined, { onHint }).then(forever),
    },
    close: async () => {
      closed = true;
    },
  };
}

export const failing = (code: RegistryErrorCode, details: RegistryErrorDetails = {}): RegistryError =>
  new RegistryError(code, `it is ${code}`, details);

export const failedWith = (code: RegistryErrorCode, details: RegistryErrorDetails = {}): ChangeResult => ({
  ok: false,
  error: failing(code, details),
});

/** The code with which it rejects, or `ok`. */
export const outcome = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'ok',
    (error) => (error instanceof RegistryError ? error.code : String(error)),
  );
