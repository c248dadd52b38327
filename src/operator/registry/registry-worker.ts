import { type Clock, pause } from '../../clock.ts';
import type { Change } from '../../mirror/change.ts';
import { type ClaimIndex, createClaimIndex } from '../../mirror/claims.ts';
import type { OpenRegistry } from '../../registries/create.ts';
import { meansUnreachable, RegistryError } from '../../registries/error.ts';
import type { ChangeResult } from '../../registries/registry.ts';
import { type Claimant, createRegistryClaim } from '../leading/registry-claim.ts';
import type { Term, Terms } from '../leading/terms.ts';
import { type AuditPace, createAuditPace } from './audit-pace.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createRegistryWatch, type RegistryWatch } from './registry-watch.ts';
import { createWorkQueue, type RunResult, type WorkQueue, type WorkQueueOptions } from './work-queue.ts';
import { createWriter, type Permit, type Writer } from './writer.ts';

export type Link =
  /** Another replica leads, or none yet: nothing is asked of the registry here. */
  | { readonly state: 'standby' }
  /** Not asked yet, or to be read anew from the beginning. */
  | { readonly state: 'opening' }
  | { readonly state: 'up'; readonly version: string }
  | { readonly state: 'down'; readonly error: RegistryError };

export interface RegistryWorkerOptions {
  readonly id: string;
  readonly cluster: string;
  readonly registry: OpenRegistry;
  readonly clock: Clock;
  readonly random: () => number;
  readonly terms: Terms;
  readonly claimant: Claimant;
  auditMs(): number;
  /** We lead from now on, and know nothing yet. */
  onTerm(): void;
  /** What we had claimed is not ours any more. `disputed`: again, so soon that somebody else must be claiming the same. */
  onFenced(error: RegistryError, disputed: boolean): void;
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

/** One term of ours. */
interface Reign {
  readonly term: Term;
  /** Until it ends, or this worker does. */
  readonly scope: AbortSignal;
  readonly pace: AuditPace;
  readonly watch: RegistryWatch;
}

const PROBE_MS = 1_000;
/** A registry that was wiped or restored shows by the record of our claim. */
const CLAIM_MS = 10_000;
const CONFLICT_MS = 10_000;
const CONCURRENCY = 512;

export function openRegistryWorker(options: RegistryWorkerOptions): RegistryWorker {
  const { registry, cluster, clock, random, terms } = options;
  const ending = new AbortController();
  const { signal } = ending;
  const ledger = createLedger();
  const claim = createRegistryClaim({ registry, cluster, claimant: options.claimant, terms, clock });
  const queue = createWorkQueue({ run: options.reconcile, clock, random, concurrency: CONCURRENCY, ...options.timing });
  queue.pause();
  const writer = createWriter({
    registry,
    clock,
    permit: () => (reign?.term.isValid() ? permit : undefined),
    onResult(change, result, durationMs) {
      if (result.ok) ledger.acknowledge(change);
      else if (result.error.code === 'fenced') stopForFence(result.error);
      written++;
      options.onWritten(change, result, durationMs);
    },
    onBatch: options.onBatch,
  });
  let link: Link = { state: 'opening' };
  /** While we lead. */
  let reign: Reign | undefined;
  /** What we claimed is not ours any more: nothing may be decided until the election has said that we lead, and we have claimed and read again. */
  let fence: RegistryError | undefined;
  /** From a complete list after the claim until that is gone. What was decided before may not go out under the next claim. */
  let permit: Permit | undefined;
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

  const stopForFence = (error: RegistryError) => {
    fence = error;
    permit = undefined;
    if (link.state === 'up') setLink({ state: 'opening' });
    reign?.pace.hurry();
  };

  async function supervise(): Promise<void> {
    while (!signal.aborted) {
      if (terms.current === undefined) setLink({ state: 'standby' });
      const term = terms.current ?? (await terms.next(signal));
      if (term === undefined) return;
      await lead(term);
    }
  }

  async function lead(term: Term): Promise<void> {
    // Not AbortSignal.any: Node keeps what listens to one for as long as none of its signals aborts, and a term without election never does.
    const over = new AbortController();
    const end = () => over.abort();
    for (const one of [signal, term.signal]) one.addEventListener('abort', end, { once: true });
    if (signal.aborted || term.signal.aborted) end();
    const scope = over.signal;
    const timing = { clock, random, signal: scope };
    const pace = createAuditPace({ ...timing, intervalMs: options.auditMs });
    const { onBlind } = options;
    const watch = createRegistryWatch({ ...timing, registry, cluster, onHint: pace.hint, onBlind });
    const now: Reign = { term, scope, pace, watch };
    // At once: what was waiting must not begin any more.
    term.signal.addEventListener('abort', () => signal.aborted || setLink({ state: 'standby' }), { once: true });
    reign = now;
    fence = undefined;
    permit = undefined;
    claim.forget();
    if (link.state === 'standby') setLink({ state: 'opening' });
    options.onTerm();
    while (!scope.aborted) {
      await attend(now).catch((thrown: unknown) =>
        scope.aborted ? undefined : recover(RegistryError.from(thrown, 'check'), scope),
      );
    }
    for (const one of [signal, term.signal]) one.removeEventListener('abort', end);
  }

  /** Claims the registry, lists it completely before anything is decided, and stays with it until the next list is due. */
  async function attend({ scope, pace, watch }: Reign): Promise<void> {
    if (fence !== undefined) throw fence;
    const { version } = await claim.check(scope);
    if (!(await claim.confirmed())) return pause(clock, PROBE_MS, scope);
    const cameBack = link.state !== 'up';
    if (cameBack) await watch.stand();
    if (scope.aborted) return;
    doubtful = false;
    await list(cameBack, scope, pace);
    if (fence !== undefined) throw fence;
    if (scope.aborted) return;
    permit ??= { signal: scope };
    setLink({ state: 'up', version });
    if (!doubtful) await untilDue(scope, pace);
  }

  async function untilDue(scope: AbortSignal, pace: AuditPace): Promise<void> {
    if (!claim.isWatched) return pace.due();
    const over = new AbortController();
    const due = pace.due().then(() => over.abort());
    try {
      for (;;) {
        await pause(clock, CLAIM_MS, over.signal);
        if (over.signal.aborted) return;
        await registry.check(scope);
      }
    } finally {
      pace.hurry();
      await due;
    }
  }

  /** Asks once a second while the registry is down. */
  async function recover(error: RegistryError, scope: AbortSignal): Promise<void> {
    switch (error.code) {
      case 'fenced':
        return reclaim(error, scope);
      case 'owned':
        setLink({ state: 'down', error });
        return claim.patience('owned', scope);
      default:
        setLink({ state: 'down', error });
        return pause(clock, PROBE_MS, scope);
    }
  }

  async function reclaim(error: RegistryError, scope: AbortSignal): Promise<void> {
    stopForFence(error);
    // Answers about what was claimed before say nothing of the next claim.
    await writer.drained();
    const verdict = await claim.lost();
    if (scope.aborted || verdict === 'over') return;
    if (verdict === 'unsure') return pause(clock, PROBE_MS, scope);
    options.onFenced(error, verdict === 'disputed');
    if (verdict === 'disputed') {
      setLink({ state: 'down', error });
      await claim.patience('disputed', scope);
    }
    fence = undefined;
  }

  async function list(cameBack: boolean, scope: AbortSignal, pace: AuditPace): Promise<void> {
    const take = ledger.beginList();
    const listed = pace.beginList();
    const writtenBefore = written;
    listedAt = clock.now();
    const changed = take(await registry.list(cluster, scope));
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
        reign?.pace.hurry();
      }
      // What another writer changed is read again too, but a stranger's entry must not keep everything else waiting for lists.
      if (error.code === 'conflict' && clock.now() - listedAt >= CONFLICT_MS) reign?.pace.hurry();
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
