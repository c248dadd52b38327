/** Changes packed into as few transactions as their limits allow. */

export interface Limits {
  readonly operations: number;
  /** Of the JSON body. */
  readonly bytes: number;
}

/** What Consul takes in one `/v1/txn`: 128 operations (fixed in the server), 512 KiB (`limits.txn_max_req_len`). */
export const TXN_LIMITS: Limits = { operations: 128, bytes: 512 * 1_024 };

/** One change: its own operations, and those that must come before, once in each batch, whichever changes need them. */
export interface Parcel<Operation> {
  readonly own: readonly Operation[];
  readonly shared: readonly { readonly key: string; readonly operation: Operation }[];
}

export interface Batch<Item, Operation> {
  /** The leading items that fit; none when the first alone is over the limits. */
  readonly taken: readonly Item[];
  readonly operations: readonly Operation[];
  /** For each operation the items that need it. */
  readonly origins: readonly (readonly Item[])[];
  /** Of the JSON body. */
  readonly bytes: number;
}

/** Greedy and in order; the operations of one item are never split over two batches. */
export function nextBatch<Item, Operation>(
  items: readonly Item[],
  parcelOf: (item: Item) => Parcel<Operation>,
  limits: Limits,
): Batch<Item, Operation> {
  const taken: Item[] = [];
  const operations: Operation[] = [];
  const origins: Item[][] = [];
  const announced = new Map<string, Item[]>();
  let bytes = '[]'.length;

  for (const item of items) {
    const { own, shared } = parcelOf(item);
    const missing = shared.filter(({ key }) => !announced.has(key));
    const added = [...missing.map(({ operation }) => operation), ...own];
    const size = added.reduce((sum, operation) => sum + sizeOf(operation), 0);
    if (operations.length + added.length > limits.operations || bytes + size > limits.bytes) break;
    bytes += size;

    for (const { key } of missing) announced.set(key, []);
    for (const { key } of shared) announced.get(key)?.push(item);
    origins.push(...missing.map(({ key }) => announced.get(key) ?? []), ...own.map(() => [item]));
    operations.push(...added);
    taken.push(item);
  }
  return { taken, operations, origins, bytes };
}

const sizeOf = (operation: unknown): number => Buffer.byteLength(JSON.stringify(operation)) + ','.length;

export interface LearntLimits {
  readonly current: Limits;
  accepted(bytes: number): void;
  refused(bytes: number): void;
}

/** A server may be set to take less than `most`: the limit is searched for between what it took and what it refused. */
export function learnLimits(most: Limits): LearntLimits {
  let taken = 0;
  let tooMuch = Number.POSITIVE_INFINITY;
  let current = most;
  return {
    get current() {
      return current;
    },
    accepted(bytes) {
      taken = Math.max(taken, bytes);
    },
    refused(bytes) {
      tooMuch = Math.min(tooMuch, bytes);
      const least = taken < tooMuch ? taken : 0;
      current = { ...current, bytes: Math.floor((least + tooMuch) / 2) };
    },
  };
}
