import type { Clock } from '../../clock.ts';
import type { Change } from '../../mirror/change.ts';
import { RegistryError } from '../../registries/error.ts';
import type { ChangeResult, ServiceRegistry } from '../../registries/registry.ts';
import { createWindow } from '../../registries/window.ts';

/** The right to write what is decided from now on. Another one covers nothing that was decided under this one. */
export interface Permit {
  /** Ends what is in flight. */
  readonly signal: AbortSignal;
}

export interface WriterOptions {
  readonly registry: Pick<ServiceRegistry, 'apply' | 'capabilities'>;
  readonly clock: Clock;
  /** Asked when changes are submitted, and right before they are sent. Undefined: nothing may be. */
  permit(): Permit | undefined;
  /** Batches in flight at once; shrinks to 1 while the registry is slow. */
  readonly maxInFlight?: number;
  /** How long a batch that is not full waits for company while others are in flight. */
  readonly lingerMs?: number;
  /** Called for every change, in order, before the promise of its submitter resolves. */
  onResult(change: Change, result: ChangeResult, durationMs: number): void;
  onBatch?(size: number, durationMs: number): void;
}

/**
 * Merges the changes of many keys into few batches to one registry.
 *
 * Guarantees
 * - Every submitted change gets exactly one result, in the order of its submission; `submit` never rejects.
 * - With nothing in flight, a change leaves at once (in the same turn of the event loop, together with whatever came with it);
 *   otherwise it waits for a full batch, for a free slot, or `lingerMs`.
 * - Nothing is sent but under the permit under which it was submitted.
 * - At most `maxInFlight` batches at once, and fewer while the registry is slow, see {@link createWindow}.
 *
 * Assumption: two changes of one id are never submitted at once (the work queue runs a key once at a time).
 */
export interface Writer {
  submit(changes: readonly Change[]): Promise<readonly ChangeResult[]>;
  /** Changes that were submitted and have no result yet. */
  readonly pending: number;
  /** Resolves when nothing is pending. */
  drained(): Promise<void>;
}

interface Waiting {
  readonly change: Change;
  readonly permit: Permit | undefined;
  done(result: ChangeResult): void;
}

export function createWriter(options: WriterOptions): Writer {
  const { registry, clock, maxInFlight = 4, lingerMs = 4 } = options;
  const { batchSize } = registry.capabilities;
  let queue: Waiting[] = [];
  let inFlight = 0;
  let inFlightChanges = 0;
  const window = createWindow(maxInFlight);
  let scheduled = false;
  let cancelLinger: (() => void) | undefined;
  const drainers = new Set<() => void>();

  const pending = () => queue.length + inFlightChanges;

  function wake(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      flush(false);
    });
  }

  function flush(lingered: boolean): void {
    while (queue.length > 0 && inFlight < window.size) {
      const full = queue.length >= batchSize;
      if (!full && inFlight > 0 && !lingered) {
        cancelLinger ??= clock.setTimer(lingerMs, () => {
          cancelLinger = undefined;
          flush(true);
        });
        return;
      }
      const batch = queue.slice(0, batchSize);
      queue = queue.slice(batchSize);
      // send() never rejects: every outcome becomes a result.
      void send(batch);
    }
    if (queue.length === 0) {
      cancelLinger?.();
      cancelLinger = undefined;
    }
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    inFlight++;
    inFlightChanges += batch.length;
    const started = clock.now();
    const results = await apply(batch);
    const tookMs = clock.now() - started;
    inFlight--;
    inFlightChanges -= batch.length;
    // Small batches are quick for a reason that says nothing about the registry: only half-full ones and larger are judged.
    if (batch.length >= batchSize / 2) window.judge(tookMs);
    options.onBatch?.(batch.length, tookMs);
    batch.forEach(({ change, done }, index) => {
      const result = results[index] ?? missingResult();
      options.onResult(change, result, tookMs);
      done(result);
    });
    if (pending() === 0) for (const drained of [...drainers]) drained();
    else wake();
  }

  async function apply(batch: readonly Waiting[]): Promise<readonly (ChangeResult | undefined)[]> {
    const permit = options.permit();
    const permitted = permit === undefined ? [] : batch.filter((one) => one.permit === permit);
    if (permit === undefined || permitted.length === 0) return batch.map(notSent);
    const changes = permitted.map(({ change }) => change);
    const results = (await ask(changes, permit.signal)).values();
    return batch.map((one) => (one.permit === permit ? results.next().value : notSent()));
  }

  async function ask(changes: readonly Change[], signal: AbortSignal): Promise<readonly ChangeResult[]> {
    try {
      return await registry.apply(changes, signal);
    } catch (error) {
      const result: ChangeResult = { ok: false, error: RegistryError.from(error, 'apply') };
      return changes.map(() => result);
    }
  }

  return {
    submit(changes) {
      if (changes.length === 0) return Promise.resolve([]);
      wake();
      const permit = options.permit();
      const submitted = changes.map(
        (change) => new Promise<ChangeResult>((done) => queue.push({ change, permit, done })),
      );
      return Promise.all(submitted);
    },
    get pending() {
      return pending();
    },
    drained: () =>
      pending() === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            const drained = () => {
              drainers.delete(drained);
              resolve();
            };
            drainers.add(drained);
          }),
  };
}

const notSent = (): ChangeResult => ({
  ok: false,
  error: new RegistryError('aborted', 'apply: not sent, since another replica may lead by now'),
});

const missingResult = (): ChangeResult => ({
  ok: false,
  error: new RegistryError('protocol', 'the registry adapter gave fewer results than changes', { ambiguous: true }),
});
