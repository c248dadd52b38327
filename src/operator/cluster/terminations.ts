import type { EndpointSlice, ObjectKey } from '../../api/core.ts';

/**
 * Addresses that slices have shown as terminating. A Pod is often gone from the slices before its Service is looked at again, as while the
 * registry is down; without this memory the planned end of a Pod could not be told from endpoints that vanish.
 */
export interface Terminations {
  /** Call with each version of each slice, in order. */
  note(owner: ObjectKey, slice: EndpointSlice): void;
  /** Seen to terminate, and not seen to be anything else since. Memory is bounded: old knowledge is forgotten, and then the answer is false. */
  seen(owner: ObjectKey, address: string): boolean;
}

const REMEMBERED = 20_000;

export function createTerminations(): Terminations {
  const terminated = new Set<string>();
  const keyOf = (owner: ObjectKey, address: string) => `${owner} ${address}`;

  return {
    note(owner, slice) {
      for (const { addresses, terminating } of slice.subsets.flatMap(({ endpoints }) => endpoints)) {
        const key = keyOf(owner, addresses[0] ?? '');
        terminated.delete(key);
        if (terminating) terminated.add(key);
      }
      for (const oldest of terminated) {
        if (terminated.size <= REMEMBERED) break;
        terminated.delete(oldest);
      }
    },
    seen: (owner, address) => terminated.has(keyOf(owner, address)),
  };
}
