import { RegistryError } from '../error.ts';
import type { Leftover } from './apply-decide.ts';
import type { Hands } from './apply-task.ts';
import { placeOf } from './entry.ts';

/** Removes one entry of ours: a leased one from the list that this client publishes. */
export function removeEntry(leftover: Leftover, id: string, hands: Hands): Promise<void> {
  const { service, host } = leftover;
  return hands.writing.recent.writing(service, [placeOf(host)], () => remove(leftover, id, hands));
}

async function remove({ service, host, seen }: Leftover, id: string, hands: Hands): Promise<void> {
  const { naming, writing, signal, run } = hands;
  const { leases, recent } = writing;
  const place = placeOf(host);
  if (host.ephemeral) {
    if (leases?.held(service).has(id) !== true) {
      if (seen) throw leasedElsewhere(id);
      return;
    }
    await run(() => leases.change(service, (list) => new Map([...list].filter(([held]) => held !== id)), signal));
  } else {
    try {
      await run(() => naming.remove(service, host, signal));
    } catch (error) {
      if (error instanceof RegistryError && error.ambiguous) recent.forget(service, place);
      throw error;
    }
  }
  recent.wrote(service, place, undefined);
}

export const leasedElsewhere = (id: string): RegistryError =>
  new RegistryError(
    'conflict',
    `${id} is leased by another client, and only that one can remove it; it vanishes when that client ends, or update it first`,
  );
