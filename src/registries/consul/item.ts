import type { Change } from '../../mirror/change.ts';
import { RegistryError } from '../error.ts';
import type { ChangeResult } from '../registry.ts';
import type { Parcel } from './batches.ts';
import type { Guard } from './claims.ts';
import { checkEntry, stateOf } from './entry.ts';
import { type Operation, operationsOf, type Pending, type Tenant } from './operations.ts';

/** A change under way in one `apply`, until it has its result. */
export interface Item extends Pending {
  node: string;
  /** What must stand for it to be written; undefined where nothing is claimed. */
  readonly guard: Guard | undefined;
  /** A removal of what was read and does not stand: nothing is to be done but to compare the claim. */
  isVoid: boolean;
  /** How often Consul refused it. */
  refusals: number;
  result?: ChangeResult;
}

/** What is wanted leased; an update made of what was read may still say `lapsing`. */
export const isLeased = ({ change }: Item): boolean =>
  change.action !== 'deregister' && change.instance.liveness !== 'persistent';

export const isOpen = ({ result }: Item): boolean => result === undefined;

/**
 * A register needs no reading: that nothing stands is what it compares with. But a lease has a node of its own, so the comparison there says
 * nothing of the others.
 */
export function mustBeRead(item: Item): boolean {
  const { change, standing } = item;
  const { id } = change.instance;
  if (standing.get(id) !== undefined) return false;
  return change.action !== 'register' || standing.isDoubtful(id) || (isLeased(item) && !standing.complete);
}

/** What it needs of a transaction, the comparison with the claim before all else. */
export function parcelOf(item: Item, tenant: Tenant): Parcel<Operation> {
  const { guard, isVoid } = item;
  const { own, shared } = isVoid ? { own: [], shared: [] } : operationsOf(item, tenant);
  if (guard === undefined) return { own, shared };
  return { own, shared: [{ key: `claim ${guard.cluster}`, operation: guard.operation }, ...shared] };
}

/** What is thought to stand, as text to compare: a change that is refused although this stays the same is hopeless. */
export function known({ change, node, standing }: Item): string {
  const at = standing.get(change.instance.id) ?? { node, index: 0, checked: false };
  return `${at.node} ${at.index} ${at.doubles?.length} ${node} ${standing.nodes.has(node)}`;
}

export function settle(item: Item, error?: RegistryError): void {
  item.result = error === undefined ? { ok: true } : { ok: false, error };
}

/** It was written, at the index that Consul gave it. */
export function acknowledge(item: Item, indexes: ReadonlyMap<string, number>): void {
  const { change, node, standing } = item;
  const { id } = change.instance;
  settle(item);
  if (change.action === 'deregister') {
    standing.remove(id);
    return;
  }
  const check = checkEntry(change.instance);
  const state = isLeased(item) ? stateOf('leased', 'passing', check) : stateOf('persistent', undefined, check);
  const index = indexes.get(id);
  standing.nodes.add(node);
  if (index === undefined) standing.forget(id);
  else standing.set(id, { node, index, checked: check !== undefined, state });
}

/** Consul has no code for what it refuses in a transaction, only words; they quote values, so they are not shown. */
export function refusal({ instance }: Change, what: string): RegistryError {
  if (/permission denied|ACL not found/i.test(what)) {
    const needs = 'node:write on the prefix roster- and service:write on the service';
    return new RegistryError('forbidden', `Consul does not allow the token to write ${instance.id}; it needs ${needs}`);
  }
  return new RegistryError(
    'invalid',
    `Consul does not take ${instance.id} of service "${instance.service}"; its log says why`,
  );
}

export const contended = ({ instance }: Change): RegistryError =>
  new RegistryError('conflict', `${instance.id} is being written by someone else too; stop the other writer`);

export const tooLarge = ({ instance }: Change): RegistryError =>
  new RegistryError(
    'too-large',
    `${instance.id} is over the request limit of Consul (limits.txn_max_req_len); use less metadata or fewer tags`,
  );
