import type { KubeObject } from '../api/core.ts';
import { isFields } from '../api/metadata.ts';
import type { Clock } from '../clock.ts';
import type { KubeClient } from './client.ts';
import type { Taken, WatchEvent } from './intake.ts';
import { fromStatus, fromTransport, type KubeError } from './kube-error.ts';
import type { Resource } from './resources.ts';

export interface WatchRequest<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly namespace: string | undefined;
  /** The first event is the one after this. */
  readonly resourceVersion: string;
  /** After which the server ends the watch. */
  readonly timeoutSeconds: number;
  /** Without a byte for so long the connection counts as dead. */
  readonly stallMs: number;
  /** Clock time at which the watch is to end for a new list. */
  readonly until: number | undefined;
  readonly take: (event: WatchEvent) => Taken;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export type WatchEnd =
  /** By the server, or because the time is up: every event until now was seen. */
  | { readonly type: 'ended' | 'due' | 'aborted' }
  /** The stream is silent or not to be believed. */
  | { readonly type: 'stalled' | 'distrusted'; readonly why: string }
  /** Not opened, broken off, or an error of the server in place of an event. 410: the resource version is too old. */
  | { readonly type: 'failed'; readonly error: KubeError };

export interface Watched {
  readonly end: WatchEnd;
  /** Events and bookmarks taken. */
  readonly events: number;
}

/** No object of etcd is larger than 1.5 MiB, also not as JSON with its managed fields. */
const LONGEST_LINE = 16 * 1024 * 1024;

/** One watch, from opening to its end. Never rejects. */
export async function watchOnce<T extends KubeObject>(request: WatchRequest<T>): Promise<Watched> {
  const { client, resource, namespace, clock, take, signal } = request;
  const ending = new AbortController();
  let cause: WatchEnd | undefined;
  let events = 0;
  const end = (reason: WatchEnd) => {
    cause ??= reason;
    ending.abort();
  };

  let lastByteAt = clock.now();
  let cancelStall = () => {};
  const guard = (ms: number) => {
    cancelStall = clock.setTimer(ms, () => {
      const left = lastByteAt + request.stallMs - clock.now();
      if (left > 0) guard(left);
      else end({ type: 'stalled', why: `no event and no bookmark for ${Math.round(request.stallMs / 1000)} s` });
    });
  };
  guard(request.stallMs);
  const cancelDue =
    request.until === undefined
      ? () => {}
      : clock.setTimer(Math.max(0, request.until - clock.now()), () => end({ type: 'due' }));
  const aborted = () => end({ type: 'aborted' });
  signal.addEventListener('abort', aborted, { once: true });
  if (signal.aborted) aborted();

  const path = resource.path(namespace);
  try {
    const stream = await client.stream({
      method: 'GET',
      path,
      query: {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: request.resourceVersion,
        timeoutSeconds: String(request.timeoutSeconds),
      },
      signal: ending.signal,
    });
    for await (const line of lines(stream, () => {
      lastByteAt = clock.now();
    })) {
      // Nothing may be taken after the end: the reflector goes on from what was seen until then.
      if (cause) break;
      const failure = takeLine(line, path, take);
      if (failure) return { end: failure, events };
      events++;
    }
    return { end: cause ?? { type: 'ended' }, events };
  } catch (error) {
    if (cause) return { end: cause, events };
    if (error instanceof TruncatedStream) return { end: { type: 'distrusted', why: error.message }, events };
    return { end: { type: 'failed', error: fromTransport(error, `watch ${path}`) }, events };
  } finally {
    cancelStall();
    cancelDue();
    signal.removeEventListener('abort', aborted);
    ending.abort();
  }
}

class TruncatedStream extends Error {}

async function* lines(stream: AsyncIterable<Uint8Array>, onBytes: () => void): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  let length = 0;
  for await (const chunk of stream) {
    onBytes();
    const parts = decoder.decode(chunk, { stream: true }).split('\n');
    const last = parts.pop() ?? '';
    for (const part of parts) {
      const line = rest.length === 0 ? part : rest.join('') + part;
      rest = [];
      length = 0;
      if (line !== '') yield line;
    }
    if (last !== '') rest.push(last);
    length += last.length;
    if (length > LONGEST_LINE) throw new TruncatedStream('the watch sent a line without end');
  }
  if (length > 0) throw new TruncatedStream('the watch ended in the middle of an event');
}

const EVENT_TYPES = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'] as const;

/** undefined when the event was taken. */
function takeLine(line: string, path: string, take: (event: WatchEvent) => Taken): WatchEnd | undefined {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return { type: 'distrusted', why: 'the watch sent a line that is not JSON' };
  }
  const fields = isFields(event) ? event : {};
  if (fields['type'] === 'ERROR') {
    return { type: 'failed', error: fromStatus(fields['object'], { code: 500, what: `watch ${path}` }) };
  }
  const type = EVENT_TYPES.find((known) => known === fields['type']);
  if (type === undefined) return { type: 'distrusted', why: 'the watch sent an event of an unknown type' };
  const taken = take({ type, object: fields['object'] });
  return taken.ok ? undefined : { type: 'distrusted', why: taken.distrusted };
}
