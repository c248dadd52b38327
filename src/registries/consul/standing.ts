/** What is known to stand in Consul of one cluster: where, and at which index, so that no write hits what it does not mean. */

export interface Place {
  readonly node: string;
  /** Of the last write to the entry. 0: it is known that none stands. */
  readonly index: number;
}

export interface Known extends Place {
  /** A check of ours may stand beside it. */
  readonly checked: boolean;
  /** Liveness and check, as text to compare; undefined where only the entry was read. */
  readonly state?: string;
  /** Other nodes on which the same entry stands by mistake: it goes there with the next write. */
  readonly doubles?: readonly Place[];
}

export interface Reading {
  readonly nodes: Iterable<string>;
  readonly entries: Map<string, Known>;
}

export interface Standing {
  /** Nodes that exist with our mark. */
  readonly nodes: Set<string>;
  /** All entries of the cluster were read once, and writes since then are known or forgotten. */
  readonly complete: boolean;
  get(id: string): Known | undefined;
  set(id: string, known: Known): void;
  /** From now on nothing is known of this id: its write may or may not have happened. */
  forget(id: string): void;
  /** None stands any more. */
  remove(id: string): void;
  /** It was forgotten, and not seen since. */
  isDoubtful(id: string): boolean;
  /** Entries that are being written; until the returned function is called, no difference in them is somebody else's. */
  writing(ids: readonly string[]): () => void;
  /** Takes over a complete reading; what was set or forgotten while it went on is newer and stays. */
  refresh<R extends Reading>(read: () => Promise<R>): Promise<R>;
  /** Called when a reading shows what somebody else has changed. The returned function ends it. */
  onForeign(listener: () => void): () => void;
}

export function createStanding(): Standing {
  const nodes = new Set<string>();
  const listeners = new Set<() => void>();
  const inFlight = new Map<string, number>();
  const touchedDuring = new Set<Set<string>>();
  const writtenDuring = new Set<Set<string>>();
  let entries = new Map<string, Known>();
  let doubtful = new Set<string>();
  let complete = false;
  const touch = (id: string) => {
    for (const touched of touchedDuring) touched.add(id);
  };

  /** Nobody can tell an own write from a foreign one while its answer is outstanding. */
  function differs(reading: Reading, own: ReadonlySet<string>): boolean {
    const ids = new Set([...entries.keys(), ...reading.entries.keys()]);
    for (const id of ids) {
      if (!own.has(id) && !isSame(entries.get(id), reading.entries.get(id))) return true;
    }
    return false;
  }

  return {
    nodes,
    get complete() {
      return complete;
    },
    get: (id) => entries.get(id),
    set(id, known) {
      touch(id);
      doubtful.delete(id);
      entries.set(id, known);
    },
    forget(id) {
      touch(id);
      doubtful.add(id);
      entries.delete(id);
    },
    remove(id) {
      touch(id);
      doubtful.delete(id);
      entries.delete(id);
    },
    isDoubtful: (id) => doubtful.has(id),
    writing(ids) {
      for (const written of writtenDuring) for (const id of ids) written.add(id);
      for (const id of ids) inFlight.set(id, (inFlight.get(id) ?? 0) + 1);
      return () => {
        for (const id of ids) {
          const left = (inFlight.get(id) ?? 1) - 1;
          if (left === 0) inFlight.delete(id);
          else inFlight.set(id, left);
        }
      };
    },
    async refresh(read) {
      const touched = new Set<string>();
      const written = new Set(inFlight.keys());
      touchedDuring.add(touched);
      writtenDuring.add(written);
      const doubtfulBefore = doubtful;
      try {
        const reading = await read();
        const foreign = complete && differs(reading, new Set([...touched, ...written, ...doubtfulBefore]));
        nodes.clear();
        for (const node of reading.nodes) nodes.add(node);
        for (const id of touched) {
          const known = entries.get(id);
          if (known === undefined) reading.entries.delete(id);
          else reading.entries.set(id, known);
        }
        entries = reading.entries;
        doubtful = new Set([...doubtful].filter((id) => touched.has(id)));
        complete = true;
        if (foreign) for (const listener of [...listeners]) listener();
        return reading;
      } finally {
        touchedDuring.delete(touched);
        writtenDuring.delete(written);
      }
    },
    onForeign(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function isSame(a: Known | undefined, b: Known | undefined): boolean {
  const standsA = a !== undefined && a.index > 0;
  const standsB = b !== undefined && b.index > 0;
  if (!standsA || !standsB) return standsA === standsB;
  const sameState = a.state === undefined || b.state === undefined || a.state === b.state;
  return a.node === b.node && a.index === b.index && sameState && a.doubles === undefined && b.doubles === undefined;
}
