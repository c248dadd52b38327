import type { Change } from '../../mirror/change.ts';
import { type Instance, sameInstance } from '../../mirror/instance.ts';

/**
 * What stands in one registry, as far as we know: the observed side of every diff, read without I/O.
 *
 * Loaded by one complete list, then fed by our own acknowledged writes, and compared with the registry by each audit.
 */
export interface Ledger {
  /** False until the first complete list: nothing may be decided before. */
  readonly loaded: boolean;
  readonly size: number;
  /** Our entries of one Service. */
  owned(owner: string): readonly Instance[];
  has(owner: string): boolean;
  owners(): Iterable<string>;
  /** How many entries name this registration as theirs. */
  countOf(registration: string): number;
  /** Of these, how many are not marked to stay when it goes. */
  unretainedOf(registration: string): number;
  /** The registry has acknowledged the change. */
  acknowledge(change: Change): void;
  /**
   * Call before asking the registry for a complete list, and the returned function with the answer. Services that were acknowledged in
   * between keep what the acknowledgements said, since the list may be older. Gives the Services whose entries differ from what we knew.
   * One list at a time.
   */
  beginList(): (instances: readonly Instance[]) => readonly string[];
}

export function createLedger(): Ledger {
  let entries = new Map<string, Map<string, Instance>>();
  let counts = new Map<string, number>();
  let unretained = new Map<string, number>();
  let loaded = false;
  let size = 0;
  const acknowledged = new Set<string>();

  const put = (instance: Instance) => {
    const { owner, registration } = instance.marks;
    drop(owner, instance.id);
    const owned = entries.get(owner) ?? new Map<string, Instance>();
    entries.set(owner, owned);
    owned.set(instance.id, instance);
    add(counts, registration, 1);
    if (!instance.marks.retained) add(unretained, registration, 1);
    size++;
  };

  const drop = (owner: string, id: string) => {
    const owned = entries.get(owner);
    const previous = owned?.get(id);
    if (owned === undefined || previous === undefined) return;
    owned.delete(id);
    if (owned.size === 0) entries.delete(owner);
    const { registration, retained } = previous.marks;
    add(counts, registration, -1);
    if (!retained) add(unretained, registration, -1);
    size--;
  };

  return {
    get loaded() {
      return loaded;
    },
    get size() {
      return size;
    },
    owned: (owner) => [...(entries.get(owner)?.values() ?? [])],
    has: (owner) => entries.has(owner),
    owners: () => entries.keys(),
    countOf: (registration) => counts.get(registration) ?? 0,
    unretainedOf: (registration) => unretained.get(registration) ?? 0,
    acknowledge(change) {
      const { instance } = change;
      acknowledged.add(instance.marks.owner);
      if (change.action === 'deregister') drop(instance.marks.owner, instance.id);
      else put(instance);
    },
    beginList() {
      acknowledged.clear();
      return (instances) => {
        const before = entries;
        entries = new Map();
        counts = new Map();
        unretained = new Map();
        size = 0;
        loaded = true;
        for (const instance of instances) if (!acknowledged.has(instance.marks.owner)) put(instance);
        for (const owner of acknowledged) for (const instance of before.get(owner)?.values() ?? []) put(instance);
        const owners = new Set([...before.keys(), ...entries.keys()]);
        return [...owners].filter((owner) => !equal(before.get(owner), entries.get(owner)));
      };
    },
  };
}

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

function equal(a: ReadonlyMap<string, Instance> | undefined, b: ReadonlyMap<string, Instance> | undefined): boolean {
  if (a?.size !== b?.size) return false;
  for (const [id, instance] of a ?? []) {
    const other = b?.get(id);
    if (other === undefined || !sameInstance(instance, other)) return false;
  }
  return true;
}
