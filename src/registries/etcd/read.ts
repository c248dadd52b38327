import type { IKeyValue, IRangeResponse } from 'etcd3';
import type { Instance } from '../../mirror/instance.ts';
import { RegistryError } from '../error.ts';
import type { EtcdClient } from './client.ts';
import { digestOf, type Entries, type Held, type Owned } from './entries.ts';
import { refusalIn } from './failure.ts';
import type { KeyRange } from './keys.ts';
import { livenessOf } from './liveness.ts';
import type { Known } from './standing.ts';
import { NO_MARKS } from './value.ts';

/** Entries in one answer, a few hundred KiB of ordinary ones. */
const PAGE = 1_000;

/** A history that is compacted while it is read is a reason to begin again, so often. */
const ATTEMPTS = 3;

/** What the server takes in one transaction (--max-txn-ops). */
export const TXN_OPERATIONS = 128;

export interface OwnedReading {
  readonly instances: readonly Instance[];
  readonly known: Map<string, Known>;
}

/** Everything of a cluster, as it stood at one revision; confirmed by the leader. */
export async function readOwned(
  client: EtcdClient,
  entries: Entries,
  cluster: string,
  isHeld: (lease: string) => boolean,
  signal: AbortSignal,
): Promise<OwnedReading> {
  const { held } = await atOneRevision(client, 'list', entries.keysOf(cluster), signal);
  const owned = entries.owned(cluster, held);
  const instances = owned.map(({ instance, held: keys }) => ({
    ...instance,
    liveness: livenessOf(keys.map(leaseOf), isHeld),
  }));
  return { instances, known: knownOf(owned) };
}

export function knownOf(owned: readonly Owned[]): Map<string, Known> {
  const known = new Map<string, Known>();
  for (const { instance, held } of owned) {
    const keys = held.map(({ key, value, revision, lease }) => ({ key, revision, digest: digestOf(value), lease }));
    // Twice only when somebody else copied it.
    known.set(instance.id, [...(known.get(instance.id) ?? []), ...keys]);
  }
  return known;
}

/** What a consumer of a service gets. */
export async function readService(
  client: EtcdClient,
  entries: Entries,
  service: string,
  isHeld: (lease: string) => boolean,
  signal: AbortSignal,
): Promise<readonly Instance[]> {
  const { layout } = entries;
  const { held, revision } = await atOneRevision(client, 'discover', [layout.asks(service)], signal);
  const beside = new Map(held.map(({ key }) => [key, entries.recordBeside(key)]));
  const wanted = [...beside.values()].filter((key) => key !== undefined);
  const records = new Map(
    (await readKeys(client, 'discover', wanted, signal, revision)).map((record) => [record.key, record]),
  );
  return held.flatMap((one): readonly Instance[] => {
    const record = records.get(beside.get(one.key) ?? '');
    const ours = entries.served(one, record);
    const leases = [one, ...(ours === undefined || record === undefined ? [] : [record])].map(leaseOf);
    const liveness = livenessOf(leases, isHeld);
    if (ours !== undefined) return ours.service === service ? [{ ...ours, liveness }] : [];
    return layout.sees(service, one.value).map((seen) => ({
      id: one.key,
      health: 'healthy',
      weight: 1,
      tags: [],
      metadata: {},
      ...seen,
      liveness,
      service,
      marks: NO_MARKS,
    }));
  });
}

/** The entries of these keys that stand, all at one revision for each {@link TXN_OPERATIONS} of them. */
export async function readKeys(
  client: EtcdClient,
  operation: string,
  keys: readonly string[],
  signal: AbortSignal,
  revision?: string,
): Promise<readonly Held[]> {
  if (keys.length > TXN_OPERATIONS) {
    const first = await readKeys(client, operation, keys.slice(0, TXN_OPERATIONS), signal, revision);
    return [...first, ...(await readKeys(client, operation, keys.slice(TXN_OPERATIONS), signal, revision))];
  }
  if (keys.length === 0) return [];
  const at = revision === undefined ? {} : { revision };
  const success = keys.map((key) => ({ request_range: { key: Buffer.from(key), ...at } }));
  try {
    const { responses } = await client.call(
      { operation, writes: false, send: ({ kv }, options) => kv.txn({ success }, options) },
      signal,
    );
    return responses.flatMap(({ response_range }) => response_range.kvs.map(heldOf));
  } catch (error) {
    const half = Math.ceil(keys.length / 2);
    if (refusalIn(error) !== 'answer-too-large' || half === keys.length) throw error;
    const first = await readKeys(client, operation, keys.slice(0, half), signal, revision);
    return [...first, ...(await readKeys(client, operation, keys.slice(half), signal, revision))];
  }
}

const leaseOf = ({ lease }: Held): string => lease;

interface Snapshot {
  readonly held: readonly Held[];
  readonly revision: string;
}

async function atOneRevision(
  client: EtcdClient,
  operation: string,
  ranges: readonly KeyRange[],
  signal: AbortSignal,
): Promise<Snapshot> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readRanges(client, operation, ranges, signal);
    } catch (error) {
      if (refusalIn(error) !== 'compacted' || attempt === ATTEMPTS) throw error;
    }
  }
}

async function readRanges(
  client: EtcdClient,
  operation: string,
  ranges: readonly KeyRange[],
  signal: AbortSignal,
): Promise<Snapshot> {
  const held: Held[] = [];
  let revision: string | undefined;
  for (const range of ranges) {
    for await (const page of pagesOf(client, operation, range, () => revision, signal)) {
      revision ??= page.header.revision;
      for (const kv of page.kvs) held.push(heldOf(kv));
    }
  }
  if (revision === undefined) throw new RegistryError('protocol', `${operation}: there was nothing to ask etcd for`);
  return { held, revision };
}

async function* pagesOf(
  client: EtcdClient,
  operation: string,
  { start, end }: KeyRange,
  revision: () => string | undefined,
  signal: AbortSignal,
): AsyncGenerator<IRangeResponse> {
  let limit = PAGE;
  let key = start;
  for (;;) {
    const pinned = revision();
    const request = { key, range_end: end, limit, ...(pinned === undefined ? {} : { revision: pinned }) };
    let page: IRangeResponse;
    try {
      page = await client.call(
        { operation, writes: false, send: ({ kv }, options) => kv.range(request, options) },
        signal,
      );
    } catch (error) {
      if (refusalIn(error) !== 'answer-too-large' || limit === 1) throw error;
      limit = Math.ceil(limit / 4);
      continue;
    }
    yield page;
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return;
    key = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

const heldOf = ({ key, value, mod_revision, lease }: IKeyValue): Held => ({
  key: key.toString(),
  value: value.toString(),
  revision: mod_revision,
  lease,
});
