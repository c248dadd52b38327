import type { Change } from '../../mirror/change.ts';
import type { CreateOptions } from '../../registries/create.ts';
import type { RegistryError } from '../../registries/error.ts';
import type { ChangeResult } from '../../registries/registry.ts';
import { type Log, logChange } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { DeletionGuardsOptions } from '../deletion-guards.ts';
import type { Totals } from '../reporting/outcomes.ts';
import { shortId } from '../reporting/overview.ts';
import type { Link, RegistryWorker } from './registry-worker.ts';

const RESULTS = { done: 'success', retry: 'requeue_after', error: 'error' } as const;

/** Ends of a watch that ask for no other one. */
const ENDS: ReadonlySet<string> = new Set(['aborted', 'closed', 'unsupported']);

/** Metrics of the calls of one registry. A watch is no request: its hints and ends are counted. */
export function observeRequests(registry: string, metrics: Metrics): NonNullable<CreateOptions['observe']> {
  return ({ operation, outcome, durationMs }) => {
    if (operation !== 'watch') metrics.observeRegistryRequest(registry, operation, durationMs);
    else if (outcome === 'ok') metrics.observeHint(registry);
    else if (!ENDS.has(outcome)) metrics.observeRegistryWatchRestart(registry, outcome);
  };
}

/** Logs of what the deletion guard holds back and lets go. */
export function observeGuards(log: Log): Pick<DeletionGuardsOptions, 'onChange' | 'onReleased'> {
  return {
    onChange({ registry, owner, held, before }) {
      const [namespace, service] = owner.split('/');
      const fields = { registry: shortId(registry), namespace, service, held, before };
      if (held > 0) log.warn(fields, 'removals are held back by the deletion guard');
      else log.info(fields, 'removals are not held back any more');
    },
    onReleased: (id, removals) => log.info({ object: id, removals }, 'held removals were released'),
  };
}

/** Logs and metrics of one registry at work. */
export function observeWorker({
  id: registry,
  log,
  metrics,
}: {
  readonly id: string;
  readonly log: Log;
  readonly metrics: Metrics;
}) {
  return {
    onWritten(change: Change, result: ChangeResult, durationMs: number): void {
      metrics.observeWrite(registry, change.action, result.ok ? 'success' : result.error.code);
      if (result.ok && change.action === 'deregister' && change.evidence !== undefined)
        metrics.observeDeregistration(registry, change.evidence);
      logChange(log, { registry, change, durationMs, ...(result.ok ? {} : { error: result.error.code }) });
    },
    onBatch: (size: number): void => metrics.observeBatch(registry, size),
    onLink(link: Link): void {
      if (link.state === 'up') log.info({ registry, version: link.version }, 'the registry answers');
      if (link.state !== 'down') return;
      const fields = { registry, error: link.error.code, why: link.error.message };
      if (link.error.code === 'owned')
        log.warn(fields, 'the registry belongs to another operator and is left alone; it is asked again every 30 s');
      else if (link.error.code !== 'fenced') log.warn(fields, 'the registry cannot be used; it is asked once a second');
    },
    onFenced(error: RegistryError, disputed: boolean): void {
      const fields = { registry, error: error.code, why: error.message };
      if (disputed)
        log.error(
          fields,
          'another process of this operator claims the registry again and again: run all its replicas with --leader-elect=true; it is claimed again in a minute',
        );
      else log.warn(fields, 'what was claimed here was claimed anew, or its record is gone: all is read again');
    },
    onBlind: (error: RegistryError): void =>
      log.info(
        { registry, error: error.code, why: error.message },
        'the registry cannot be watched now; until it can, the audit alone finds what others change',
      ),
    timing: {
      onAdd: () => metrics.observeQueueAdd(registry),
      onError: (key: string, err: unknown) =>
        log.error({ registry, service: key, err }, 'a reconcile failed by a defect; it is tried again'),
      onTiming({ waitedMs, ranMs, end }: { waitedMs: number; ranMs: number; end: 'done' | 'retry' | 'error' }) {
        metrics.observeQueueWait(registry, waitedMs);
        metrics.observeQueueWork(registry, ranMs);
        metrics.observeReconcile(registry, RESULTS[end], ranMs);
        if (end !== 'done') metrics.observeQueueRetry(registry);
      },
    },
    /** Returns the function that ends it. */
    track(worker: RegistryWorker, totals: () => Totals & { readonly held: number }): () => void {
      const endQueue = metrics.trackQueue(registry, () => {
        const unfinished = worker.queue.unfinishedMs();
        return {
          depth: worker.queue.depth,
          unfinishedWorkMs: unfinished.reduce((sum, ms) => sum + ms, 0),
          longestRunningMs: Math.max(0, ...unfinished),
          activeWorkers: worker.queue.running,
          maxConcurrent: worker.queue.concurrency,
        };
      });
      const endRegistry = metrics.trackRegistry(registry, () => ({
        leading: worker.link.state !== 'standby',
        up: worker.link.state === 'up',
        desired: totals().desired,
        registered: totals().standing,
        owned: worker.ledger.size,
        held: totals().held,
      }));
      return () => {
        endQueue();
        endRegistry();
      };
    },
  };
}
