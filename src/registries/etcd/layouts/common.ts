import type { Instance } from '../../../mirror/instance.ts';
import { segment } from '../keys.ts';
import { isReserved } from '../value.ts';

/** What the layouts of frameworks have in common. Their consumers know neither health nor weight 0. */

export const takesTraffic = ({ health, weight }: Instance): boolean => health === 'healthy' && weight > 0;

/** A slash would put a service below another one, whose consumers would get it; the dot keeps clear of Roster's records. */
export function brokenNameRule({ service }: Instance): string | undefined {
  if (service.includes('/'))
    return `a service name with a slash, ${JSON.stringify(service)}, is read as two in this layout`;
  if (service.startsWith('.'))
    return `a service name that begins with a dot, ${JSON.stringify(service)}, is Roster's own`;
  return undefined;
}

/** Between a scheme or nothing and a port. */
export function brokenHostRule({ address }: Instance): string | undefined {
  return /^[^\s/[\]@?#]+$/.test(address) ? undefined : `${JSON.stringify(address)} cannot be the host of an address`;
}

export function brokenMetadataRule({ metadata }: Instance, ...taken: readonly string[]): string | undefined {
  const key = Object.keys(metadata).find((one) => isReserved(one) || taken.includes(one));
  if (key === undefined) return undefined;
  return `metadata key ${JSON.stringify(key)} is reserved in this layout: ${[...taken, 'managed-by', 'roster-*'].join(', ')} are`;
}

/**
 * `<cluster>/<rest>`: an id begins with its cluster, which is not said twice. One that does not keeps a slash before it, which no rest begins
 * with, so that no two ids share a tail.
 */
export const clusterTail = (instance: Instance): string => `${segment(instance.marks.cluster)}/${restOf(instance)}`;

export function restOf({ id, marks }: Instance): string {
  const rest = id.startsWith(`${marks.cluster}/`) ? id.slice(marks.cluster.length + 1) : '';
  return rest === '' || rest.startsWith('/') ? `/${id}` : rest;
}
