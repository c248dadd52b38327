// One watch of a process, whose events come from the real API server and are passed on as the conditions allow.
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../../src/clock.ts';
import type { ApiConditions } from '../api-link.ts';
import type { Json } from '../api-server.ts';
import { type History, versionOf } from './recorder.ts';

export interface WatchStream {
  readonly resource: string;
  /** A line of the server, of an object that the process may see. */
  take(line: { readonly type: string; readonly object: Json }): void;
  pump(): void;
  showHidden(): void;
  end(how: 'end' | 'reset' | '410'): void;
}

export interface WatchStreamOptions {
  readonly resource: string;
  readonly answer: ServerResponse;
  readonly clock: Clock;
  readonly conditions: ApiConditions;
  readonly history: History;
  onDeletionSeen(version: number): void;
  /** Nothing more is wanted of the server. */
  onEnd(): void;
}

const DELAY_MS = 5_000;

export function openWatchStream(options: WatchStreamOptions): WatchStream {
  const { resource, answer, clock, conditions, history } = options;
  const waiting: { readonly type: string; readonly object: Json; readonly notBefore: number }[] = [];
  // A connection that is dead stays so; the next one lives.
  const dead = conditions.watches.get(resource) === 'dead' ? 'once it stands' : 'no';
  let silent = false;
  let ended = false;

  const send = (type: string, object: Json) => answer.write(`${JSON.stringify({ type, object })}\n`);
  const isWithheld = () =>
    silent || ended || conditions.hidden.has(resource) || conditions.watches.get(resource) === 'hold';

  function tell({ type, object }: { readonly type: string; readonly object: Json }): void {
    send(type, object);
    if (type === 'DELETED') options.onDeletionSeen(versionOf(object));
  }

  function sendBefore(object: Json): void {
    const event = history.events.find((one) => one.resource === resource && one.version === versionOf(object));
    if (event?.before !== undefined) send('MODIFIED', event.before);
  }

  function deliver(): void {
    for (let [next] = waiting; next !== undefined && !isWithheld(); [next] = waiting) {
      const trouble = conditions.watches.get(resource);
      if (versionOf(next.object) > (conditions.view?.version ?? Number.POSITIVE_INFINITY)) return;
      if (trouble === 'dead' && dead === 'no') {
        silent = true;
        return;
      }
      if (trouble === 'end' || trouble === 'reset' || trouble === '410') {
        end(trouble);
        return;
      }
      if (trouble === 'truncate') {
        answer.write(JSON.stringify(next).slice(0, 40));
        end('end');
        return;
      }
      if (next.notBefore > clock.now()) return void clock.setTimer(next.notBefore - clock.now(), deliver);
      waiting.shift();
      tell(next);
      if (trouble === 'duplicate') send(next.type, next.object);
      if (trouble === 'older') sendBefore(next.object);
    }
  }

  function end(how: 'end' | 'reset' | '410'): void {
    if (silent || ended) return;
    ended = true;
    options.onEnd();
    if (how === 'reset') return void answer.socket?.resetAndDestroy();
    if (how === '410') send('ERROR', { kind: 'Status', status: 'Failure', code: 410, reason: 'Expired' });
    answer.end();
  }

  return {
    resource,
    end,
    pump: deliver,
    take({ type, object }) {
      if (type === 'BOOKMARK') {
        const isAhead =
          waiting.length > 0 || versionOf(object) > (conditions.view?.version ?? Number.POSITIVE_INFINITY);
        if (!isWithheld() && !isAhead) send(type, object);
        return;
      }
      const delay = conditions.watches.get(resource) === 'delay' ? DELAY_MS : 0;
      const last = waiting.at(-1)?.notBefore ?? 0;
      waiting.push({ type, object, notBefore: Math.max(last, clock.now() + delay) });
      deliver();
    },
    showHidden() {
      const last = new Map(
        waiting.map((event) => [`${event.object.metadata.namespace}/${event.object.metadata.name}`, event]),
      );
      waiting.length = 0;
      for (const event of [...last.values()].sort((a, b) => versionOf(a.object) - versionOf(b.object))) tell(event);
    },
  };
}
