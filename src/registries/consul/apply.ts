import type { Change } from '../../mirror/change.ts';
import { fencedOff } from '../claim.ts';
import { RegistryError } from '../error.ts';
import type { ChangeResult } from '../registry.ts';
import { type Batch, learnLimits, nextBatch, TXN_LIMITS } from './batches.ts';
import type { Claims } from './claims.ts';
import type { ConsulClient } from './client.ts';
import {
  acknowledge,
  contended,
  type Item,
  isLeased,
  isOpen,
  known,
  mustBeRead,
  parcelOf,
  refusal,
  settle,
  tooLarge,
} from './item.ts';
import { learn } from './learn.ts';
import type { Leases } from './lease.ts';
import type { Operation, Tenant } from './operations.ts';
import { nodeName } from './shards.ts';
import type { Standing } from './standing.ts';
import { commit, type Outcome } from './transaction.ts';
import type { TxnError } from './wire.ts';

export interface Writing {
  readonly client: ConsulClient;
  readonly tenant: Tenant;
  readonly leases: Pick<Leases, 'hold' | 'doubt'>;
  readonly claims: Pick<Claims, 'guardOf'>;
  standingOf(cluster: string): Standing;
  /** Rejects when writes would land elsewhere than configured. */
  assertTenant(operation: string, signal: AbortSignal): Promise<void>;
}

export type Apply = (changes: readonly Change[], signal: AbortSignal) => Promise<readonly ChangeResult[]>;

/** How often one change may be refused because something else stood than was known. */
const REFUSALS = 4;

type Attempt = Outcome | { readonly kind: 'failed'; readonly error: RegistryError };

/**
 * One transaction after the other, in order. One that Consul refuses is undone as a whole: what stands of the changes that it names is
 * read, the hopeless ones fail, and all others are sent again.
 */
export function createApply({ client, tenant, leases, claims, standingOf, assertTenant }: Writing): Apply {
  const limits = learnLimits(TXN_LIMITS);

  function batchOf(queue: readonly Item[]): Batch<Item, Operation> {
    const parcel = (item: Item) => parcelOf(item, tenant);
    const batch = nextBatch(queue, parcel, limits.current);
    // What the server takes lies between the last limit that was too large and the one now: alone, a change may still fit.
    return batch.taken.length > 0 ? batch : nextBatch(queue.slice(0, 1), parcel, TXN_LIMITS);
  }

  /** Leased entries stand where this client holds a lease, which may have to be opened; where it cannot be, nothing of theirs was written. */
  async function holdLeases(items: readonly Item[], signal: AbortSignal): Promise<void> {
    const hold = async (item: Item) => {
      const { marks, service } = item.change.instance;
      try {
        item.node = await leases.hold(marks.cluster, service, signal);
        item.standing.nodes.add(item.node);
      } catch (cause) {
        const error = RegistryError.from(cause, 'apply');
        if (isFinal(error)) throw error;
        settle(item, unsent(error));
      }
    };
    await Promise.all(items.filter(isLeased).map(hold));
  }

  /** Settles at least one item, or is nearer to it; gives those that are left. */
  async function step(queue: readonly Item[], signal: AbortSignal): Promise<readonly Item[]> {
    const unread = queue.slice(0, TXN_LIMITS.operations).filter(mustBeRead);
    if (unread.length > 0) {
      await readAnew(unread, signal);
      return queue.filter(isOpen);
    }
    const batch = batchOf(queue);
    const { taken } = batch;
    if (taken.length === 0) {
      for (const item of queue.slice(0, 1)) settle(item, tooLarge(item.change));
      return queue.slice(1);
    }
    const outcome = await attempt(client, batch.operations, signal);
    switch (outcome.kind) {
      case 'committed':
        limits.accepted(batch.bytes);
        for (const item of taken) acknowledge(item, outcome.indexes);
        return queue.slice(taken.length);
      case 'refused':
        if (!fenceOff(queue, batch, outcome.errors)) await reconsider(batch, outcome.errors, signal);
        return queue.filter(isOpen);
      case 'failed':
        return afterFailure(queue, batch, outcome.error);
    }
  }

  async function readAnew(items: readonly Item[], signal: AbortSignal): Promise<void> {
    const strangers = await learn(client, items, signal);
    for (const item of items) {
      const { id } = item.change.instance;
      if (item.change.action === 'deregister') {
        item.isVoid = item.standing.get(id)?.index === 0;
        // Under a claim it is for the server to say that nothing had to be done.
        if (item.isVoid && item.guard === undefined) settle(item);
      } else if (strangers.has(item)) {
        const message = `an entry without Roster's marks stands in Consul under the id ${id} on node ${item.node}; remove it there`;
        settle(item, new RegistryError('conflict', message));
      }
    }
  }

  /** Whether a claim is among what Consul refused: then nothing of its cluster is sent again. */
  function fenceOff(queue: readonly Item[], { operations }: Batch<Item, Operation>, errors: readonly TxnError[]) {
    const failed = new Set(errors.map(({ index }) => operations[index]));
    const lost = queue.filter(({ guard }) => guard !== undefined && failed.has(guard.operation));
    for (const item of lost.filter(isOpen)) settle(item, fencedOff('apply', item.change.instance.marks.cluster));
    return lost.length > 0;
  }

  async function reconsider(batch: Batch<Item, Operation>, errors: readonly TxnError[], signal: AbortSignal) {
    const reasons = new Map<Item, string>();
    for (const { index, what } of errors) for (const item of batch.origins[index] ?? []) reasons.set(item, what);
    if (reasons.size === 0)
      throw new RegistryError('protocol', 'apply: Consul refused a transaction without saying what of it');

    const before = new Map([...reasons.keys()].map((item) => [item, known(item)]));
    await readAnew([...reasons.keys()], signal);
    // A node with a lease stands as long as its lease is in force.
    const astray = new Set([...reasons.keys()].filter((item) => isLeased(item) && !item.standing.nodes.has(item.node)));
    for (const item of astray) leases.doubt(item.node);
    await holdLeases([...astray], signal);
    for (const [item, what] of reasons) {
      if (!isOpen(item)) continue;
      item.refusals++;
      // Nothing but what was known stands: it is the change itself that Consul does not take.
      if (before.get(item) === known(item) && !astray.has(item)) settle(item, refusal(item.change, what));
      else if (item.refusals >= REFUSALS) settle(item, contended(item.change));
    }
  }

  function afterFailure(queue: readonly Item[], { taken, bytes }: Batch<Item, Operation>, error: RegistryError) {
    if (error.code === 'too-large') {
      limits.refused(bytes);
      for (const item of taken.length === 1 ? taken : []) settle(item, tooLarge(item.change));
      return queue.filter(isOpen);
    }
    for (const { change, standing } of error.ambiguous ? taken : []) standing.forget(change.instance.id);
    if (isFinal(error)) throw error;
    for (const item of taken) settle(item, error);
    return giveUp(queue.slice(taken.length), error);
  }

  async function work(items: readonly Item[], signal: AbortSignal): Promise<void> {
    let queue: readonly Item[] = items;
    try {
      await assertTenant('apply', signal);
      await holdLeases(items, signal);
      queue = items.filter(isOpen);
      while (queue.length > 0) queue = await step(queue, signal);
    } catch (cause) {
      const error = RegistryError.from(cause, 'apply');
      if (isFinal(error)) throw error;
      giveUp(queue.filter(isOpen), error);
    }
  }

  return async (changes, signal) => {
    client.assertUsable('apply', signal);
    const items = changes.map((change): Item => {
      const { marks, service } = change.instance;
      return {
        change,
        node: nodeName(marks.cluster, service),
        standing: standingOf(marks.cluster),
        guard: claims.guardOf(marks.cluster),
        isVoid: false,
        refusals: 0,
      };
    });
    const written = announce(items);
    try {
      await work(items, signal);
    } finally {
      written();
    }
    return items.map(
      ({ result }) => result ?? { ok: false, error: new RegistryError('protocol', 'apply lost a change') },
    );
  };
}

/** To those who look for what others change. */
function announce(items: readonly Item[]): () => void {
  const ids = Map.groupBy(items, ({ standing }) => standing);
  const ends = [...ids].map(([standing, own]) => standing.writing(own.map(({ change }) => change.instance.id)));
  return () => {
    for (const end of ends) end();
  };
}

async function attempt(client: ConsulClient, operations: readonly Operation[], signal: AbortSignal): Promise<Attempt> {
  try {
    return await commit(client, { operation: 'apply', operations }, signal);
  } catch (error) {
    return { kind: 'failed', error: RegistryError.from(error, 'apply') };
  }
}

const isFinal = ({ code }: RegistryError): boolean => code === 'aborted' || code === 'closed';

/** Not the changes are at fault, so further batches would fare no better; what was not sent was not written. */
function giveUp(queue: readonly Item[], error: RegistryError): Item[] {
  for (const item of queue) settle(item, unsent(error));
  return [];
}

const unsent = ({ code, message, cause, retryAfterMs }: RegistryError): RegistryError =>
  new RegistryError(code, message, { cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
