import type { ConsulClient } from './client.ts';
import { CONSISTENT } from './read.ts';
import { readCommitted, readTxnErrors, type TxnError } from './wire.ts';

/** A refused one has written nothing. `indexes`: of each service that was set, by id. */
export type Outcome =
  | { readonly kind: 'committed'; readonly indexes: ReadonlyMap<string, number> }
  | { readonly kind: 'refused'; readonly errors: readonly TxnError[] };

export interface Transaction {
  /** Begins the message of an error. */
  readonly operation: string;
  /** As `/v1/txn` takes them. */
  readonly operations: readonly object[];
  /** False when all that it does is to compare and to get; default: true. */
  readonly writes?: boolean;
  /** What the token needs for it, where entries need something else. */
  readonly needs?: string;
}

/** All operations or none. Rejects with a RegistryError when it does not come to an outcome. */
export const commit = (
  client: ConsulClient,
  { operations, writes = true, ...call }: Transaction,
  signal: AbortSignal,
): Promise<Outcome> =>
  client.call<Outcome>(
    {
      ...call,
      writes,
      complete: false,
      // The package sends operations as they are; its types know them only in a spelling that no server takes.
      send: ({ transaction }, options) => {
        const asked = writes ? options : { ...CONSISTENT, ...options };
        return Reflect.apply(transaction.create, transaction, [operations, asked]);
      },
      read: (body) => ({ kind: 'committed', indexes: readCommitted(body) }),
    },
    signal,
    (status, body) => (status === 409 ? { kind: 'refused', errors: readTxnErrors(body) } : undefined),
  );
