import { fencedOff } from '../claim.ts';
import { RegistryError } from '../error.ts';
import type { ChangeResult, ServiceRegistry } from '../registry.ts';

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

/** An operation of the client that it began on. */
type Call<R, O extends 'apply' | 'claim' | 'check'> = (
  client: Client<R>,
  ...asked: Parameters<ServiceRegistry[O]>
) => ReturnType<ServiceRegistry[O]>;

/**
 * One registry before changing clients, as with new credentials.
 *
 * Guarantees: no call is lost or made twice; `close` closes all clients that are left, and is done when they are.
 *
 * Caveats: an entry that the old client leased lapses with it. The new client lists it as `lapsing`, the ended watch says that there is something to
 * read, and whoever wants it writes it again within the TTL, as after a restart. Nor does the new client claim what the old one had claimed: that
 * would take it from whoever has claimed it since. Until the caller claims again, all is as if somebody else had: `fenced`.
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
  /** By cluster: the client that has claimed it. */
  const claimants = new Map<string, Client<R>>();
  let closed = false;

  const isFencedOff = (cluster: string, client: Client<R>): boolean => (claimants.get(cluster) ?? client) !== client;

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

  const via = <T>(pick: (client: Client<R>) => (signal: AbortSignal) => Promise<T>, isLasting: boolean) => {
    return async (signal: AbortSignal): Promise<T> => {
      const client = current;
      const run = pick(client);
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

  const apply: Call<R, 'apply'> = async (client, changes, signal) => {
    const isSent = changes.map(({ instance }) => !isFencedOff(instance.marks.cluster, client));
    // Of nothing too: a registry that was closed says so.
    const results = (
      await client.registry.apply(
        changes.filter((_, index) => isSent[index]),
        signal,
      )
    ).values();
    return changes.flatMap(({ instance }, index): readonly ChangeResult[] => {
      if (!isSent[index]) return [{ ok: false, error: fencedOff('apply', instance.marks.cluster) }];
      const { value } = results.next();
      return value === undefined ? [] : [value];
    });
  };

  const claim: Call<R, 'claim'> = async (client, asked, signal) => {
    await client.registry.claim(asked, signal);
    claimants.set(asked.cluster, client);
  };

  const check: Call<R, 'check'> = async (client, signal) => {
    const answer = await client.registry.check(signal);
    for (const cluster of claimants.keys()) if (isFencedOff(cluster, client)) throw fencedOff('check', cluster);
    return answer;
  };

  /** Each call finds the client of its moment. */
  const moving: R = {
    ...first,
    normalise: (instance) => current.registry.normalise(instance),
    apply: (changes, signal) => via((client) => (inner) => apply(client, changes, inner), false)(signal),
    list: (cluster, signal) =>
      via(
        ({ registry }) =>
          (inner) =>
            registry.list(cluster, inner),
        false,
      )(signal),
    discover: (service, signal) =>
      via(
        ({ registry }) =>
          (inner) =>
            registry.discover(service, inner),
        false,
      )(signal),
    claim: (asked, signal) => via((client) => (inner) => claim(client, asked, inner), false)(signal),
    check: (signal) => via((client) => (inner) => check(client, inner), false)(signal),
    watch: (scope, onHint, signal) =>
      via(
        ({ registry }) =>
          (inner) =>
            registry.watch(scope, onHint, inner),
        true,
      )(signal),
    kv: {
      get: (service, key, signal) =>
        via(
          ({ registry }) =>
            (inner) =>
              registry.kv.get(service, key, inner),
          false,
        )(signal),
      put: (service, key, value, signal) =>
        via(
          ({ registry }) =>
            (inner) =>
              registry.kv.put(service, key, value, inner),
          false,
        )(signal),
      watch: (service, key, onHint, signal) =>
        via(
          ({ registry }) =>
            (inner) =>
              registry.kv.watch(service, key, onHint, inner),
          true,
        )(signal),
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
