import { type Clock, pause } from '../clock.ts';
import type { Change } from '../mirror/change.ts';
import { type ClaimIndex, createClaimIndex } from '../mirror/claims.ts';
import type { OpenRegistry } from '../registries/create.ts';
import { meansUnreachable, RegistryError } from '../registries/error.ts';
import type { ChangeResult } from '../registries/registry.ts';
import { createAuditPace } from './audit-pace.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createRegistryWatch } from './registry-watch.ts';
import { createWorkQueue, type RunResult, type WorkQueue, type WorkQueueOptions } from './work-queue.ts';
import { createWriter, type Writer } from './writer.ts';

export type Link =
  /** Not asked yet. */
  | { readonly state: 'opening' }
  | { readonly state: 'up'; readonly version: string }
  | { readonly state: 'down'; readonly error: RegistryError };

export interface RegistryWorkerOptions {
  readonly id: string;
  readonly cluster: string;
  readonly registry: OpenRegistry;
  readonly clock: Clock;
  readonly random: () => number;
  auditMs(): number;
  /** One Service of this registry. Called only while the link is up and the ledger is loaded. */
  reconcile(owner: string): Promise<RunResult>;
  /**
   * The link came up (`undefined`: look at all), or a list changed what we knew: behind our back of these Services, and perhaps of others that are
   * being looked at anyway.
   */
  onListed(owners: readonly string[] | undefined): void;
  onLink(link: Link): void;
  /** Changes of others are noticed by the audit alone until a watch stands again. */
  onBlind(error: RegistryError): void;
  onWritten(change: Change, result: ChangeResult, durationMs: number): void;
  onBatch(size: number): void;
  onClosed(): void;
  readonly timing: Pick<WorkQueueOptions, 'onAdd' | 'onError' | 'onTiming'>;
}

/** One registry at work: nothing of it is shared with another, so that a slow or dead one hurts nobody else. */
export interface RegistryWorker {
  readonly id: string;
  readonly registry: OpenRegistry;
  readonly ledger: Ledger;
  readonly claims: ClaimIndex;
  readonly queue: WorkQueue;
  readonly writer: Writer;
  readonly link: Link;
  /** A write or read failed: decides whether the registry is down, or what we know of it is doubtful. */
  report(error: RegistryError): void;
  /** Starts nothing new, and waits until what is in flight has its answer or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  /** Entries stay. */
  close(): Promise<void>;
}

const PROBE_MS = 1_000;
const CONFLICT_MS = 10_000;
const CONCURRENCY = 512;

export function openRegistryWorker(options: RegistryWorkerOptions): RegistryWorker {
  const { registry, clock, random } = options;
  const ending = new AbortController();
  const { signal } = ending;
  const ledger = createLedger();
  const pace = createAuditPace({ clock, random, signal, intervalMs: options.auditMs });
  const watch = createRegistryWatch({
    registry,
    cluster: options.cluster,
    clock,
    random,
    signal,
    onHint: pace.hint,
    onBlind: options.onBlind,
  });
  const queue = createWorkQueue({ run: options.reconcile, clock, random, concurrency: CONCURRENCY, ...options.timing });
  queue.pause();
  const writer = createWriter({
    registry,
    clock,
    signal,
    onResult(change, result, durationMs) {
      if (result.ok) ledger.acknowledge(change);
      written++;
      options.onWritten(change, result, durationMs);
    },
    onBatch: options.onBatch,
  });
  let link: Link = { state: 'opening' };
  /** Something may stand in the registry that the ledger does not know: nothing is decided until the next complete list. */
  let doubtful = false;
  let written = 0;
  let listedAt = Number.NEGATIVE_INFINITY;

  const setLink = (next: Link) => {
    const before = link;
    link = next;
    if (next.state === 'up' && !doubtful) queue.resume();
    else queue.pause();
    const same =
      before.state === next.state &&
      !(before.state === 'down' && next.state === 'down' && before.error.code !== next.error.code);
    if (!same) options.onLink(next);
  };

  /** Asks once a second while the registry is down, and lists it completely before anything is decided again. */
  async function supervise(): Promise<void> {
    while (!signal.aborted) {
      try {
        const { version } = await registry.check(signal);
        const cameBack = link.state !== 'up';
        if (cameBack) await watch.stand();
        if (signal.aborted) return;
        doubtful = false;
        await list(cameBack);
        setLink({ state: 'up', version });
      } catch (error) {
        if (signal.aborted) return;
        setLink({ state: 'down', error: RegistryError.from(error, 'check') });
        await pause(clock, PROBE_MS, signal);
        continue;
      }
      if (!doubtful) await pace.due();
    }
  }

  async function list(cameBack: boolean): Promise<void> {
    const take = ledger.beginList();
    const listed = pace.beginList();
    const writtenBefore = written;
    listedAt = clock.now();
    const changed = take(await registry.list(options.cluster, signal));
    // What is being looked at may be in flight: our own change, seen before its answer. Looked at once more it is right either way.
    const drifted = changed.filter((owner) => !queue.has(owner));
    for (const owner of changed) if (queue.has(owner)) queue.add(owner);
    listed({ drift: cameBack ? undefined : drifted.length > 0, gaps: written !== writtenBefore });
    // Before the queue goes on: who claims which name must be known before the first Service is looked at.
    if (cameBack || changed.length > 0) options.onListed(cameBack ? undefined : drifted);
  }

  const supervised = supervise();

  return {
    id: options.id,
    registry,
    ledger,
    claims: createClaimIndex(),
    queue,
    writer,
    get link() {
      return link;
    },
    report(error) {
      if (link.state === 'up' && meansUnreachable(error.code)) setLink({ state: 'down', error });
      // Whatever may have been written is read again before anything is decided from it.
      if (error.ambiguous || meansUnreachable(error.code)) {
        doubtful = true;
        queue.pause();
        pace.hurry();
      }
      // What another writer changed is read again too, but a stranger's entry must not keep everything else waiting for lists.
      if (error.code === 'conflict' && clock.now() - listedAt >= CONFLICT_MS) pace.hurry();
    },
    async drain(deadline) {
      queue.stop();
      await Promise.race([
        writer.drained().then(() => queue.idle()),
        new Promise<void>((resolve) => {
          if (deadline.aborted) resolve();
          else deadline.addEventListener('abort', () => resolve(), { once: true });
        }),
      ]);
    },
    async close() {
      queue.stop();
      ending.abort();
      await supervised;
      await registry.close();
      options.onClosed();
    },
  };
}
