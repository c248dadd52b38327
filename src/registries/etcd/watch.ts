import type { CallOptions } from '@grpc/grpc-js';
import type { Etcd3, IEvent, IWatchResponse } from 'etcd3';
import type { Scope, ServiceRegistry } from '../registry.ts';
import type { EtcdClient } from './client.ts';
import type { Entries, KeyValue } from './entries.ts';
import { Ended, endedInSilence, refusalIn } from './failure.ts';
import type { KeyRange } from './keys.ts';
import type { OwnWrites } from './own-writes.ts';

export interface Watching {
  readonly client: EtcdClient;
  readonly entries: Entries;
  readonly own: OwnWrites;
  /** A watch that does not stand by then has failed. */
  readonly requestMs: number;
}

/**
 * One stream for each watch. Where it broke, a new one begins with now: what changed in between is the caller's to read, whom the hint that it
 * stands tells so. Servers that fall silent are noticed by the pings of the connection.
 */
export function createWatch({ client, entries, own, requestMs }: Watching): ServiceRegistry['watch'] {
  return async (scope, onHint, signal) => {
    let over = false;
    const hint = () => {
      if (!over) onHint();
    };
    const ranges = 'cluster' in scope ? entries.keysOf(scope.cluster) : entries.keysBehind(scope.service);

    const stand = (etcd: Etcd3, options: CallOptions): Promise<never> => {
      const stands = own.opening();
      return follow(etcd, options, {
        ranges,
        requestMs,
        onStanding(revision) {
          stands(revision);
          hint();
        },
        onEvents(events) {
          const concern = (some: readonly IEvent[]) => some.some((event) => concerns(entries, scope, event));
          if ('service' in scope) return concern(events) ? hint() : undefined;
          // Most are our own writes, which need not be read.
          for (const [revision, some] of Map.groupBy(events, ({ kv }) => kv.mod_revision))
            own.unlessOwn(revision, () => concern(some) && hint());
        },
      });
    };

    try {
      for (;;) {
        try {
          await client.call(
            { operation: 'watch', writes: false, answersWithinMs: Number.POSITIVE_INFINITY, send: stand },
            signal,
          );
        } catch (error) {
          // It was so slow that the history which it had to tell is gone.
          if (refusalIn(error) !== 'compacted') throw error;
        }
      }
    } finally {
      over = true;
    }
  };
}

/** By what was put and what stood before; a value that etcd does not know any more may have been anybody's. */
function concerns(entries: Entries, scope: Scope, { type, kv, prev_kv: before }: IEvent): boolean {
  const key = kv.key.toString();
  if ('service' in scope) return entries.isBehind(scope.service, key);
  const isOurs = ({ value }: { readonly value: Buffer }): boolean =>
    entries.isOf(scope.cluster, { key, value: value.toString() } satisfies KeyValue);
  const isNew = type === 'Put' && kv.create_revision === kv.mod_revision;
  if (type === 'Put' && isOurs(kv)) return true;
  return !isNew && (before === null || isOurs(before));
}

interface Followed {
  readonly ranges: readonly KeyRange[];
  readonly requestMs: number;
  /** Called once, with a revision after which every event is told. */
  onStanding(revision: string): void;
  onEvents(events: readonly IEvent[]): void;
}

async function follow(etcd: Etcd3, options: CallOptions, watched: Followed): Promise<never> {
  const stream = await etcd.watchClient.watch(options);
  return new Promise((_, reject) => {
    let missing = watched.ranges.length;
    const end = (error: Error) => {
      clearTimeout(timer);
      reject(error);
      stream.cancel();
    };
    const timer = setTimeout(() => end(endedInSilence()), watched.requestMs);
    stream.on('error', end);
    stream.on('end', () => end(new Ended('the stream was closed')));
    stream.on('data', (answer: IWatchResponse) => {
      const { canceled, created, events, header } = answer;
      if (canceled) return end(new Ended(reasonOf(answer)));
      if (created && --missing === 0) {
        clearTimeout(timer);
        watched.onStanding(header.revision);
      }
      if (events.length > 0) watched.onEvents(events);
    });
    for (const { start, end: rangeEnd } of watched.ranges) {
      stream.write({ create_request: { key: start, range_end: rangeEnd, prev_kv: true, fragment: true } });
    }
  });
}

/** In the words of etcd, which says nothing of a compaction but its revision. */
const reasonOf = ({ compact_revision, cancel_reason }: IWatchResponse): string =>
  compact_revision === '0' ? `etcdserver: watch canceled: ${cancel_reason}` : 'required revision has been compacted';
