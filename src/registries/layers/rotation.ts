import { RegistryError } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';

export interface Rotation<R extends ServiceRegistry> {
  readonly registry: R;
  /**
   * From now on calls go to `next`. Those in flight end on the client that they began on, which is closed after the last of them. Its watches
   * reject with `unavailable`, so that their callers watch and list again.
   */
  rotate(next: R): void;
}

interface Client<R> {
  readonly registry: R;
  /** Aborts when the client is replaced. */
  readonly replaced: AbortController;
  calls: number;
  closing: Promise<void> | undefined;
}

/**
 * One registry before changing clients, as with new credentials.
 *
 * Guarantees: no call is lost or made twice; `close` closes all clients that are left, and is done when they are.
 *
 * Caveats: an entry that the old client leased lapses with it. The new client lists it as `lapsing`, the ended watch says that there is something to
 * read, and whoever wants it writes it again within the TTL, as after a restart.
 */
export function withRotation<R extends ServiceRegistry>(first: R): Rotation<R> {
  const open = (registry: R): Client<R> => ({
    registry,
    replaced: new AbortController(),
    calls: 0,
    closing: undefined,
  });
  let current = open(first);
  const clients = new Set([current]);
  let closed = false;

  const end = (client: Client<R>): Promise<void> => {
    client.closing ??= client.registry.close().finally(() => clients.delete(client));
    return client.closing;
  };

  /** What cannot be closed has been given up already, and nobody is there to hear of it. */
  const endWhenIdle = (client: Client<R>) => {
    if (client !== current && client.calls === 0) end(client).catch(() => {});
  };

  async function watching<T>(client: Client<R>, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>) {
    try {
      return await run(AbortSignal.any([signal, client.replaced.signal]));
    } catch (error) {
      if (signal.aborted || !client.replaced.signal.aborted) throw error;
      throw new RegistryError('unavailable', 'the credentials have changed; watch again, and read what stands', {
        cause: error,
      });
    }
  }

  const via = <T>(pick: (registry: R) => (signal: AbortSignal) => Promise<T>, isLasting: boolean) => {
    return async (signal: AbortSignal): Promise<T> => {
      const client = current;
      const run = pick(client.registry);
      if (isLasting) return watching(client, signal, run);
      client.calls++;
      try {
        return await run(signal);
      } finally {
        client.calls--;
        endWhenIdle(client);
      }
    };
  };

  /** Each call finds the client of its moment. */
  const moving: R = {
    ...first,
    normalise: (instance) => current.registry.normalise(instance),
    apply: (changes, signal) => via((to) => (inner) => to.apply(changes, inner), false)(signal),
    list: (cluster, signal) => via((to) => (inner) => to.list(cluster, inner), false)(signal),
    discover: (service, signal) => via((to) => (inner) => to.discover(service, inner), false)(signal),
    claim: (claim, signal) => via((to) => (inner) => to.claim(claim, inner), false)(signal),
    check: (signal) => via((to) => (inner) => to.check(inner), false)(signal),
    watch: (scope, onHint, signal) => via((to) => (inner) => to.watch(scope, onHint, inner), true)(signal),
    kv: {
      get: (service, key, signal) => via((to) => (inner) => to.kv.get(service, key, inner), false)(signal),
      put: (service, key, value, signal) =>
        via((to) => (inner) => to.kv.put(service, key, value, inner), false)(signal),
      watch: (service, key, onHint, signal) =>
        via((to) => (inner) => to.kv.watch(service, key, onHint, inner), true)(signal),
    },
    async close() {
      closed = true;
      await Promise.all([...clients].map(end));
    },
  };

  return {
    registry: moving,
    rotate(next) {
      const old = current;
      current = open(next);
      clients.add(current);
      // A client that comes after the end was never used.
      if (closed) return void end(current).catch(() => {});
      old.replaced.abort();
      endWhenIdle(old);
    },
  };
}
