import type { ConnectionLost } from './loss.ts';
import type { Operation } from './requests.ts';
import type { TreeEvent } from './wire.ts';

/** `ours`: it is what a write of this client does. Told a second time, as not ours, should that write turn out to have been refused. */
export type OnEvent = (event: TreeEvent, ours: boolean) => void;

export interface Listening {
  /** Resolves when no more events can come. */
  readonly over: Promise<ConnectionLost>;
  /** True when nobody else listens at the path any more. */
  leave(): boolean;
}

/** The events of one connection. */
export interface Events {
  /** Events at and below the path. */
  listen(path: string, onEvent: OnEvent): Listening;
  /** Paths at which somebody listens. */
  watched(): number;
  heard(event: TreeEvent): void;
  /** A transaction goes out; to be called again with whether it was done, when the server has said so. */
  writing(operations: readonly Operation[]): (done: boolean) => void;
  end(lost: ConnectionLost): void;
}

interface Write {
  /** Events that it will cause and that were not heard yet. */
  readonly awaited: Set<string>;
  readonly heard: TreeEvent[];
}

interface Listener {
  readonly onEvent: OnEvent;
  readonly end: (lost: ConnectionLost) => void;
}

/**
 * Tells what others did from what this client does: a server sends the events of a transaction before the answer to it, on the same connection. So an
 * event that a transaction without an answer would cause is taken for its own, once, until the answer says otherwise.
 */
export function createEvents(): Events {
  const listeners = new Map<string, Set<Listener>>();
  const writes = new Set<Write>();

  function tell(event: TreeEvent, ours: boolean): void {
    for (let { path } = event; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
      for (const { onEvent } of [...(listeners.get(path) ?? [])]) onEvent(event, ours);
    }
  }

  return {
    listen(path, onEvent) {
      const { promise: over, resolve: end } = Promise.withResolvers<ConnectionLost>();
      const listener = { onEvent, end };
      const beside = listeners.get(path) ?? new Set();
      listeners.set(path, beside.add(listener));
      return {
        over,
        leave() {
          beside.delete(listener);
          if (beside.size > 0) return false;
          listeners.delete(path);
          return true;
        },
      };
    },
    watched: () => listeners.size,
    heard(event) {
      const key = keyOf(event);
      const write = [...writes].find(({ awaited }) => awaited.delete(key));
      write?.heard.push(event);
      tell(event, write !== undefined);
    },
    writing(operations) {
      // What goes out before a watch does is done before it stands.
      if (listeners.size === 0) return () => {};
      const write: Write = { awaited: new Set(operations.map(keyOf)), heard: [] };
      writes.add(write);
      return (done) => {
        writes.delete(write);
        if (!done) for (const event of write.heard) tell(event, false);
      };
    },
    end(lost) {
      for (const some of listeners.values()) for (const { end } of some) end(lost);
    },
  };
}

const keyOf = ({ kind, path }: TreeEvent | Operation): string => `${kind} ${path}`;
