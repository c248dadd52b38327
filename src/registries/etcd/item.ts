import type { Change } from '../../mirror/change.ts';
import { RegistryError } from '../error.ts';
import type { ChangeResult } from '../registry.ts';
import type { Guard } from './claims.ts';
import type { Pending } from './learn.ts';
import { NO_LEASE } from './liveness.ts';

/** One change on its way into etcd. */
export interface Item extends Pending {
  /** Under which its keys are put; undefined until it has its places. */
  lease: string | undefined;
  /** What must stand for it to be written; undefined where nothing is claimed. */
  readonly guard: Guard | undefined;
  refusals: number;
  result?: ChangeResult;
}

export const itemOf = (change: Change, standing: Pending['standing'], guard: Guard | undefined): Item => ({
  change,
  standing,
  guard,
  foreign: NONE,
  lease: isLeased(change) ? undefined : NO_LEASE,
  refusals: 0,
});

const NONE: ReadonlySet<string> = new Set();

/** An update made of an entry that was read may still say `lapsing`: it takes the lease over. */
export const isLeased = ({ action, instance }: Change): boolean =>
  action !== 'deregister' && instance.liveness !== 'persistent';

export const isOpen = ({ result }: Item): boolean => result === undefined;

/** A register needs no reading: that nothing stands is what it compares with. */
export const mustBeRead = ({ change, standing }: Item): boolean =>
  change.action !== 'register' && standing.get(change.instance.id) === undefined;

export function settle(item: Item, error?: RegistryError): void {
  item.result = error === undefined ? { ok: true } : { ok: false, error };
}

export const occupied = ({ instance }: Change, key: string): RegistryError =>
  new RegistryError(
    'conflict',
    `an entry without Roster's marks stands in etcd under the key ${JSON.stringify(key)} of ${instance.id}; remove it there`,
  );

export const contended = ({ instance }: Change): RegistryError =>
  new RegistryError('conflict', `${instance.id} is being written by someone else too; stop the other writer`);

export const tooLarge = ({ instance }: Change): RegistryError =>
  new RegistryError(
    'too-large',
    `${instance.id} is over the request limit of etcd (--max-request-bytes); use less metadata or fewer tags`,
  );
