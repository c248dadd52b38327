// The way from one process of the operator to the model of the API server, in the middle of which things go wrong as the conditions say. A process that
// died hears nothing any more, and nothing of it arrives.
import { type KubeClient, KubeError, type KubeRequest } from '../../src/kubernetes/client.ts';
import { type Address, type ApiServer, addressOf, type Json, notFound, type Recorded } from './api-server.ts';
import { openLines } from './lines.ts';
import type { ProcessClock } from './process-clock.ts';

/** hold: answered when the trouble is over. silence: never. */
export type ListTrouble =
  | 'delay'
  | 'hold'
  | 'silence'
  | 'refuse'
  | 'truncate'
  | 'reset'
  | '410'
  | '429'
  | '500'
  | 'empty'
  | 'older';
export type WatchTrouble =
  | 'delay'
  | 'hold'
  | 'end'
  | 'duplicate'
  | 'older'
  | 'truncate'
  | 'reset'
  | '410'
  | '429'
  | '500'
  | 'dead';

/** What is wrong with the API server now. The director of a run changes it. */
export interface ApiConditions {
  readonly lists: Map<string, ListTrouble>;
  readonly watches: Map<string, WatchTrouble>;
  /** Of these no event passes until they are shown or the watch is told to list anew. */
  readonly hidden: Set<string>;
  /** What it shows is this old: only what comes from its caches, or quorum lists too. */
  view: { readonly version: number; readonly of: 'caches' | 'everything' } | undefined;
  /** The version that an `older` list shows. */
  olderVersion: number;
}

export const goodConditions = (): ApiConditions => ({
  lists: new Map(),
  watches: new Map(),
  hidden: new Set(),
  view: undefined,
  olderVersion: 0,
});

export interface ApiWrite {
  readonly number: number;
  readonly what: string;
  /** False: it said what stood there already. */
  readonly effective: boolean;
  readonly at: number;
}

export interface ApiLinkOptions {
  readonly server: ApiServer;
  readonly clock: ProcessClock;
  readonly conditions: ApiConditions;
  /** A write of the operator has reached the server. Leases and Events are not told: they say nothing about what stands. */
  onWrite(what: string, effective: boolean): number;
  /** The answer has reached the operator. */
  onAnswered(number: number): void;
  /** The operator was told that an object is gone. */
  onDeletionSeen(version: number): void;
}

/** What a fault does to the watches that are open. */
export interface WatchControls {
  /** Of one resource, as {@link WatchTrouble} names it. */
  breakWatch(resource: string, how: 'end' | 'reset' | '410'): void;
  /** What was held back is sent: of each object its last event. */
  showHidden(resource: string): void;
  /** The conditions have changed for the better. */
  flush(): void;
}

export interface ApiLink extends WatchControls {
  readonly client: KubeClient;
  /** What comes after this version stays in the sockets of the process. */
  readUpTo(version: number): void;
}

const LATENCY_MS = 2;
const DELAY_MS = 5_000;
const HELD_MS = 100;
const BOOKMARK_MS = 60_000;
/** So that lists have pages, although workloads are small. */
const PAGE = 2;
const UNCOUNTED = /^\/apis\/(events|coordination)\.k8s\.io\//;

interface OpenWatch {
  readonly resource: string;
  end(how: 'end' | 'reset' | '410'): void;
  pump(): void;
  showHidden(): void;
}

/** For any watches that can do it. */
export function controlsOf(watches: ReadonlySet<OpenWatch>, conditions: ApiConditions): WatchControls {
  return {
    breakWatch(resource, how) {
      for (const one of [...watches]) if (one.resource === resource) one.end(how);
    },
    showHidden(resource) {
      conditions.hidden.delete(resource);
      for (const one of watches) if (one.resource === resource) one.showHidden();
    },
    flush() {
      for (const one of watches) one.pump();
    },
  };
}

export function openApiLink(options: ApiLinkOptions): ApiLink {
  const { server, clock, conditions, onWrite, onAnswered } = options;
  const watches = new Set<OpenWatch>();
  let lastRead = Number.POSITIVE_INFINITY;
  const later = (ms: number) => new Promise<void>((resolve) => clock.setTimer(ms, resolve));
  const silence = () => new Promise<never>(() => {});

  /** An answer under the caller's signal and deadline, as `openKubeClient` gives it. */
  function underway<T>({ signal, timeoutMs = 30_000, path }: KubeRequest, answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (then: () => void) => {
        cancel();
        signal.removeEventListener('abort', aborted);
        if (clock.alive) then();
      };
      const aborted = () => settle(() => reject(signal.reason));
      const cancel = clock.setTimer(timeoutMs, () =>
        settle(() => reject(new KubeError(0, 'Timeout', `${path}: no answer within ${timeoutMs} ms`))),
      );
      signal.addEventListener('abort', aborted, { once: true });
      if (signal.aborted) return aborted();
      answer.then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }

  async function write(request: KubeRequest): Promise<unknown> {
    await later(LATENCY_MS);
    const before = server.version;
    const answer = server.write(request);
    if (UNCOUNTED.test(request.path)) {
      await later(LATENCY_MS);
      return answer;
    }
    const number = onWrite(`${request.method} ${request.path}`, server.version !== before);
    await later(LATENCY_MS);
    // After whoever waits for it was told.
    queueMicrotask(() => onAnswered(number));
    return answer;
  }

  async function read(request: KubeRequest): Promise<unknown> {
    await later(LATENCY_MS);
    // What `Auto` asks for at the start.
    if (/^\/apis\/[^/]+\/v1$/.test(request.path)) return { kind: 'APIResourceList' };
    const address = addressOf(request.path);
    if (address.key === undefined) return list(address, request);
    const object = server.get(address);
    await later(LATENCY_MS);
    if (object === undefined) throw notFound(address.resource, address.key);
    return object;
  }

  async function list({ resource }: Address, { query = {} }: KubeRequest): Promise<unknown> {
    const trouble = conditions.lists.get(resource);
    const unreachable = new KubeError(0, 'Unreachable', `list ${resource}: the connection broke`);
    const next = query['continue'];
    switch (trouble) {
      case 'delay':
        await later(DELAY_MS);
        break;
      case 'hold':
        while (conditions.lists.get(resource) === 'hold') await later(HELD_MS);
        break;
      case 'silence':
        // The connection is dead, and the next one lives.
        conditions.lists.delete(resource);
        return silence();
      case 'refuse':
        throw unreachable;
      case 'truncate':
        throw new KubeError(0, 'Malformed', `list ${resource}: the answer is not JSON`);
      case 'reset':
        await later(LATENCY_MS);
        throw unreachable;
      case '410':
        if (next !== undefined) throw new KubeError(410, 'Expired', 'the continue token is too old');
        break;
      case '429':
        throw new KubeError(429, 'TooManyRequests', 'later', { retryAfterMs: 3_000 });
      case '500':
        throw new KubeError(500, 'InternalError', 'something is wrong here');
      case 'empty':
        await later(LATENCY_MS);
        return { items: [], metadata: { resourceVersion: String(server.version) } };
      case 'older':
      case undefined:
        break;
    }
    const { view } = conditions;
    const fromCache = query['resourceVersion'] === '0';
    const shown = view !== undefined && (view.of === 'everything' || fromCache) ? view.version : server.version;
    const [version = 0, offset = 0] =
      next === undefined ? [trouble === 'older' ? conditions.olderVersion : shown] : next.split(':').map(Number);
    const items = [...server.stateAt(resource, version).values()];
    const page = items.slice(offset, offset + PAGE);
    const left = offset + PAGE < items.length ? { continue: `${version}:${offset + PAGE}` } : {};
    await later(LATENCY_MS);
    return { items: page, metadata: { resourceVersion: String(version), ...left } };
  }

  async function watch(request: KubeRequest): Promise<AsyncIterable<Uint8Array>> {
    await later(LATENCY_MS);
    const { resource } = addressOf(request.path);
    const trouble = conditions.watches.get(resource);
    if (trouble === '429') throw new KubeError(429, 'TooManyRequests', 'later', { retryAfterMs: 3_000 });
    if (trouble === '500') throw new KubeError(500, 'InternalError', 'something is wrong here');
    const from = Number(request.query?.['resourceVersion']);
    if (from > (conditions.view?.version ?? server.version))
      throw new KubeError(504, 'Timeout', 'Too large resource version', { retryAfterMs: 1_000 });
    return openWatch(resource, from, request);
  }

  function openWatch(resource: string, from: number, { signal, query = {} }: KubeRequest): AsyncIterable<Uint8Array> {
    const lines = openLines(() => clock.alive);
    let sent = from;
    let scheduled = false;
    let notBefore = 0;
    // A connection that is dead stays so; the next one lives.
    const dead = conditions.watches.get(resource) === 'dead' ? 'once it stands' : 'no';
    let silent = false;
    const cancels = new Set<() => void>();
    const stopListening = server.listen((event) => {
      if (event.resource === resource) pump();
    });
    const close = () => {
      watches.delete(self);
      stopListening();
      for (const cancel of cancels) cancel();
      signal.removeEventListener('abort', aborted);
    };
    const aborted = () => {
      close();
      lines.fail(signal.reason);
    };
    const send = (type: string, object: Json) => lines.push(`${JSON.stringify({ type, object })}\n`);

    function tell(event: Recorded): void {
      sent = event.version;
      send(event.type, event.object);
      if (event.type === 'DELETED') options.onDeletionSeen(event.version);
    }

    function pump(): void {
      if (scheduled) return;
      scheduled = true;
      const delay = conditions.watches.get(resource) === 'delay' ? DELAY_MS : LATENCY_MS;
      notBefore = Math.max(notBefore, clock.now() + delay);
      cancels.add(
        clock.setTimer(notBefore - clock.now(), () => {
          scheduled = false;
          deliver();
        }),
      );
    }

    function deliver(): void {
      for (const event of due()) {
        const trouble = conditions.watches.get(resource);
        if (silent || conditions.hidden.has(resource) || trouble === 'hold') return;
        if (trouble === 'dead' && dead === 'no') {
          silent = true;
          return;
        }
        if (trouble === 'end' || trouble === 'reset' || trouble === '410') {
          self.end(trouble);
          return;
        }
        if (trouble === 'truncate') {
          lines.push(JSON.stringify({ type: event.type, object: event.object }).slice(0, 40));
          self.end('end');
          return;
        }
        tell(event);
        if (trouble === 'duplicate') send(event.type, event.object);
        if (trouble === 'older' && event.before !== undefined) send('MODIFIED', event.before);
      }
    }

    const due = (): readonly Recorded[] =>
      server.history.filter(
        (event) =>
          event.resource === resource &&
          event.version > sent &&
          event.version <= Math.min(lastRead, conditions.view?.version ?? Number.POSITIVE_INFINITY),
      );

    function bookmark(): void {
      cancels.add(clock.setTimer(BOOKMARK_MS, bookmark));
      if (silent || conditions.hidden.has(resource) || conditions.watches.get(resource) === 'hold') return;
      deliver();
      const version = Math.min(lastRead, conditions.view?.version ?? server.version);
      if (watches.has(self)) send('BOOKMARK', { metadata: { resourceVersion: String(Math.max(sent, version)) } });
    }

    const self: OpenWatch = {
      resource,
      pump,
      showHidden() {
        const last = new Map(due().map((event) => [event.key, event]));
        for (const event of [...last.values()].sort((a, b) => a.version - b.version)) {
          tell(event);
        }
      },
      end(how) {
        if (silent) return;
        close();
        if (how === '410') {
          lines.push(
            `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`,
          );
        }
        if (how === 'reset') lines.fail(new KubeError(0, 'Unreachable', `watch ${resource}: the connection broke`));
        else lines.end();
      },
    };
    watches.add(self);
    signal.addEventListener('abort', aborted, { once: true });
    cancels.add(clock.setTimer(BOOKMARK_MS, bookmark));
    cancels.add(clock.setTimer(Number(query['timeoutSeconds']) * 1_000, () => self.end('end')));
    pump();
    return lines.stream;
  }

  return {
    client: {
      server: 'http://model',
      namespace: 'roster-system',
      request: (request) => underway(request, request.method === 'GET' ? read(request) : write(request)),
      stream: (request) => underway(request, watch(request)),
      async close() {},
    },
    ...controlsOf(watches, conditions),
    readUpTo(version) {
      lastRead = version;
      for (const one of watches) one.pump();
    },
  };
}
