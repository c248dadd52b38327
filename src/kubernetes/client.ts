import { Agent, type Dispatcher, ProxyAgent, request as send } from 'undici';
import { systemClock } from '../clock.ts';
import { type Access, type ClusterChoice, openCredentials } from './credentials.ts';
import { fromStatus, fromTransport, KubeError } from './kube-error.ts';

export { KubeError } from './kube-error.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default `application/json`; patches say their kind. */
  readonly contentType?: string;
  readonly signal: AbortSignal;
  /** Until the whole answer is there (`request`) or until its headers are (`stream`). Default 30 s. */
  readonly timeoutMs?: number;
}

/**
 * Guarantees: rejects with {@link KubeError}, or with the signal's reason when the caller aborted. All calls share one small pool of
 * connections; streams have their own, so that no number of watches starves the calls.
 */
export interface KubeClient {
  readonly server: string;
  /** Of the kubeconfig's context or of the Pod. */
  readonly namespace: string;
  /** The parsed JSON of a 2xx answer. */
  request(request: KubeRequest): Promise<unknown>;
  /** The bytes of a 2xx answer as they come; nothing limits the silence between them. */
  stream(request: KubeRequest): Promise<AsyncIterable<Uint8Array>>;
  /** Ends every call and stream. */
  close(): Promise<void>;
}

const CALL_CONNECTIONS = 8;
const DEFAULT_TIMEOUT_MS = 30_000;

export async function openKubeClient(
  choice: ClusterChoice & { readonly refreshMs?: number } = {},
): Promise<KubeClient> {
  const credentials = openCredentials(choice, systemClock.now, choice.refreshMs);
  const pools = connectionPools();
  const { server, namespace } = credentials;
  let closed = false;

  const dispatch = async (
    request: KubeRequest,
    kind: PoolKind,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> => {
    if (closed) throw new KubeError(0, 'Unreachable', 'the client is closed');
    const query = request.query ? `?${new URLSearchParams(request.query)}` : '';
    const access = await credentials.access();
    return send(`${server}${request.path}${query}`, {
      dispatcher: (await pools.get(access))[kind],
      method: request.method,
      headers: {
        ...access.headers,
        accept: 'application/json',
        'user-agent': 'roster',
        ...(request.body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
      },
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal,
      // Deadlines are ours; a quiet watch must not be cut by a default of the transport.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  };

  const answerOf = async (
    request: KubeRequest,
    kind: PoolKind,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> => {
    const first = await dispatch(request, kind, signal);
    if (first.statusCode !== 401) return first;
    // A token that expired or was rotated since it was read: once more with what the files say now.
    await first.body.dump();
    credentials.refused();
    return dispatch(request, kind, signal);
  };

  /** The answer under the caller's signal and the deadline of the request; `release` lets go of both. */
  const answered = async <R>(
    request: KubeRequest,
    kind: PoolKind,
    read: (answer: Dispatcher.ResponseData, link: Link) => Promise<R>,
  ): Promise<R> => {
    request.signal.throwIfAborted();
    const link = linkSignal(request);
    try {
      const answer = await answerOf(request, kind, link.signal);
      if (answer.statusCode >= 300) throw await failure(request, answer);
      return await read(answer, link);
    } catch (error) {
      link.release();
      throw link.signal.aborted ? link.signal.reason : fromTransport(error, `${request.method} ${request.path}`);
    }
  };

  return {
    server,
    namespace,
    request: (request) =>
      answered(request, 'calls', async ({ body }, link) => {
        const value = parseJson(await body.text());
        link.release();
        if (value === undefined) {
          throw new KubeError(0, 'Malformed', `${request.method} ${request.path}: the answer is not JSON`);
        }
        return value;
      }),
    stream: (request) =>
      answered(request, 'streams', async ({ body }, link) => {
        link.endDeadline();
        body.once('close', link.release);
        return body;
      }),
    async close() {
      closed = true;
      await pools.destroy();
    },
  };
}

interface Link {
  readonly signal: AbortSignal;
  endDeadline(): void;
  release(): void;
}

/** AbortSignal.any and AbortSignal.timeout would do, but hold on to the caller's long-lived signal and to a timer for each call. */
function linkSignal({ method, path, signal, timeoutMs = DEFAULT_TIMEOUT_MS }: KubeRequest): Link {
  const ending = new AbortController();
  const abort = () => ending.abort(signal.reason);
  const deadline = setTimeout(() => {
    ending.abort(
      new KubeError(0, 'Timeout', `${method} ${path}: no answer from the API server within ${timeoutMs} ms`),
    );
  }, timeoutMs);
  signal.addEventListener('abort', abort, { once: true });
  return {
    signal: ending.signal,
    endDeadline: () => clearTimeout(deadline),
    release() {
      clearTimeout(deadline);
      signal.removeEventListener('abort', abort);
    },
  };
}

async function failure({ method, path }: KubeRequest, answer: Dispatcher.ResponseData): Promise<KubeError> {
  const seconds = Number(answer.headers['retry-after']);
  return fromStatus(parseJson(await answer.body.text()), {
    code: answer.statusCode,
    what: `${method} ${path}`,
    retryAfterMs: seconds > 0 ? seconds * 1000 : undefined,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type PoolKind = 'calls' | 'streams';
type Pools = Readonly<Record<PoolKind, Dispatcher>>;

/** Keeps the connections until the certificates change; those that are busy with the old ones finish first. */
function connectionPools() {
  const retired = new Set<Dispatcher>();
  let current: { readonly fingerprint: string; readonly pools: Promise<Pools> } | undefined;

  const retire = async (pools: Promise<Pools>) => {
    for (const pool of Object.values(await pools)) {
      retired.add(pool);
      pool.close().then(
        () => retired.delete(pool),
        () => retired.delete(pool),
      );
    }
  };

  return {
    get(access: Access): Promise<Pools> {
      if (current?.fingerprint === access.fingerprint) return current.pools;
      const previous = current?.pools;
      const pools = openPools(access);
      current = { fingerprint: access.fingerprint, pools };
      // Failing to build the old pools was told to whoever asked for them.
      if (previous) retire(previous).catch(() => undefined);
      return pools;
    },
    async destroy() {
      const open = current === undefined ? [] : Object.values(await current.pools);
      await Promise.all([...retired, ...open].map((pool) => pool.destroy()));
    },
  };
}

async function openPools(access: Access): Promise<Pools> {
  return { calls: await openPool(access, CALL_CONNECTIONS), streams: await openPool(access, null) };
}

async function openPool({ tls, proxyUrl, socksDispatcher }: Access, connections: number | null): Promise<Dispatcher> {
  // HTTP/2 would put every watch on one connection, and one stalled connection would then silence them all.
  const options = { connections, allowH2: false, keepAliveTimeout: 30_000 };
  if (proxyUrl === undefined) {
    return new Agent({ ...options, connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 } });
  }
  if (!proxyUrl.startsWith('socks')) return new ProxyAgent({ ...options, uri: proxyUrl, requestTls: tls });
  const dispatcher = await socksDispatcher();
  if (dispatcher) return dispatcher;
  throw new Error('the SOCKS proxy of the kubeconfig cannot be used');
}
