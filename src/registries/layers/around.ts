import type { ServiceRegistry } from '../registry.ts';

export type Operation = 'apply' | 'list' | 'discover' | 'check' | 'claim' | 'watch' | 'kv.get' | 'kv.put' | 'kv.watch';

/** Runs one call of a registry. `run` is the call itself, under the signal that it is given. */
export type Around = <T>(
  operation: Operation,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
) => Promise<T>;

/** Operations after which nobody knows what stands in the registry when their answer is missing. */
export const isWrite = (operation: Operation): boolean =>
  operation === 'apply' || operation === 'claim' || operation === 'kv.put';

/** Operations that last until they are ended. */
export const isWatch = (operation: Operation): boolean => operation === 'watch' || operation === 'kv.watch';

/** The registry with every call inside `wrap`. What is no call (capabilities, `normalise`, `close`) is passed through. */
export function around<R extends ServiceRegistry>(registry: R, wrap: Around): R {
  const { kv } = registry;
  return {
    ...registry,
    apply: (changes, signal) => wrap('apply', signal, (inner) => registry.apply(changes, inner)),
    list: (cluster, signal) => wrap('list', signal, (inner) => registry.list(cluster, inner)),
    discover: (service, signal) => wrap('discover', signal, (inner) => registry.discover(service, inner)),
    check: (signal) => wrap('check', signal, (inner) => registry.check(inner)),
    claim: (claim, signal) => wrap('claim', signal, (inner) => registry.claim(claim, inner)),
    watch: (scope, onHint, signal) => wrap('watch', signal, (inner) => registry.watch(scope, onHint, inner)),
    kv: {
      get: (service, key, signal) => wrap('kv.get', signal, (inner) => kv.get(service, key, inner)),
      put: (service, key, value, signal) => wrap('kv.put', signal, (inner) => kv.put(service, key, value, inner)),
      watch: (service, key, onHint, signal) =>
        wrap('kv.watch', signal, (inner) => kv.watch(service, key, onHint, inner)),
    },
  };
}
