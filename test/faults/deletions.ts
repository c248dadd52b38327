import type { Clock } from '../../src/clock.ts';
import type { Recorded } from './api-server.ts';

/** A process that was told, and lived so long after it, has done what follows from it. */
const DONE_MS = 5_000;
const MATTER: ReadonlySet<string> = new Set([
  'services',
  'endpointslices.discovery.k8s.io',
  'serviceregistrations.roster.dev',
  'clusterserviceregistrations.roster.dev',
]);

/** Of which deletions a process was told that then lived long enough. What goes after any other is not gone before its absence is proved. */
export function createDeletions(clock: Clock) {
  const seen = new Map<number, number>();
  return {
    seen: (version: number): void => void seen.set(version, clock.now()),
    /** The process has died. */
    forget(): void {
      for (const [version, at] of seen) if (clock.now() - at < DONE_MS) seen.delete(version);
    },
    wasMissed: (history: readonly Recorded[]): boolean =>
      history.some(({ type, resource, version }) => type === 'DELETED' && MATTER.has(resource) && !seen.has(version)),
  };
}
