import type { Change } from '../../mirror/change.ts';
import { RegistryError } from '../error.ts';
import { inParallel } from '../parallel.ts';
import type { ChangeResult } from '../registry.ts';
import { batchesOf, bytesOf, createBatchLimit, type Parcel, REQUEST_BYTES } from './batches.ts';
import { learn, operationsFor, type Pending } from './change.ts';
import type { Claims } from './claims.ts';
import type { ZooKeeperClient } from './client.ts';
import { CODES } from './codes.ts';
import type { Directories } from './directories.ts';
import { ofCode, shown } from './failure.ts';
import { assertStands, type Fence, fenceOperations, transact } from './fence.ts';
import type { Layout } from './layouts/layout.ts';
import { type Access, type Operation, sizeOf } from './requests.ts';

export interface Writing {
  readonly client: ZooKeeperClient;
  readonly base: string;
  readonly layout: Layout;
  readonly acl: readonly Access[];
  readonly directories: Directories;
  readonly fenceOf: Claims['fenceOf'];
  /** Wall clock, milliseconds. */
  readonly today: () => number;
}

export type Apply = (changes: readonly Change[], signal: AbortSignal) => Promise<readonly ChangeResult[]>;

/** How often one change may be refused because something else stood than was read. */
const REFUSALS = 4;

/** Transactions under way at once: the next ones travel while the server writes to its disk. */
const WIDTH = 4;

/** Changes that are looked at together. */
const WINDOW = 2_000;

type Batch = readonly Parcel<Item>[];

interface Item extends Pending {
  refusals: number;
  /** It was in a transaction that failed because the tree is not as it was taken to be. */
  doubtful: boolean;
  /** It was in a transaction that failed for what no reading mends: it is sent by itself, to fail alone or not at all. */
  alone: boolean;
  result?: ChangeResult;
}

/**
 * What stands is read right before it is written over, and written by compare-and-set on its version: nothing is remembered that could be
 * wrong. A register goes out unread, because creating what exists is refused.
 */
export function createApply(writing: Writing): Apply {
  const { client, base, directories, fenceOf } = writing;
  const limit = createBatchLimit();

  async function round(open: readonly Item[], fence: Fence | undefined, signal: AbortSignal): Promise<void> {
    const items = open.slice(0, WINDOW);
    await learn(writing, items.filter(mustBeRead), signal);
    const decided = items.map((item) => ({ item, operations: operationsOf(item) }));
    const idle = decided.filter(({ item, operations }) => isOpen(item) && operations.length === 0);
    // No transaction tells of these whether they are still ours to answer for.
    if (idle.length > 0) await assertStands(client, { operation: 'apply', fence }, signal);
    for (const { item } of idle) settle(item);
    const parcels = decided
      .filter(({ item }) => isOpen(item))
      .map((one): Parcel<Item> => ({ ...one, alone: one.item.alone }));
    await makeDirectories(parcels, fence, signal);
    const ready = parcels.filter(({ item }) => isOpen(item));
    const isWide = (batch: Batch) => sizeOfAll(batch, fence) > limit.bytes();
    const batches = batchesOf(ready, limit.bytes() - sizeOfAll([], fence));
    const [wide, others] = [batches.filter(isWide), batches.filter((batch) => !isWide(batch))];
    await inParallel(others, WIDTH, (batch) => send(batch, fence, signal));
    // A server that hangs up over one of them takes nothing else with it.
    await inParallel(wide, 1, (batch) => send(batch, fence, signal));
  }

  /** None for a change that is settled, or to be settled, without a write. */
  function operationsOf(item: Item): readonly Operation[] {
    const decision = operationsFor(item, writing);
    if (decision.kind === 'refuse') {
      settle(item, decision.error);
      return [];
    }
    const { operations } = decision;
    if (bytesOf([{ item, operations, alone: true }]) > REQUEST_BYTES) settle(item, tooLarge(item));
    return operations;
  }

  async function makeDirectories(
    parcels: readonly Parcel<Item>[],
    fence: Fence | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const needing = new Map<string, Item[]>();
    for (const { item } of parcels) {
      if (item.change.action === 'deregister') continue;
      const directory = directoryOf(base, item.change.instance.service);
      needing.set(directory, [...(needing.get(directory) ?? []), item]);
    }
    const failed = (path: string, cause: unknown) => {
      const error = RegistryError.from(cause, 'apply');
      if (isFinal(error)) throw error;
      for (const item of needing.get(path) ?? []) settle(item, unwritten(error));
    };
    await directories.ensure(needing.keys(), { fence, failed }, signal);
  }

  async function send(batch: Batch, fence: Fence | undefined, signal: AbortSignal): Promise<void> {
    const bytes = sizeOfAll(batch, fence);
    const operations = batch.flatMap((parcel) => parcel.operations);
    let codes: readonly number[];
    try {
      codes = await transact(client, { operations, fence }, signal);
      limit.passed(bytes);
    } catch (cause) {
      const error = RegistryError.from(cause, 'apply');
      const again = error.code === 'unreachable' && error.ambiguous && limit.lost(error.cause, bytes);
      const [only, ...more] = batch;
      if (again && bytes > limit.bytes() && only !== undefined && more.length === 0) {
        settle(only.item, hungUpOver(only.item, bytes));
        return;
      }
      if (!isFinal(error)) for (const { item } of batch) settle(item, error);
      throw error;
    }
    const code = codes.find((one) => one !== 0 && one !== CODES.rolledBack);
    if (code === undefined) for (const { item } of batch) settle(item);
    else refuse(batch, code, culpritOf(batch, codes.indexOf(code)));
  }

  function refuse(batch: Batch, code: number, culprit: Item | undefined): void {
    if (STALE.has(code)) {
      for (const { item } of batch) Object.assign(item, { read: undefined, doubtful: true });
      if (code === CODES.noNode) directories.forgetAll();
      if (culprit === undefined) return;
      culprit.refusals++;
      if (culprit.refusals >= REFUSALS) settle(culprit, contended(culprit));
      return;
    }
    for (const { item } of batch) item.alone = true;
    if (culprit !== undefined) settle(culprit, refusal(culprit, code));
  }

  const hungUpOver = ({ change }: Item, bytes: number): RegistryError => {
    const of = `${change.instance.id}: ZooKeeper at ${shown(client.endpoint())} closes the connection over its ${bytes} bytes`;
    return new RegistryError('too-large', `${of}; use less metadata, or raise jute.maxbuffer there`, {
      ambiguous: true,
    });
  };

  const refusal = ({ change }: Item, code: number): RegistryError =>
    ofCode(code, (kind, sentence) => {
      const of = `${change.instance.id}: ZooKeeper at ${shown(client.endpoint())} ${sentence}`;
      return new RegistryError(code === CODES.badArguments ? 'invalid' : kind, of);
    });

  /** Of one cluster: nothing more of it is tried when it is fenced off, and others' changes are as they were. */
  async function applyAll(items: readonly Item[], fence: Fence | undefined, signal: AbortSignal): Promise<void> {
    try {
      for (let open = items; open.length > 0; open = open.filter(isOpen)) await round(open, fence, signal);
      await directories.tidy(emptied(items, base), fence, signal);
    } catch (cause) {
      const error = RegistryError.from(cause, 'apply');
      // Something may have been written by now, whichever request it was that was cut short.
      if (isFinal(error)) throw new RegistryError(error.code, error.message, { cause: error.cause, ambiguous: true });
      for (const item of items.filter(isOpen)) settle(item, unwritten(error));
    }
  }

  return async (changes, signal) => {
    client.assertUsable('apply', signal);
    const items = changes.map(
      (change): Item => ({ change, read: undefined, refusals: 0, doubtful: false, alone: false }),
    );
    const clusters = Map.groupBy(items, ({ change }) => change.instance.marks.cluster);
    // As claimed now: a claim that comes meanwhile was made to read again first.
    const parts = [...clusters].map(([cluster, some]) => ({ some, fence: fenceOf(cluster) }));
    for (const { some, fence } of parts) await applyAll(some, fence, signal);
    return items.map(
      ({ result }) => result ?? { ok: false, error: new RegistryError('protocol', 'apply lost a change') },
    );
  };
}

/** The tree is not as it was read; nothing is wrong with the change. */
const STALE: ReadonlySet<number> = new Set([CODES.noNode, CODES.nodeExists, CODES.badVersion]);

const isOpen = ({ result }: Item): boolean => result === undefined;

const isFinal = ({ code }: RegistryError): boolean => code === 'aborted' || code === 'closed';

function settle(item: Item, error?: RegistryError): void {
  item.result = error === undefined ? { ok: true } : { ok: false, error };
}

const mustBeRead = ({ change, read, doubtful }: Item): boolean =>
  read === undefined && (doubtful || change.action !== 'register');

/** Not the change is at fault, and it was not sent. */
const unwritten = ({ code, message, cause }: RegistryError): RegistryError =>
  new RegistryError(code, message, { cause });

function culpritOf(batch: Batch, position: number): Item | undefined {
  const owners = batch.flatMap(({ item, operations }) => operations.map(() => item));
  return owners[position];
}

/** Of a transaction, its check included. */
const sizeOfAll = (batch: Batch, fence: Fence | undefined): number =>
  fenceOperations(fence).reduce((sum, one) => sum + sizeOf(one), bytesOf(batch));

const directoryOf = (base: string, service: string): string => `${base}/${service}`;

function* emptied(items: readonly Item[], base: string): Iterable<string> {
  for (const { change, result } of items) {
    if (result?.ok !== true) continue;
    if (change.action === 'deregister') yield directoryOf(base, change.instance.service);
    if (change.action === 'update' && change.previous.service !== change.instance.service)
      yield directoryOf(base, change.previous.service);
  }
}

const contended = ({ change }: Item): RegistryError =>
  new RegistryError('conflict', `${change.instance.id} is being written by someone else too; stop the other writer`);

const tooLarge = ({ change }: Item): RegistryError =>
  new RegistryError(
    'too-large',
    `${change.instance.id} is over the 1 MiB that ZooKeeper takes at once; use less metadata`,
  );
