import { RegistryError } from '../error.ts';
import type { Entries } from './entries.ts';
import { refusalIn } from './failure.ts';
import { type Item, isLeased, isOpen, settle } from './item.ts';
import type { Leases } from './leases.ts';
import type { Parcel } from './transaction.ts';

/** Which lease the keys of a change are put under. */
export interface Places {
  /** Gives each of these that is to be leased its places, for which leases are granted. Those that a full database gives none fail. */
  take(items: readonly Item[], signal: AbortSignal): Promise<void>;
  /** What the change does not hold any more, once its parcel has been carried out. */
  carriedOut(item: Item, parcel: Parcel): void;
  /** What a change that failed, or found nothing to do, holds in vain. */
  settled(item: Item): void;
}

export function createPlaces(entries: Entries, leases: Leases): Places {
  /** All that it may ever stand under, so that it stays under one lease whatever becomes of its health. */
  const keysOf = ({ change }: Item): readonly string[] => entries.empty(change.instance).map(({ key }) => key);

  /** Asked for again before each transaction: a change of the same entry before it may have given them back. */
  const place = (item: Item): string | undefined => {
    item.lease = leases.place(keysOf(item));
    return item.lease;
  };

  return {
    async take(items, signal) {
      const waiting = () => items.find((item) => isOpen(item) && isLeased(item.change) && place(item) === undefined);
      try {
        while (waiting() !== undefined) await leases.grow(signal);
      } catch (error) {
        if (refusalIn(error) !== 'full') throw error;
        for (let item = waiting(); item !== undefined; item = waiting())
          settle(item, RegistryError.from(error, 'apply'));
      }
    },
    carriedOut(item, parcel) {
      const held = new Set(isLeased(item.change) ? keysOf(item) : []);
      leases.release(parcel.map(({ key }) => key).filter((key) => !held.has(key)));
    },
    settled(item) {
      const { change, standing, result } = item;
      if (result === undefined || (result.ok ? change.action !== 'deregister' : result.error.ambiguous)) return;
      // Of which nothing is known may stand: a lease that loses its last place is not renewed any more.
      const known = standing.get(change.instance.id);
      if (known?.every(({ lease }) => !leases.isHeld(lease))) leases.release(keysOf(item));
    },
  };
}
