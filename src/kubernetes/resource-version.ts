/**
 * Resource versions of one resource are decimal numbers without bound that grow with every write (KEP-5504), so they are compared
 * as text. Across resources, clusters and restores they say nothing.
 */
export const isResourceVersion = (value: unknown): value is string =>
  typeof value === 'string' && /^(0|[1-9][0-9]*)$/.test(value);

/** Negative when `a` is older than `b`. */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

export const newest = (a: string, b: string): string => (compareResourceVersions(a, b) >= 0 ? a : b);
