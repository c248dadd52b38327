/** What is known to stand in etcd of one cluster, so that no write hits what it does not mean. */

export interface HeldKey {
  readonly key: string;
  /** Of the last write to the key. */
  readonly revision: string;
  /** Of its value. */
  readonly digest: string;
  readonly lease: string;
}

/** The keys of one instance that stand, and are ours. Of its other keys it is known that they did not stand, or were not ours. */
export type Known = readonly HeldKey[];

export interface Standing {
  get(id: string): Known | undefined;
  set(id: string, known: Known): void;
  /** From now on nothing is known of this id: its write may or may not have happened. */
  forget(id: string): void;
  /** Takes over a complete reading; what was set or forgotten while it went on is newer and stays. */
  refresh<R extends { readonly known: Map<string, Known> }>(read: () => Promise<R>): Promise<R>;
}

export function createStanding(): Standing {
  let entries = new Map<string, Known>();
  const touchedDuring = new Set<Set<string>>();
  const touch = (id: string) => {
    for (const touched of touchedDuring) touched.add(id);
  };

  return {
    get: (id) => entries.get(id),
    set(id, known) {
      touch(id);
      entries.set(id, known);
    },
    forget(id) {
      touch(id);
      entries.delete(id);
    },
    async refresh(read) {
      const touched = new Set<string>();
      touchedDuring.add(touched);
      try {
        const reading = await read();
        for (const id of touched) {
          const known = entries.get(id);
          if (known === undefined) reading.known.delete(id);
          else reading.known.set(id, known);
        }
        entries = reading.known;
        return reading;
      } finally {
        touchedDuring.delete(touched);
      }
    },
  };
}
