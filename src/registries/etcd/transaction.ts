import type { ICompare, IRequestOp } from 'etcd3';
import type { Change } from '../../mirror/change.ts';
import { comparisonOf, type Guard, readingOf } from './claims.ts';
import { digestOf, type Entries } from './entries.ts';
import type { HeldKey, Known } from './standing.ts';

/** What a transaction does with one key. */
export interface Step {
  readonly key: string;
  /** At which it is known to stand, and must; 0: it must not stand. */
  readonly revision: string;
  /** Put when it is there. */
  readonly value?: string;
  /** Under which it is put. */
  readonly lease: string;
  readonly remove: boolean;
}

/** What one change needs of a transaction. */
export type Parcel = readonly Step[];

export const NOTHING_KNOWN: Known = [];

/**
 * Every key of the instance is compared with the revision at which it is known to stand: a stranger's value under it, or a newer write of
 * another operator, makes the transaction fail instead of being overwritten. What stands already as it is wanted is compared and not put:
 * an equal value would be a new revision, and would wake every consumer. All that is put is put under `lease`, and what stands under another
 * one is put anew.
 *
 * Keys in `foreign` are not ours, and none of the change's business as long as it has nothing to put there.
 */
export function parcelOf(
  entries: Entries,
  { action, instance }: Change,
  known: Known,
  foreign: ReadonlySet<string>,
  lease: string,
): Parcel {
  const steps: Step[] = [];
  const slots = action === 'deregister' ? entries.empty(instance) : entries.filled(instance);
  for (const { key, value } of slots) {
    if (foreign.has(key)) continue;
    const held = known.find((one) => one.key === key);
    const revision = held?.revision ?? NOT_THERE;
    const stands = value !== undefined && held?.lease === lease && held.digest === digestOf(value);
    if (value === undefined) steps.push({ key, revision, lease, remove: held !== undefined });
    else if (stands) steps.push({ key, revision, lease, remove: false });
    else steps.push({ key, revision, value, lease, remove: false });
  }
  // Its name decides the key: under another name it moves.
  for (const { key, revision } of known) {
    if (!foreign.has(key) && !slots.some((slot) => slot.key === key))
      steps.push({ key, revision, lease, remove: true });
  }
  return steps;
}

const NOT_THERE = '0';

/** What stands after it was carried out, at this revision. */
export function knownAfter(known: Known, parcel: Parcel, revision: string): Known {
  const standing: HeldKey[] = [];
  for (const { key, value, lease, remove } of parcel) {
    if (value !== undefined) {
      standing.push({ key, revision, digest: digestOf(value), lease });
    } else if (!remove) {
      const held = known.find((one) => one.key === key);
      if (held !== undefined) standing.push(held);
    }
  }
  return standing;
}

export interface Limits {
  readonly items: number;
  readonly operations: number;
  readonly bytes: number;
}

export interface Batch<Item> {
  /** The leading items that fit; none when the first alone is over the limits. */
  readonly taken: readonly (readonly [item: Item, parcel: Parcel])[];
  /** Of its items, each once. */
  readonly guards: ReadonlySet<Guard>;
  readonly operations: number;
  readonly bytes: number;
}

/** What is to be known of an item. */
export interface Packing<Item> {
  parcelOf(item: Item): Parcel;
  guardOf(item: Item): Guard | undefined;
}

/**
 * Greedy and in order; one change is never split. No key is taken twice: in one transaction etcd refuses that, and in two at once the
 * first could be the last. Those that are taken are added to `busy`.
 */
export function nextBatch<Item>(
  items: readonly Item[],
  { parcelOf, guardOf }: Packing<Item>,
  limits: Limits,
  busy: Set<string>,
): Batch<Item> {
  const taken: [Item, Parcel][] = [];
  const guards = new Set<Guard>();
  let operations = 0;
  let bytes = 0;
  for (const item of items) {
    const steps = parcelOf(item);
    const guard = guardOf(item);
    const added = guard === undefined || guards.has(guard) ? [] : [guard];
    // A server counts the comparisons, and what is read where they fail, beside each other; no more than one of each for a guard.
    const count = operations + steps.length + added.length;
    const size = bytes + sizeOf([...steps, ...added]);
    const full = taken.length >= limits.items || count > limits.operations || size > limits.bytes;
    if (full || steps.some(({ key }) => busy.has(key))) break;
    for (const { key } of steps) busy.add(key);
    for (const one of added) guards.add(one);
    operations = count;
    bytes = size;
    taken.push([item, steps]);
  }
  return { taken, guards, operations, bytes };
}

/** Tags and lengths around a key and its comparison, rather too many than too few. */
const FRAMING = 128;

function sizeOf(steps: readonly Pick<Step, 'key' | 'value'>[]): number {
  let bytes = 0;
  for (const { key, value = '' } of steps) bytes += FRAMING + 2 * Buffer.byteLength(key) + Buffer.byteLength(value);
  return bytes;
}

export function requestOf(
  parcels: readonly Parcel[],
  guards: ReadonlySet<Guard>,
): { compare: ICompare[]; success: IRequestOp[]; failure: IRequestOp[] } {
  const compare: ICompare[] = [...guards].map(comparisonOf);
  const success: IRequestOp[] = [];
  for (const steps of parcels) {
    for (const { key: text, revision, value, lease, remove } of steps) {
      const key = Buffer.from(text);
      compare.push({ key, target: 'Mod', result: 'Equal', mod_revision: revision === NOT_THERE ? 0 : revision });
      if (value !== undefined) success.push({ request_put: { key, value: Buffer.from(value), lease } });
      else if (remove) success.push({ request_delete_range: { key } });
    }
  }
  // A transaction without any operation is compared by whichever member is asked, however far that is behind.
  const [first] = compare;
  if (success.length === 0 && first?.key !== undefined) {
    success.push({ request_range: { key: first.key, count_only: true } });
  }
  return { compare, success, failure: [...guards].map(readingOf) };
}
