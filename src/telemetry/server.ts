import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Instance } from '../mirror/instance.ts';
import { type StatusPage, statusPage } from './status-page.ts';

/**
 * What is asked at each request. None of it may depend on a registry being up: a probe that fails for that restarts the operator into
 * the outage.
 */
export interface ServerInputs {
  /** False when a worker is stuck. That the process answers at all shows that its event loop turns. */
  live(): boolean;
  /** True once the caches are complete. */
  ready(): boolean;
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** `name` of a ClusterRegistry or `namespace/name` of a Registry; undefined when it is not a Memory registry of this operator. A leader: the replica that holds it. */
  registrySnapshot(name: string): readonly Instance[] | { readonly leader: string | undefined } | undefined;
  summary(): StatusPage;
}

export interface Address {
  /** Absent: all interfaces. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface TelemetryServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Rejects with the error of `listen`, for instance code EADDRINUSE. */
export function openServer({ host, port }: Address, inputs: ServerInputs): Promise<TelemetryServer> {
  const server = createServer((request, response) => {
    respond(request, inputs).then(
      (answer) => send(response, answer),
      () => send(response, text(500, 'internal error')),
    );
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host !== undefined && { host }) }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function respond({ method, url }: IncomingMessage, inputs: ServerInputs): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET is served here');
  const [path = '/'] = (url ?? '/').split('?');
  if (path.startsWith('/registries/')) return registry(path.slice('/registries/'.length), inputs);
  switch (path) {
    case '/livez':
      return inputs.live() ? text(200, 'ok') : text(503, 'a worker is stuck');
    case '/readyz':
      return inputs.ready() ? text(200, 'ok') : text(503, 'the caches are not complete yet');
    case '/metrics':
      return { status: 200, ...(await inputs.scrape()) };
    case '/':
      return { status: 200, contentType: 'text/html; charset=utf-8', body: statusPage(inputs.summary()) };
    default:
      return text(404, 'not found; there are /livez, /readyz, /metrics, /registries/<name> and /');
  }
}

function registry(encoded: string, { registrySnapshot }: ServerInputs): Answer {
  const name = decoded(encoded);
  const instances = name === undefined ? undefined : registrySnapshot(name);
  if (instances !== undefined && 'leader' in instances) {
    const { leader = 'another replica, not elected yet' } = instances;
    return json(503, {
      error: `this replica does not lead registry ${name}, and holds nothing of it: ask ${leader}`,
      leader,
    });
  }
  if (instances === undefined) {
    const error = `no registry of type Memory named ${JSON.stringify(name ?? encoded)} is held by this operator`;
    return json(404, { error });
  }
  return json(200, { instances: instances.toSorted(byServiceThenId) });
}

const byServiceThenId = (a: Instance, b: Instance): number => compare(a.service, b.service) || compare(a.id, b.id);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function decoded(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

const text = (status: number, line: string): Answer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body: `${line}\n`,
});

const json = (status: number, value: unknown): Answer => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value)}\n`,
});

function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
