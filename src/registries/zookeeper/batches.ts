import { type Operation, sizeOf } from './requests.ts';

/** Far below the 1 MiB of `jute.maxbuffer`, and as many changes as make one write to the disk worth it. */
const BATCH_BYTES = 256 * 1_024;
export const BATCH_CHANGES = 200;

/** Longer ones the server answers by hanging up (`jute.maxbuffer`). */
export const REQUEST_BYTES = 1_040_000;

export interface Parcel<Item> {
  readonly item: Item;
  readonly operations: readonly Operation[];
  /** Goes into a transaction of its own. */
  readonly alone: boolean;
}

/** Packed in order; the operations of one item are never split. One that is larger than `bytes` is a batch by itself. */
export function batchesOf<Item>(
  parcels: readonly Parcel<Item>[],
  bytes = BATCH_BYTES,
): readonly (readonly Parcel<Item>[])[] {
  const batches: Parcel<Item>[][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const parcel of parcels) {
    const size = bytesOf([parcel]);
    const last = batches.at(-1);
    if (last === undefined || parcel.alone || held + size > bytes || last.length >= BATCH_CHANGES) {
      batches.push([parcel]);
      held = parcel.alone ? Number.POSITIVE_INFINITY : size;
    } else {
      last.push(parcel);
      held += size;
    }
  }
  return batches;
}

export const bytesOf = (parcels: readonly Parcel<unknown>[]): number =>
  parcels.reduce((sum, { operations }) => operations.reduce((total, one) => total + sizeOf(one), sum), 0);

export interface BatchLimit {
  bytes(): number;
  /**
   * The connection, told apart by what it was lost with, was over before the answer to a transaction of so many bytes came. True when that happened the
   * time before too, and nothing as large has passed since.
   */
  lost(cause: unknown, bytes: number): boolean;
  passed(bytes: number): void;
}

/** No batch is made smaller than that. */
const LEAST_BYTES = 16 * 1_024;

/**
 * A server that is set to take less says so by hanging up, as any cut connection does. It is believed from the second time in a row on: batches are
 * then half as large, for good.
 */
export function createBatchLimit(): BatchLimit {
  let limit = BATCH_BYTES;
  let last: { readonly cause: unknown; readonly bytes: number; readonly again: boolean } | undefined;
  return {
    bytes: () => limit,
    lost(cause, bytes) {
      if (last !== undefined && last.cause === cause) {
        last = { ...last, bytes: Math.max(last.bytes, bytes) };
        return last.again;
      }
      const again = last !== undefined;
      if (again) limit = Math.max(LEAST_BYTES, limit / 2);
      last = { cause, bytes, again };
      return again;
    },
    passed(bytes) {
      if (last !== undefined && bytes >= last.bytes) last = undefined;
    },
  };
}
