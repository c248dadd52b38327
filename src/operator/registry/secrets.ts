import { type Clock, pause } from '../../clock.ts';
import { hasCredentials } from './credentials.ts';
import type { RegistrySet } from './registry-set.ts';

const SECRETS_MS = 10_000;

/** Neither Secrets nor files are watched: those that registries name are read again, and a changed one makes a new client. */
export async function rereadSecrets(registries: RegistrySet, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    await pause(clock, SECRETS_MS, signal);
    if (signal.aborted) return;
    const named = [...registries.ids()].filter((id) => {
      const slot = registries.get(id);
      return slot !== undefined && hasCredentials(slot.object);
    });
    await Promise.all(named.map((id) => registries.sync(id)));
  }
}
