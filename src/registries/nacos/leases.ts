import { type Clock, pause } from '../../clock.ts';
import { RegistryError } from '../error.ts';
import { inParallel } from '../parallel.ts';
import { clusterOf } from './entry.ts';
import { type Line, type LineOptions, openLine, type Request } from './grpc-line.ts';
import { publishList, type Space, withdrawList } from './grpc-requests.ts';
import type { NacosHost } from './host.ts';

/** Entries by id: what this client publishes under one service name. */
export type List = ReadonlyMap<string, NacosHost>;

/**
 * Leased entries, which Nacos ties to the connection that published them. It knows one list for each connection and service, replaced as a whole:
 * what stands in it is kept here, and published again when the connection was lost.
 */
export interface Leases {
  /** What the server has acknowledged; empty for a service of which nothing is published. */
  held(service: string): List;
  /** Publishes the list that `edit` makes of the one that stands; one after the other for each service. */
  change(service: string, edit: (list: List) => List, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface LeasesOptions extends Pick<LineOptions, 'servers' | 'access' | 'token'> {
  readonly space: Space;
  readonly clock: Clock;
  /** True when the cluster is somebody else's to write for by now. */
  fencedOff(cluster: string, signal: AbortSignal): Promise<boolean>;
}

interface Shard {
  readonly line: Line;
  readonly lists: Map<string, List>;
  /** Services on it, those whose first list is still under way included. */
  readonly services: Set<string>;
}

/** The server sends the whole of a connection to its peers for every change of one of its services. */
const SERVICES_PER_CONNECTION = 150;

const WIDTH = 8;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
const NOTHING: List = new Map();

/** The server takes 10 MiB in one message. */
const MESSAGE_BYTES = 10 * 1_024 * 1_024 - 64 * 1_024;

export function openLeases({ space, clock, fencedOff, ...way }: LeasesOptions): Leases {
  const closing = new AbortController();
  const shards: Shard[] = [];
  const shardOf = new Map<string, Shard>();
  const queues = new Map<string, Promise<void>>();

  const openShard = (): Shard => {
    const lists = new Map<string, List>();
    const line = openLine({
      ...way,
      onOpen: async (request, signal) => {
        await abandon(lists, signal);
        await republish(lists, request, signal);
      },
      onLost: () => void revive(shard),
    });
    const shard: Shard = { line, lists, services: new Set() };
    shards.push(shard);
    return shard;
  };

  const place = (service: string): Shard => {
    const known = shardOf.get(service);
    if (known !== undefined) return known;
    const shard = shards.find(({ services }) => services.size < SERVICES_PER_CONNECTION) ?? openShard();
    shard.services.add(service);
    shardOf.set(service, shard);
    return shard;
  };

  const leave = (service: string, shard: Shard) => {
    if (shard.lists.has(service)) return;
    shard.services.delete(service);
    shardOf.delete(service);
  };

  /** A process that stood still for long must not bring back what others have decided about since. */
  async function abandon(lists: Map<string, List>, signal: AbortSignal): Promise<void> {
    const clusters = new Set([...lists.values()].flatMap((list) => [...list.values()].map(clusterOf)));
    for (const cluster of clusters) {
      if (!(await fencedOff(cluster, signal))) continue;
      for (const [service, list] of lists) {
        const kept = [...list].filter(([, host]) => clusterOf(host) !== cluster);
        if (kept.length === 0) lists.delete(service);
        else lists.set(service, new Map(kept));
      }
    }
  }

  async function republish(lists: Map<string, List>, request: Request, signal: AbortSignal): Promise<void> {
    await inParallel([...lists], WIDTH, async ([service, list]) => {
      try {
        await request(publishList(space, service, [...list.values()]), signal);
      } catch (error) {
        // Refused as such: somebody took the name for persistent entries. A list shows that ours are gone.
        if (!(error instanceof RegistryError) || (error.code !== 'conflict' && error.code !== 'invalid')) throw error;
        lists.delete(service);
      }
    });
  }

  /** Nobody may ask for it, and yet the entries have to come back. */
  async function revive({ line, lists }: Shard): Promise<void> {
    for (let waitMs = 0; lists.size > 0 && !closing.signal.aborted; waitMs = longer(waitMs)) {
      await pause(clock, waitMs, closing.signal);
      try {
        await line.ready(closing.signal);
        return;
      } catch {
        // As long as it takes.
      }
    }
  }

  async function publish(service: string, edit: (list: List) => List, signal: AbortSignal): Promise<void> {
    const shard = place(service);
    try {
      const before = shard.lists.get(service) ?? NOTHING;
      const after = edit(before);
      const hosts = [...after.values()];
      if (hosts.length === 0) {
        const [any] = before.values();
        if (any !== undefined) await shard.line.call(withdrawList(space, service, any), signal);
        shard.lists.delete(service);
        return;
      }
      if (same(before, after)) return await shard.line.ready(signal);
      const call = publishList(space, service, hosts);
      if (Buffer.byteLength(JSON.stringify(call.body)) > MESSAGE_BYTES) throw tooLarge(service);
      await shard.line.call(call, signal);
      shard.lists.set(service, after);
    } finally {
      leave(service, shard);
    }
  }

  return {
    held: (service) => shardOf.get(service)?.lists.get(service) ?? NOTHING,
    async change(service, edit, signal) {
      const before = queues.get(service) ?? Promise.resolve();
      const turn = before.then(() => publish(service, edit, signal));
      const settled = turn.catch(() => {});
      queues.set(service, settled);
      void settled.then(() => {
        if (queues.get(service) === settled) queues.delete(service);
      });
      await turn;
    },
    close() {
      closing.abort();
      for (const { line } of shards) line.close();
    },
  };
}

const longer = (waitMs: number): number => Math.min(LAST_RETRY_MS, Math.max(FIRST_RETRY_MS, waitMs * 2));

/** The entries themselves are never changed, only put in each other's place. */
const same = (a: List, b: List): boolean => a.size === b.size && [...b].every(([id, host]) => a.get(id) === host);

const tooLarge = (service: string): RegistryError =>
  new RegistryError(
    'too-large',
    `the leased entries of service ${JSON.stringify(service)} are more than the 10 MiB that Nacos takes at once; spread them over several names`,
  );
