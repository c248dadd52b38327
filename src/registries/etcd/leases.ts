import { cancelled } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import type { EtcdClient } from './client.ts';
import { grant, renew } from './lease-calls.ts';

/** The leases of one client, and which keys stand under them. */
export interface Leases {
  /** Granted to this client, and not known to be lost. */
  isHeld(lease: string): boolean;
  /** The lease for all these keys, with a place for each, or undefined when there is room in none. Keys that have their places keep them. */
  place(keys: readonly string[]): string | undefined;
  /** One more lease, or the rejection of the server. Whoever asks while it is being granted gets the same. */
  grow(signal: AbortSignal): Promise<void>;
  /** These stand under no lease of ours. */
  release(keys: Iterable<string>): void;
  /** Renews all now: those that are lost are known to be when it resolves. */
  verify(signal: AbortSignal): Promise<void>;
  /** Nothing is renewed any more, and nothing given back: what is leased lapses. */
  close(): void;
}

/** Up to etcd 3.5.9 a lease becomes slower with every key under it. */
const KEYS_PER_LEASE = 1_000;

const RENEWALS = 3;
/** A renewal that failed is tried again this much sooner than in time for the next. */
const RETRIES = 12;
const RETRY_AT_LEAST_MS = 500;
const RETRY_AT_MOST_MS = 5_000;
const ANSWER_AT_LEAST_MS = 1_000;

interface Lease {
  readonly id: string;
  readonly keys: Set<string>;
}

/**
 * One timer and one stream renew all of them: no write to etcd's log. It holds no process: whoever ends without closing lets his entries lapse.
 *
 * A lease without keys is not renewed any more. A key that somebody else removed keeps its place until it is written again.
 */
export function openLeases(client: EtcdClient, ttlMs: number): Leases {
  const leases = new Map<string, Lease>();
  const places = new Map<string, Lease>();
  /** Those that are not full: of a hundred thousand entries few are. */
  const roomy = new Set<Lease>();
  const answersWithinMs = Math.max(ANSWER_AT_LEAST_MS, ttlMs / (2 * RENEWALS));
  let growing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const schedule = (ms: number) => {
    if (!closed) timer = setTimeout(() => void renewInTime(), ms).unref();
  };

  async function renewAll(signal: AbortSignal): Promise<void> {
    for (const lease of roomy) if (lease.keys.size === 0) drop(lease);
    if (leases.size === 0) return;
    for (const id of await renew(client, [...leases.keys()], answersWithinMs, signal)) {
      const lost = leases.get(id);
      if (lost !== undefined) drop(lost);
    }
  }

  /** Never rejects: that it was not in time shows in etcd, to everyone. */
  async function renewInTime(): Promise<void> {
    try {
      await renewAll(NEVER);
      schedule(ttlMs / RENEWALS);
    } catch {
      schedule(Math.min(RETRY_AT_MOST_MS, Math.max(RETRY_AT_LEAST_MS, ttlMs / RETRIES)));
    }
  }

  const hasRoom = ({ keys: taken }: Lease, keys: readonly string[]): boolean =>
    taken.size + keys.filter((key) => !taken.has(key)).length <= KEYS_PER_LEASE;

  const release = (keys: Iterable<string>) => {
    for (const key of keys) {
      const lease = places.get(key);
      if (lease === undefined) continue;
      places.delete(key);
      lease.keys.delete(key);
      roomy.add(lease);
    }
  };

  const drop = (lease: Lease) => {
    release([...lease.keys]);
    leases.delete(lease.id);
    roomy.delete(lease);
  };

  return {
    isHeld: (lease) => leases.has(lease),
    place(keys) {
      const before = keys.map((key) => places.get(key)).find((lease) => lease !== undefined);
      const found =
        before !== undefined && hasRoom(before, keys) ? before : firstOf(roomy, (lease) => hasRoom(lease, keys));
      if (found === undefined) return undefined;
      for (const key of keys) {
        if (places.get(key) === found) continue;
        release([key]);
        found.keys.add(key);
        places.set(key, found);
      }
      if (found.keys.size >= KEYS_PER_LEASE) roomy.delete(found);
      return found.id;
    },
    grow(signal) {
      growing ??= grant(client, ttlMs, NEVER)
        .then((id) => {
          const lease = { id, keys: new Set<string>() };
          leases.set(id, lease);
          roomy.add(lease);
          if (timer === undefined) schedule(ttlMs / RENEWALS);
        })
        .finally(() => {
          growing = undefined;
        });
      return unlessAborted(growing, signal, () => cancelled('apply', signal, true));
    },
    release,
    verify: renewAll,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function firstOf<T>(all: Iterable<T>, is: (one: T) => boolean): T | undefined {
  for (const one of all) if (is(one)) return one;
  return undefined;
}

/** What serves all ends with the client alone. */
const NEVER = new AbortController().signal;
