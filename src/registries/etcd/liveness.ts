import type { Liveness } from '../../mirror/instance.ts';

/** The lease of a key that has none. */
export const NO_LEASE = '0';

/**
 * Of an entry, by the leases of its keys. Where they disagree, somebody else has put one of them: that is neither persistent nor leased, and so
 * differs from whatever is wanted.
 */
export function livenessOf(leases: readonly string[], isHeld: (lease: string) => boolean): Liveness {
  const [first = NO_LEASE] = leases;
  if (leases.some((lease) => lease !== first)) return 'lapsing';
  if (first === NO_LEASE) return 'persistent';
  return isHeld(first) ? 'leased' : 'lapsing';
}
