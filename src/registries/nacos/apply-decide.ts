import type { Change } from '../../mirror/change.ts';
import type { Instance } from '../../mirror/instance.ts';
import { RegistryError } from '../error.ts';
import { idOf, isOurs, placeOf, placeOfInstance } from './entry.ts';
import type { NacosHost } from './host.ts';

export interface Leftover {
  readonly service: string;
  readonly host: NacosHost;
  /** The server shows it; else the caller knows of it, and the server may not show it yet. */
  readonly seen: boolean;
}

/** What a change means, given what stands. */
export type Decision =
  | { readonly kind: 'refuse'; readonly error: RegistryError }
  | {
      readonly kind: 'write';
      /** Entries of the change's id that stand elsewhere, and are to go once it is written; of a deregister all that are to go. */
      readonly remove: readonly Leftover[];
    };

/**
 * Nacos has no compare-and-set: what is decided here was read a moment before. `hosts`: of a service by its name, entries of strangers included;
 * `asHost`: how an instance would stand.
 */
export function decide(
  change: Change,
  hosts: (service: string) => readonly NacosHost[],
  asHost: (instance: Instance) => NacosHost,
): Decision {
  const { instance } = change;
  const standing = hosts(instance.service);
  if (change.action === 'deregister') return { kind: 'write', remove: goners(instance, standing, asHost) };

  const { id, marks } = instance;
  const place = placeOfInstance(instance);
  const atPlace = standing.filter((host) => placeOf(host) === place);
  if (atPlace.some((host) => !isOurs(host, marks.cluster))) return refuse(occupied(instance));
  if (atPlace.some((host) => idOf(host) !== id)) return refuse(shared(instance));
  const elsewhere = seenIn(
    instance.service,
    standing.filter((host) => isEntryOf(instance, host) && placeOf(host) !== place),
  );
  if (change.action === 'register') return { kind: 'write', remove: elsewhere };
  const { previous } = change;
  const before = hosts(previous.service);
  const left = placeOfInstance(previous);
  if (before.some((host) => placeOf(host) === left && !isOurs(host, marks.cluster))) return refuse(occupied(previous));
  const moved = previous.service === instance.service ? [] : goners({ ...previous, id, marks }, before, asHost);
  return { kind: 'write', remove: [...elsewhere, ...moved] };
}

/** Ours by this id, and the one that the caller knows of, even if the server does not show it yet; a stranger's in its place stays. */
function goners(
  instance: Instance,
  standing: readonly NacosHost[],
  asHost: (instance: Instance) => NacosHost,
): readonly Leftover[] {
  const { service } = instance;
  const place = placeOfInstance(instance);
  const ours = seenIn(
    service,
    standing.filter((host) => isEntryOf(instance, host)),
  );
  if (standing.some((host) => placeOf(host) === place)) return ours;
  return [...ours, { service, host: asHost(instance), seen: false }];
}

const seenIn = (service: string, hosts: readonly NacosHost[]): readonly Leftover[] =>
  hosts.map((host) => ({ service, host, seen: true }));

const isEntryOf = ({ id, marks }: Instance, host: NacosHost): boolean =>
  isOurs(host, marks.cluster) && idOf(host) === id;

const refuse = (error: RegistryError): Decision => ({ kind: 'refuse', error });

const occupied = ({ id, service, address, port }: Instance): RegistryError =>
  new RegistryError(
    'conflict',
    `${id}: an entry that is not ours stands at ${address}:${port} of service ${quote(service)}, and Nacos has room for one; remove it there`,
  );

export const shared = ({ id, service, address, port }: Instance): RegistryError =>
  new RegistryError(
    'conflict',
    `${id}: another entry of this cluster stands at ${address}:${port} of service ${quote(service)}, and Nacos has room for one; use another name`,
  );

const quote = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
