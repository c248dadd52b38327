import type { Registration } from '../api/kinds.generated.ts';
import type { Clock } from '../clock.ts';
import { FINALIZER } from '../kubernetes/finalizer.ts';
import { whyLeftBehind } from '../mirror/held-removals.ts';
import { referencedRegistry } from '../mirror/selection.ts';
import { registrationId } from '../mirror/view.ts';
import type { RegistryWorker } from './registry/registry-worker.ts';

export interface FinalizationOptions {
  readonly clock: Clock;
  find(id: string): Registration | undefined;
  /** The deletion guard holds entries of it back. */
  isHeld(registration: Registration): boolean;
  /** Only the leader of its registry touches a registration. */
  leads(registration: Registration): boolean;
  registryOf(id: string): { readonly exists: boolean; readonly worker: RegistryWorker | undefined };
  hold(registration: Registration): Promise<void>;
  release(registration: Registration): Promise<void>;
  /** The object goes while entries of it stay. */
  onAbandoned(registration: Registration, entries: number, why: string): void;
  onError(id: string, error: unknown): void;
}

/** A namespace that is being deleted waits no longer than this for a registry that does not answer. */
const PATIENCE_MS = 60_000;
const RECHECK_MS = 1_000;

/**
 * Deregistration is a side effect outside the cluster, so a registration is held by our finalizer until its entries are gone, but never
 * for ever: a registry that no longer exists, or that does not answer for a minute, lets it go with its entries left behind. Those bear
 * its name and are removed when the registry answers again, unless they are to be retained.
 */
export function createFinalization(options: FinalizationOptions) {
  const { clock } = options;
  const since = new Map<string, number>();
  /** True: asked for again meanwhile. */
  const busy = new Map<string, boolean>();
  const rechecks = new Map<string, () => void>();
  let stopped = false;

  function verdict(registration: Registration): 'wait' | 'done' | { readonly abandon: string } {
    const id = registrationId(registration);
    const retain = registration.spec.deletionPolicy === 'Retain';
    const registry = referencedRegistry(registration);
    const { exists, worker } = options.registryOf(registry);
    const first = since.get(id) ?? clock.now();
    since.set(id, first);
    if (worker === undefined && !exists) return retain ? 'done' : { abandon: 'its registry does not exist' };
    if (worker?.ledger.loaded === true) {
      // Once it is gone, an entry that does not bear the mark would be taken for a leftover and removed.
      if (retain && worker.ledger.unretainedOf(id) === 0) return 'done';
      // A run that began before the deletion may still register something: the deletion made its Service run once more after that.
      if (!retain && worker.link.state === 'up' && worker.ledger.countOf(id) === 0) return 'done';
    }
    if (clock.now() - first < PATIENCE_MS) return 'wait';
    return {
      abandon: options.isHeld(registration) ? whyLeftBehind(registry) : 'its registry did not take the changes in time',
    };
  }

  async function settle(id: string): Promise<void> {
    const registration = options.find(id);
    if (registration?.metadata.deletionTimestamp === undefined) since.delete(id);
    if (registration === undefined || !options.leads(registration)) return;
    if (registration.metadata.deletionTimestamp === undefined) {
      if (!registration.metadata.finalizers.includes(FINALIZER)) await options.hold(registration);
      return;
    }
    if (!registration.metadata.finalizers.includes(FINALIZER)) return;
    const what = verdict(registration);
    if (what === 'wait') return recheck(id);
    if (what !== 'done') {
      const { worker } = options.registryOf(referencedRegistry(registration));
      options.onAbandoned(registration, worker?.ledger.countOf(id) ?? 0, what.abandon);
    }
    await options.release(registration);
    since.delete(id);
  }

  function recheck(id: string): void {
    if (stopped || rechecks.has(id)) return;
    const cancel = clock.setTimer(RECHECK_MS, () => {
      rechecks.delete(id);
      look(id);
    });
    rechecks.set(id, cancel);
  }

  /** Call when the registration, or what stands for it, changed. Never throws. */
  function look(id: string): void {
    if (stopped) return;
    const again = busy.has(id);
    busy.set(id, again);
    if (again) return;
    settle(id)
      .catch((error: unknown) => {
        options.onError(id, error);
        recheck(id);
      })
      .finally(() => {
        const missed = busy.get(id) === true;
        busy.delete(id);
        if (missed) look(id);
      });
  }

  return {
    look,
    stop(): void {
      stopped = true;
      for (const cancel of rechecks.values()) cancel();
    },
  };
}
