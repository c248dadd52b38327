// The way from one process of the operator to the real API server, in the middle of which things go wrong as the conditions say. It shows the process
// nothing but what belongs to its run.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../../src/clock.ts';
import { type ApiConditions, controlsOf, type ListTrouble, type WatchControls } from '../api-link.ts';
import { type Address, addressOf, type Json } from '../api-server.ts';
import { belongsTo, type History, type Scope, WATCHED } from './recorder.ts';
import { type Answer, bodyOf, type Passed, type Upstream } from './upstream.ts';
import { openWatchStream, type WatchStream } from './watch-stream.ts';

export interface ApiProxyOptions {
  readonly upstream: Upstream;
  readonly scope: Scope;
  readonly history: History;
  readonly clock: Clock;
  readonly conditions: ApiConditions;
  /** A write of the operator has reached the server. Leases and Events are not told: they say nothing about what stands. */
  onWrite(what: string, effective: boolean): number;
  /** The answer has left for the operator. */
  onAnswered(number: number): void;
  /** The operator was told that an object is gone. */
  onDeletionSeen(version: number): void;
}

export type ApiProxy = WatchControls & {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  close(): void;
};

const DELAY_MS = 5_000;
const HELD_MS = 100;
/** So that lists have pages, although workloads are small. */
const PAGE = 2;
const UNCOUNTED = /^\/apis\/(events|coordination)\.k8s\.io\//;

export async function openApiProxy(options: ApiProxyOptions): Promise<ApiProxy> {
  const { upstream, scope, history, clock, conditions } = options;
  const watches = new Set<WatchStream>();
  /** What the further pages of a list are cut from. */
  const lists = new Map<string, Listed>();
  const closing = new AbortController();
  let listed = 0;

  async function serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = '', headers } = asked;
    const url = new URL(asked.url ?? '', 'http://proxy');
    const body = await bodyOf(asked);
    const request = { method, headers, path: asked.url ?? '', ...(body.length === 0 ? {} : { body }) };
    if (method !== 'GET') return write(request, answer);
    const address = collectionIn(url.pathname);
    if (address === undefined) return pass(answer, await upstream.ask(request));
    const path = ownPath(url, scope);
    if (url.searchParams.get('watch') === 'true') return watch({ ...request, path }, address, answer);
    return list({ ...request, path }, address, answer);
  }

  async function write(request: Passed, answer: ServerResponse): Promise<void> {
    if (UNCOUNTED.test(request.path)) return pass(answer, await upstream.ask(request));
    const path = request.path.replace(/\?.*/, '').replace(/\/status$/, '');
    const before = versionIn(
      await upstream.ask({ method: 'GET', path, headers: { ...request.headers, accept: 'application/json' } }),
    );
    const done = await upstream.ask(request);
    if (done.status >= 300) return pass(answer, done);
    const number = options.onWrite(`${request.method} ${path}${saidIn(done)}`, versionIn(done) !== before);
    answer.once('finish', () => options.onAnswered(number));
    pass(answer, done);
  }

  async function list(request: Passed, { resource }: Address, answer: ServerResponse): Promise<void> {
    const trouble = conditions.lists.get(resource);
    const query = new URL(request.path, 'http://proxy').searchParams;
    if (await isRuinedBy(trouble, resource, answer, query.has('continue'))) return;
    const token = query.get('continue') ?? '';
    const [name = '', offset = '0'] = token.split(':');
    const whole = lists.get(name) ?? (await listWhole(request, resource, trouble));
    if (!('items' in whole)) return pass(answer, whole);
    const from = Number(offset);
    const isLast = from + PAGE >= whole.items.length;
    const key = lists.has(name) ? name : `list${++listed}`;
    if (isLast) lists.delete(key);
    else lists.set(key, whole);
    const metadata = { resourceVersion: whole.version, ...(isLast ? {} : { continue: `${key}:${from + PAGE}` }) };
    json(answer, 200, { items: whole.items.slice(from, from + PAGE), metadata });
  }

  /** True when there is no list to be given. */
  async function isRuinedBy(
    trouble: ListTrouble | undefined,
    resource: string,
    answer: ServerResponse,
    isFurther: boolean,
  ): Promise<boolean> {
    switch (trouble) {
      case 'delay':
        await delay(DELAY_MS);
        return false;
      case 'hold':
        while (conditions.lists.get(resource) === 'hold') await delay(HELD_MS);
        return false;
      case 'silence':
        // The connection is dead, and the next one lives.
        conditions.lists.delete(resource);
        return true;
      case 'refuse':
        answer.socket?.resetAndDestroy();
        return true;
      case 'truncate':
        answer
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"metadata":{"resourceVersion":"1"},"items":[{"meta');
        return true;
      case 'reset':
        answer.writeHead(200, { 'content-type': 'application/json', 'content-length': '4096' });
        answer.write('{"metadata":{"resourceVersion":"1"},"items":[', () => answer.socket?.resetAndDestroy());
        return true;
      case '410':
        if (isFurther) refuse(answer, 410, 'Expired', 'the continue token is too old');
        return isFurther;
      case '429':
        refuse(answer, 429, 'TooManyRequests', 'later', 3);
        return true;
      case '500':
        refuse(answer, 500, 'InternalError', 'something is wrong here');
        return true;
      case 'empty':
      case 'older':
      case undefined:
        return false;
    }
  }

  async function listWhole(
    request: Passed,
    resource: string,
    trouble: ListTrouble | undefined,
  ): Promise<Listed | Answer> {
    const { view } = conditions;
    const url = new URL(request.path, 'http://proxy');
    const isStale = view !== undefined && (view.of === 'everything' || url.searchParams.get('resourceVersion') === '0');
    const version = trouble === 'older' ? conditions.olderVersion : isStale ? view.version : undefined;
    if (version !== undefined) return { items: history.stateAt(resource, version), version: String(version) };
    url.searchParams.delete('limit');
    url.searchParams.delete('continue');
    const given = await upstream.ask({ ...request, path: `${url.pathname}${url.search}` });
    if (given.status !== 200) return given;
    const { items, metadata } = JSON.parse(given.body.toString());
    const own = items.filter((item: Json) => belongsTo(scope, resource, item));
    return { items: trouble === 'empty' ? [] : own, version: metadata.resourceVersion };
  }

  async function watch(request: Passed, { resource }: Address, answer: ServerResponse): Promise<void> {
    const trouble = conditions.watches.get(resource);
    if (trouble === '429') return refuse(answer, 429, 'TooManyRequests', 'later', 3);
    if (trouble === '500') return refuse(answer, 500, 'InternalError', 'something is wrong here');
    const from = Number(new URL(request.path, 'http://proxy').searchParams.get('resourceVersion'));
    if (from > (conditions.view?.version ?? from))
      return refuse(answer, 504, 'Timeout', 'Too large resource version', 1);
    const ending = new AbortController();
    const end = () => {
      watches.delete(stream);
      ending.abort();
    };
    const stream = openWatchStream({
      resource,
      answer,
      clock,
      conditions,
      history,
      onDeletionSeen: options.onDeletionSeen,
      onEnd: end,
    });
    answer.once('close', end);
    closing.signal.addEventListener('abort', end, { once: true, signal: ending.signal });
    const response = await upstream.open(request, ending.signal);
    if (response.statusCode !== 200) {
      return pass(answer, {
        status: response.statusCode ?? 502,
        headers: response.headers,
        body: await bodyOf(response),
      });
    }
    watches.add(stream);
    answer.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    for await (const line of linesOf(response)) {
      const event = JSON.parse(line);
      if (event.type === 'ERROR') answer.write(`${line}\n`);
      else if (event.type === 'BOOKMARK' || belongsTo(scope, resource, event.object)) stream.take(event);
    }
    stream.end('end');
  }

  const server = createServer((asked, answer) => {
    // The real one is not there, or the process is not.
    serve(asked, answer).catch(() => answer.socket?.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...controlsOf(watches, conditions),
    close() {
      closing.abort();
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Listed {
  readonly items: readonly Json[];
  readonly version: string;
}

/** Undefined for what is passed on as it is: single objects, discovery, Secrets. */
function collectionIn(path: string): Address | undefined {
  try {
    const address = addressOf(path);
    return address.key === undefined && WATCHED.has(address.resource) ? address : undefined;
  } catch {
    return undefined;
  }
}

/** What is in all namespaces is asked of its own alone. */
function ownPath(url: URL, { namespace }: Scope): string {
  const isWithin = /\/(services|endpointslices|serviceregistrations|registries)$/.test(url.pathname);
  const path =
    isWithin && !url.pathname.includes('/namespaces/')
      ? url.pathname.replace(/\/([a-z]+)$/, `/namespaces/${namespace}/$1`)
      : url.pathname;
  return `${path}${url.search}`;
}

function versionIn({ status, body }: Answer): string | undefined {
  return status < 300 ? JSON.parse(body.toString()).metadata?.resourceVersion : undefined;
}

/** Conditions, as far as they are no good news. */
function saidIn({ body }: Answer): string {
  const conditions: readonly Json[] = JSON.parse(body.toString()).status?.conditions ?? [];
  return conditions
    .map(({ type, status, reason }) => ` ${type}=${status === 'True' ? '' : `${status} `}${reason}`)
    .join();
}

function pass(answer: ServerResponse, { status, headers, body }: Answer): void {
  const { 'content-type': type = 'application/json', 'retry-after': after } = headers;
  answer
    .writeHead(status, { 'content-type': type, ...(after === undefined ? {} : { 'retry-after': after }) })
    .end(body);
}

function json(
  answer: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function refuse(answer: ServerResponse, code: number, reason: string, message: string, afterSeconds?: number): void {
  const after = afterSeconds === undefined ? {} : { 'retry-after': String(afterSeconds) };
  json(answer, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, after);
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
