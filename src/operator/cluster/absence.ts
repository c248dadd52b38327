import type { ObjectKey } from '../../api/core.ts';
import type { Clock } from '../../clock.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import * as resources from '../../kubernetes/resources.ts';
import type { Log } from '../../telemetry/log.ts';
import { CONFIRM_MS } from '../reconcile.ts';
import type { Caches, CacheWriters } from './caches.ts';

export interface AbsenceProofOptions {
  readonly clock: Clock;
  readonly waitMs: number;
  /** A live quorum read. */
  ask(kind: string, key: ObjectKey): Promise<'absent' | 'present' | 'unknown'>;
  /** It came while it was being asked for: the cache then knows more than the answer. */
  isCached(kind: string, key: ObjectKey): boolean;
  /** The absence is now knowledge. */
  onProved(kind: string, key: ObjectKey): void;
}

/**
 * Rule 2c for objects that were never in the cache, as after a restart: absent from the complete cache at two looks `waitMs` apart, and a
 * live 404. (Objects that were cached and then went from a list are the reflector's, which proves their absence in the same way.)
 */
export function createAbsenceProof({ clock, waitMs, ask, isCached, onProved }: AbsenceProofOptions) {
  const firstMissed = new Map<string, number>();

  return {
    /** Call at each look that misses the object. */
    async missed(kind: string, key: ObjectKey): Promise<void> {
      const id = `${kind}/${key}`;
      const since = firstMissed.get(id);
      if (since === undefined) {
        firstMissed.set(id, clock.now());
        return;
      }
      if (clock.now() - since < waitMs) return;
      const answer = await ask(kind, key);
      if (answer === 'unknown') return;
      firstMissed.delete(id);
      if (answer === 'absent' && !isCached(kind, key)) onProved(kind, key);
    },
  };
}

export type AbsenceProof = ReturnType<typeof createAbsenceProof>;

export interface ClusterProofOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly caches: Caches;
  readonly writers: CacheWriters;
  readonly signal: AbortSignal;
}

/** Proofs for what entries name: their Service and their registration. A proved absence is remembered as such. */
export function proofsFor({ client, clock, log, caches, writers, signal }: ClusterProofOptions): AbsenceProof {
  const kinds = {
    Service: { resource: resources.services, cached: caches.services, remove: writers.services.remove },
    ServiceRegistration: {
      resource: resources.serviceRegistrations,
      cached: caches.serviceRegistrations,
      remove: writers.serviceRegistrations.remove,
    },
    ClusterServiceRegistration: {
      resource: resources.clusterServiceRegistrations,
      cached: caches.clusterServiceRegistrations,
      remove: writers.clusterServiceRegistrations.remove,
    },
  };
  const find = (kind: string) => Object.entries(kinds).find(([name]) => name === kind)?.[1];
  return createAbsenceProof({
    clock,
    waitMs: CONFIRM_MS,
    async ask(kind, key) {
      const found = find(kind);
      return found === undefined ? 'unknown' : resources.confirmAbsence(client, found.resource, key, signal);
    },
    isCached: (kind, key) => find(kind)?.cached.get(key) !== undefined,
    onProved(kind, key) {
      find(kind)?.remove(key, 'proved');
      log.info({ kind, object: key }, 'an object that entries name is gone: two looks and a live read lack it');
    },
  });
}
