import type { Instance } from '../mirror/instance.ts';
import { cancelled, RegistryError } from './error.ts';
import type { Holder, MemoryStore, StoreChange } from './memory-store.ts';
import type { Scope } from './registry.ts';

type WatchScope = Scope | { readonly service: string; readonly key: string };

export interface Watches {
  watch(scope: WatchScope, onHint: () => void, signal: AbortSignal): Promise<never>;
  /** Every watch rejects with `closed`. */
  close(): void;
}

/** Watches of one client: a hint for all that changes in one turn, and the first when the watch stands. */
export function openWatches(store: MemoryStore, me: Holder): Watches {
  const endings = new Set<() => void>();
  return {
    watch: (scope, onHint, signal) =>
      new Promise((_, reject) => {
        let due = false;
        const hint = () => {
          if (due) return;
          due = true;
          queueMicrotask(() => {
            due = false;
            if (endings.has(onClosed)) onHint();
          });
        };
        const stopListening = store.listen((change, writer) => {
          if (touches(scope, change) && !('cluster' in scope && writer === me)) hint();
        });
        const end = (error: RegistryError) => {
          endings.delete(onClosed);
          stopListening();
          signal.removeEventListener('abort', onAbort);
          reject(error);
        };
        const onAbort = () => end(cancelled('watch', signal));
        const onClosed = () => end(new RegistryError('closed', 'the Memory registry was closed'));
        endings.add(onClosed);
        signal.addEventListener('abort', onAbort, { once: true });
        hint();
      }),
    close() {
      for (const end of [...endings]) end();
    },
  };
}

function touches(scope: WatchScope, change: StoreChange): boolean {
  if (change.kind === 'pair') return 'key' in scope && scope.service === change.service && scope.key === change.key;
  if ('key' in scope) return false;
  const isIn = (instance: Instance | undefined) =>
    instance !== undefined &&
    ('cluster' in scope ? instance.marks.cluster === scope.cluster : instance.service === scope.service);
  return isIn(change.before) || isIn(change.after);
}
