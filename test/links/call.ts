// What the links that know the calls of a client have in common: the calls, what becomes of them, and who decides it.

/**
 * claim: writes the record of who may write. write: entries. read: asks for entries, once. other: all else, such as watches, leases, what is compared with
 * the claim by itself, and the places that entries need before they can be written (directories of ZooKeeper, services of Nacos).
 */
export type CallKind = 'claim' | 'write' | 'read' | 'other';

/** What a write does to one entry when the server takes it; of several of the same entry in one call, the last. */
export interface Touch {
  readonly does: 'put' | 'remove';
  /**
   * In the words of the registry: the id with Consul, the key with etcd, with ZooKeeper the path, the name of the node decoded, with Nacos
   * `service/address:port`. All but the last end with the id of the instance, that of etcd as long as the layout is Roster's.
   */
  readonly entry: string;
}

export interface Call {
  readonly kind: CallKind;
  /** From 1, among the calls of its kind over this link. */
  readonly number: number;
  /** What the protocol calls it. */
  readonly name: string;
  readonly touches: readonly Touch[];
}

/**
 * pass: to the server, whether the client is still there by then or not, and the answer back. refuse: the connection is reset, and the server sees
 * nothing of it. lose: the server does it, and the connection is reset in place of the answer; so are all calls that are under way on the same
 * connection. limit: the link answers as a server that takes no more for now.
 */
export type Fate = 'pass' | 'refuse' | 'lose' | 'limit' | { readonly delayMs: number };

export interface CallHandler {
  /** Nothing of the call has reached the server, and nothing does before this has answered. */
  asked(call: Call): Fate | Promise<Fate>;
  /** The server has answered, and the client hears of it only after this. `accepted`: it did what it was asked. */
  answered?(call: Call, accepted: boolean): void | Promise<void>;
}

export type Seen = Omit<Call, 'number'>;

/** Numbers calls and asks the handler, whose errors it keeps for whoever closes the link. */
export interface Calls {
  begin(seen: Seen): Promise<{ readonly call: Call; readonly fate: Exclude<Fate, object> }>;
  answered(call: Call, accepted: boolean): Promise<void>;
  /** Throws what the handler threw first. */
  assertHandled(): void;
}

export function createCalls({ asked, answered }: CallHandler): Calls {
  const counts = { claim: 0, write: 0, read: 0, other: 0 };
  const errors: unknown[] = [];
  return {
    async begin(seen) {
      const call: Call = { ...seen, number: ++counts[seen.kind] };
      try {
        const fate = await asked(call);
        if (typeof fate !== 'object') return { call, fate };
        await new Promise((resolve) => setTimeout(resolve, fate.delayMs));
        return { call, fate: 'pass' };
      } catch (error) {
        errors.push(error);
        return { call, fate: 'refuse' };
      }
    },
    async answered(call, accepted) {
      try {
        await answered?.(call, accepted);
      } catch (error) {
        errors.push(error);
      }
    },
    assertHandled() {
      if (errors.length > 0) throw errors[0];
    },
  };
}

/** Whether somebody else will see that it was carried out. */
export const changes = ({ kind }: Call): boolean => kind === 'claim' || kind === 'write';

/** Each entry once. */
export const touchesOf = (all: Iterable<Touch>): readonly Touch[] => [
  ...new Map(Array.from(all, (touch) => [touch.entry, touch])).values(),
];
