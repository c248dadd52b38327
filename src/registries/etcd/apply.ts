import type { ITxnResponse } from 'etcd3';
import type { Change } from '../../mirror/change.ts';
import { fencedOff } from '../claim.ts';
import { RegistryError } from '../error.ts';
import type { ChangeResult } from '../registry.ts';
import { type Claims, lostIn } from './claims.ts';
import type { EtcdClient } from './client.ts';
import type { Entries } from './entries.ts';
import { refusalIn } from './failure.ts';
import { contended, type Item, isOpen, itemOf, mustBeRead, occupied, settle, tooLarge } from './item.ts';
import { learn } from './learn.ts';
import type { Leases } from './leases.ts';
import { NO_LEASE } from './liveness.ts';
import type { OwnWrites } from './own-writes.ts';
import { createPlaces } from './places.ts';
import { TXN_OPERATIONS } from './read.ts';
import { brokenRule } from './rules.ts';
import type { Standing } from './standing.ts';
import {
  type Batch,
  knownAfter,
  type Limits,
  NOTHING_KNOWN,
  nextBatch,
  type Parcel,
  parcelOf,
  requestOf,
  type Step,
} from './transaction.ts';

export interface Writing {
  readonly client: EtcdClient;
  readonly entries: Entries;
  readonly leases: Leases;
  readonly claims: Pick<Claims, 'guardOf'>;
  readonly own: OwnWrites;
  standingOf(cluster: string): Standing;
}

export type Apply = (changes: readonly Change[], signal: AbortSignal) => Promise<readonly ChangeResult[]>;

/** How often one change may be refused because something else stood than was known. */
const REFUSALS = 4;

/** The server takes 1.5 MiB (--max-request-bytes), with its own framing. */
const TXN_BYTES = 1_280 * 1_024;

type Outcome =
  | { readonly kind: 'answered'; readonly answer: ITxnResponse }
  | { readonly kind: 'failed'; readonly error: RegistryError };

/** Transactions in flight at once: the next ones are made ready while the server is at work. */
const WINDOW = 4;

/**
 * Transactions in order, a few at once; what removes something waits until all before it has been answered. One in which something else stood than
 * was known changes nothing: what stands is read, the hopeless changes fail, and all others are sent again.
 */
export function createApply({ client, entries, leases, claims, own, standingOf }: Writing): Apply {
  const places = createPlaces(entries, leases);
  // A server may be set to take less.
  let operations = TXN_OPERATIONS;
  let bytes = TXN_BYTES;

  /** Settles at least one item, or is nearer to it; gives those that are left, and how many of them to take at most. */
  async function step(queue: readonly Item[], items: number, signal: AbortSignal): Promise<Next> {
    const limits: Limits = { items, operations, bytes };
    const head = (from: number) => queue.slice(from, from + Math.min(items, operations));
    const unread = head(0).filter(mustBeRead);
    if (unread.length > 0) {
      await readAnew(unread, signal);
      return { queue: queue.filter(isOpen), items };
    }
    await places.take(queue.slice(0, WINDOW * Math.min(items, operations)), signal);
    if (!queue.every(isOpen)) return { queue: queue.filter(isOpen), items };
    const sent: Sent[] = [];
    const busy = new Set<string>();
    for (let at = 0; at < queue.length && sent.length < WINDOW; ) {
      const next = head(at);
      if (next.some(mustBeRead)) break;
      const batch = nextBatch(next, packing, limits, busy);
      if (batch.taken.length === 0 || (sent.length > 0 && removes(batch))) break;
      sent.push({ batch, outcome: send(batch, signal) });
      at += batch.taken.length;
      if (removes(batch)) break;
    }
    if (sent.length === 0) {
      for (const item of queue.slice(0, 1)) settle(item, tooLarge(item.change));
      return { queue: queue.slice(1), items };
    }
    return afterAnswers(queue, items, await answersOf(sent), signal);
  }

  async function afterAnswers(
    queue: readonly Item[],
    items: number,
    answers: readonly Answered[],
    signal: AbortSignal,
  ) {
    for (const { batch, outcome } of answers) {
      if (outcome.kind === 'failed' && outcome.error.ambiguous) forget(batch);
      if (outcome.kind !== 'answered' || !outcome.answer.succeeded) continue;
      for (const [item, parcel] of batch.taken) acknowledge(item, parcel, outcome.answer.header.revision);
    }
    let next: Next = { queue, items: Math.min(items * 2, TXN_OPERATIONS) };
    for (const { batch, outcome } of answers) {
      if (outcome.kind === 'failed' && refusalIn(outcome.error) === 'no-lease')
        await afterLoss(batch, outcome.error, signal);
      else if (outcome.kind === 'failed') next = afterFailure(next, batch, outcome.error);
      else if (!outcome.answer.succeeded && !fenceOff(queue, batch, outcome.answer)) await reconsider(batch, signal);
    }
    return { queue: next.queue.filter(isOpen), items: next.items };
  }

  async function send({ taken, guards }: Batch<Item>, signal: AbortSignal): Promise<Outcome> {
    const parcels = taken.map(([, parcel]) => parcel);
    const request = requestOf(parcels, guards);
    const writes = parcels.flat().some((step) => puts(step) || step.remove);
    try {
      const answer = await own.during(
        () =>
          client.call(
            { operation: 'apply', writes: true, send: ({ kv }, options) => kv.txn(request, options) },
            signal,
          ),
        ({ succeeded, header }) => (succeeded && writes ? header.revision : undefined),
      );
      return { kind: 'answered', answer };
    } catch (error) {
      return { kind: 'failed', error: RegistryError.from(error, 'apply') };
    }
  }

  function acknowledge(item: Item, parcel: Parcel, revision: string): void {
    const { change, standing } = item;
    const { id } = change.instance;
    settle(item);
    places.carriedOut(item, parcel);
    if (change.action === 'deregister') standing.forget(id);
    else standing.set(id, knownAfter(standing.get(id) ?? NOTHING_KNOWN, parcel, revision));
  }

  const parcelOfItem = ({ change, standing, foreign, lease }: Item): Parcel =>
    parcelOf(entries, change, standing.get(change.instance.id) ?? NOTHING_KNOWN, foreign, lease ?? NO_LEASE);

  const packing = { parcelOf: parcelOfItem, guardOf: ({ guard }: Item) => guard };

  /** Whether a claim is what the transaction was refused for: then nothing of its cluster is sent again. */
  function fenceOff(queue: readonly Item[], { guards }: Batch<Item>, answer: ITxnResponse): boolean {
    const lost = lostIn(guards, answer);
    for (const item of queue) {
      const { guard } = item;
      if (guard !== undefined && lost.has(guard) && isOpen(item)) settle(item, fencedOff('apply', guard.cluster));
    }
    return lost.size > 0;
  }

  async function readAnew(items: readonly Item[], signal: AbortSignal): Promise<void> {
    await learn(client, entries, items, signal);
    for (const item of items) {
      const { change, standing, foreign, guard } = item;
      if (change.action === 'deregister') {
        // Under a claim it is for the server to say that nothing had to be done.
        if (guard === undefined && standing.get(change.instance.id)?.length === 0) settle(item);
        continue;
      }
      const taken = entries.filled(change.instance).find(({ key, value }) => value !== undefined && foreign.has(key));
      if (taken !== undefined) settle(item, occupied(change, taken.key));
    }
  }

  async function reconsider({ taken }: Batch<Item>, signal: AbortSignal): Promise<void> {
    const items = taken.map(([item]) => item);
    const before = new Map(items.map((item) => [item, expected(item)]));
    await readAnew(items, signal);
    const surprised = items.filter((item) => before.get(item) !== expected(item));
    for (const item of surprised.length === 0 ? items : surprised) {
      item.refusals++;
      if (isOpen(item) && item.refusals >= REFUSALS) settle(item, contended(item.change));
    }
  }

  /** A lease that is gone gets another in its place; one that is there all the same is not asked for ever. */
  async function afterLoss({ taken }: Batch<Item>, error: RegistryError, signal: AbortSignal): Promise<void> {
    await leases.verify(signal);
    for (const [item] of taken) {
      item.refusals++;
      if (item.refusals >= REFUSALS) settle(item, error);
    }
  }

  const expected = (item: Item): string =>
    parcelOfItem(item)
      .map(({ key, revision }) => `${key} ${revision}`)
      .join('\n');

  /** Limits it to what the server takes, or settles what it does not take at all. */
  function afterFailure({ queue, items }: Next, batch: Batch<Item>, error: RegistryError): Next {
    const { taken } = batch;
    const [first] = taken;
    const alone = taken.length === 1 ? first : undefined;
    if (isFinal(error)) throw error;
    switch (refusalIn(error)) {
      case 'too-many-operations':
        if (alone === undefined) operations = Math.min(operations, Math.ceil(batch.operations / 2));
        else settleAll(taken, error);
        return { queue, items };
      case 'request-too-large':
        if (alone === undefined) bytes = Math.min(bytes, Math.ceil(batch.bytes / 2));
        else settleAll(taken, tooLarge(alone[0].change));
        return { queue, items };
      case 'full': {
        // What removes something is taken all the same, and is what consumers need most.
        const full = queue.filter((item) => isOpen(item) && parcelOfItem(item).some(puts));
        for (const item of full) settle(item, error);
        if (taken.every(([item]) => isOpen(item))) settleAll(taken, error);
        return { queue, items };
      }
    }
    if (error.code !== 'forbidden') {
      settleAll(taken, error);
      return { queue: giveUp(queue.filter(isOpen), error), items };
    }
    // Rights are given by key ranges, of which those of a service are one.
    if (taken.some(([{ change }]) => change.instance.service !== first?.[0].change.instance.service)) {
      return { queue, items: Math.min(items, Math.floor(taken.length / 2)) };
    }
    settleAll(taken, error);
    return { queue, items: Math.min(items, taken.length * 2) };
  }

  return async (changes, signal) => {
    client.assertUsable('apply', signal);
    const all = changes.map((change): Item => {
      const { cluster } = change.instance.marks;
      const item = itemOf(change, standingOf(cluster), claims.guardOf(cluster));
      const broken = change.action === 'deregister' ? undefined : brokenRule(entries.layout, change.instance);
      if (broken !== undefined) settle(item, new RegistryError('invalid', broken));
      return item;
    });
    let next: Next = { queue: all.filter(isOpen), items: TXN_OPERATIONS };
    while (next.queue.length > 0) {
      try {
        next = await step(next.queue, next.items, signal);
      } catch (cause) {
        const error = RegistryError.from(cause, 'apply');
        if (isFinal(error)) throw error;
        next = { queue: giveUp(next.queue.filter(isOpen), error), items: TXN_OPERATIONS };
      }
    }
    for (const item of all) places.settled(item);
    return all.map(
      ({ result }) => result ?? { ok: false, error: new RegistryError('protocol', 'apply lost a change') },
    );
  };
}

interface Answered {
  readonly batch: Batch<Item>;
  readonly outcome: Outcome;
}

interface Sent {
  readonly batch: Batch<Item>;
  readonly outcome: Promise<Outcome>;
}

const answersOf = (sent: readonly Sent[]): Promise<readonly Answered[]> =>
  Promise.all(sent.map(async ({ batch, outcome }) => ({ batch, outcome: await outcome })));

const removes = ({ taken }: Batch<Item>): boolean => taken.some(([, parcel]) => parcel.some(({ remove }) => remove));

const puts = ({ value }: Step): boolean => value !== undefined;

function forget({ taken }: Batch<Item>): void {
  for (const [{ change, standing }] of taken) standing.forget(change.instance.id);
}

interface Next {
  readonly queue: readonly Item[];
  readonly items: number;
}

const isFinal = ({ code }: RegistryError): boolean => code === 'aborted' || code === 'closed';

function settleAll(taken: Batch<Item>['taken'], error: RegistryError): void {
  for (const [item] of taken) settle(item, error);
}

/** Not the changes are at fault, so further transactions would fare no better; what was not sent was not written. */
function giveUp(queue: readonly Item[], { code, message, cause }: RegistryError): readonly Item[] {
  const unsent = new RegistryError(code, message, { cause });
  for (const item of queue) settle(item, unsent);
  return [];
}
