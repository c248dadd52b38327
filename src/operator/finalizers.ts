import type { Clock } from '../clock.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import type { EventRecorder } from '../kubernetes/events.ts';
import { ensureFinalizer, removeFinalizer } from '../kubernetes/finalizer.ts';
import { referencedRegistry } from '../mirror/selection.ts';
import { registrationId } from '../mirror/view.ts';
import type { Log } from '../telemetry/log.ts';
import { type Caches, findRegistration, findRegistry } from './cluster/caches.ts';
import type { DeletionGuards } from './deletion-guards.ts';
import { createFinalization } from './finalization.ts';
import type { RegistrySet } from './registry/registry-set.ts';
import { targetOf } from './reporting/statuses.ts';

export interface FinalizersOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly caches: Caches;
  readonly registries: Pick<RegistrySet, 'get'>;
  readonly guards: Pick<DeletionGuards, 'held'>;
  readonly events: EventRecorder;
  /** By id of a registry. */
  leads(registry: string): boolean;
  readonly signal: AbortSignal;
}

/** {@link createFinalization} on the API server, with what it has to tell. */
export function openFinalization(options: FinalizersOptions) {
  const { client, clock, log, caches, registries, guards, events, leads, signal } = options;
  return createFinalization({
    clock,
    find: (id) => findRegistration(caches, id).object,
    isHeld: (registration) => guards.held(referencedRegistry(registration), registrationId(registration)).size > 0,
    leads: (registration) => leads(referencedRegistry(registration)),
    registryOf: (id) => ({ exists: findRegistry(caches, id) !== undefined, worker: registries.get(id)?.worker }),
    async hold(registration) {
      await ensureFinalizer(client, targetOf(registration), signal);
    },
    release: (registration) => removeFinalizer(client, targetOf(registration), signal),
    onAbandoned(registration, entries, why) {
      const message = `let go although ${why}: ${entries} entries are left in ${referencedRegistry(registration)}`;
      events.record(targetOf(registration), 'Warning', 'EntriesLeftBehind', message);
      log.warn(
        { registration: registrationId(registration), entries, reason: why },
        'a registration was let go with its entries left behind',
      );
    },
    onError: (id, err) =>
      log.warn({ registration: id, err }, 'the finalizer could not be set or removed; it is tried again'),
  });
}
