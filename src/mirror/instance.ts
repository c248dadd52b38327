/** One address and port under one service name: what a registry holds, and the value that every decision is about. */

/**
 * healthy: takes traffic. draining: terminating but still serving, keep open connections, start no new ones.
 * unhealthy: listed, but not ready.
 */
export type Health = 'healthy' | 'draining' | 'unhealthy';

/**
 * persistent: stays until it is removed. leased: vanishes by itself, within the registry's TTL, when the client that holds it goes.
 * lapsing: leased by another client than the one that read it, and perhaps by nobody any more. Only ever read, never wanted: what is wanted
 * differs from it, and writing it again takes it over.
 */
export type Liveness = 'persistent' | 'leased' | 'lapsing';

/**
 * Guarantees: a plain value; equal content is equal by {@link sameInstance}; `tags` are sorted and unique.
 * Assumption: `id` is unique in one registry (see `instanceId` in naming.ts).
 */
export interface Instance {
  /** `cluster/namespace/service/address:port`, IPv6 in brackets. */
  readonly id: string;
  /** The name under which consumers find it, as the registry stores it (prefix included). */
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly health: Health;
  readonly liveness: Liveness;
  /** 0..10000, 0 drains. */
  readonly weight: number;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly marks: Marks;
}

/** By these we know our own. An entry that lacks them is never changed or removed. */
export interface Marks {
  /** `--cluster-name` of the operator that wrote it. */
  readonly cluster: string;
  /** `namespace/name` of the Service. */
  readonly owner: string;
  /** `Kind/namespace/name` of the registration that asked for it: names the object whose absence must be proved before removal. */
  readonly registration: string;
  /** `deletionPolicy: Retain`: stays when its registration goes. Carried by the entry, since the registration cannot be asked then. */
  readonly retained: boolean;
}

export const sameInstance = (a: Instance, b: Instance): boolean => canonical(a) === canonical(b);

/** The same text for equal content, whatever the order of keys and tags. */
export function canonical(instance: Instance): string {
  const { id, service, address, port, health, liveness, weight, tags, metadata, marks } = instance;
  const { cluster, owner, registration, retained } = marks;
  const pairs = Object.keys(metadata)
    .sort()
    .map((key) => [key, metadata[key]]);
  const head = [id, service, address, port, health, liveness, weight];
  return JSON.stringify([...head, [...tags].sort(), pairs, cluster, owner, registration, retained]);
}
