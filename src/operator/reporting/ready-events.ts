import type { EventRecorder } from '../../kubernetes/events.ts';
import type { StatusUpdate, StatusWrite } from '../../kubernetes/status-writer.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

export interface ReadyEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

interface Summarised {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** An event when `Ready` changed its status or reason, and only then: events tell of transitions, conditions of states. */
export function readyEvents({ current, status }: Pick<StatusUpdate, 'current' | 'status'>): readonly ReadyEvent[] {
  const [before, after] = [readyOf(current), readyOf(status)];
  if (after === undefined || (before?.status === after.status && before.reason === after.reason)) return [];
  const type = after.status === 'False' || after.reason === 'RegistryUnreachable' ? 'Warning' : 'Normal';
  return [{ type, reason: after.reason, message: after.message }];
}

function readyOf(status: unknown): Summarised | undefined {
  if (typeof status !== 'object' || status === null || !('conditions' in status) || !Array.isArray(status.conditions))
    return undefined;
  return status.conditions.find((condition: { type?: unknown }) => condition.type === 'Ready');
}

/** What is told of each status that was written. */
export const reportWrites =
  (metrics: Pick<Metrics, 'observeStatusWrite'>, events: Pick<EventRecorder, 'record'>) =>
  ({ update, ok }: Pick<StatusWrite, 'update' | 'ok'>): void => {
    if (!ok) return;
    metrics.observeStatusWrite(update.resource.kind);
    for (const { type, reason, message } of readyEvents(update)) events.record(update, type, reason, message);
  };
