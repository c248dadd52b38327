/** An API server that answers as the test says: for the answers that a real one gives once in a thousand days. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Seen {
  readonly kind: 'list' | 'watch' | 'get' | 'write';
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** performance.now() */
  readonly at: number;
}

export type Answer = (response: ServerResponse, seen: Seen) => void;

/** For each kind of request its answers in order; the last one is given again and again. */
export interface Script {
  readonly list?: readonly Answer[];
  readonly watch?: readonly Answer[];
  readonly get?: readonly Answer[];
  readonly write?: readonly Answer[];
}

export interface ScriptedServer {
  readonly kubeconfig: string;
  readonly port: number;
  readonly requests: readonly Seen[];
  count(kind: Seen['kind']): number;
  close(): Promise<void>;
}

const COLLECTION = /\/(namespaces|services|endpointslices|endpoints|serviceregistrations|events)$/;

export async function scriptedServer(script: Script): Promise<ScriptedServer> {
  const requests: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://server');
      const kind =
        request.method !== 'GET'
          ? 'write'
          : url.searchParams.has('watch')
            ? 'watch'
            : COLLECTION.test(url.pathname)
              ? 'list'
              : 'get';
      const seen: Seen = {
        kind,
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
        at: performance.now(),
      };
      requests.push(seen);
      const answers = script[kind] ?? [];
      const index = requests.filter((other) => other.kind === kind).length - 1;
      const answer = answers[Math.min(index, answers.length - 1)] ?? status(501, 'NotScripted');
      answer(response, seen);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const directory = await mkdtemp(join(tmpdir(), 'roster-scripted-'));
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigFor(`http://127.0.0.1:${port}`));
  return {
    kubeconfig,
    port,
    requests,
    count: (kind) => requests.filter((seen) => seen.kind === kind).length,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}

export const kubeconfigFor = (url: string, user: object = { token: 'secret-of-the-test' }): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'shop' } }],
  });

/** A Service as the API server sends it. */
export const service = (name: string, resourceVersion: string | number, uid = `uid-${name}`, extra: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop', uid, resourceVersion: String(resourceVersion), ...extra },
  spec: { type: 'ClusterIP', selector: { app: name }, ports: [{ port: 80 }] },
});

export const json =
  (value: unknown, code = 200, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };

export const statusObject = (code: number, reason: string, details: object = {}) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message: `scripted ${reason}`,
  details,
});

export const status = (
  code: number,
  reason: string,
  details: object = {},
  headers: Record<string, string> = {},
): Answer => json(statusObject(code, reason, details), code, headers);

export const page = (resourceVersion: string | number, items: readonly unknown[], token?: string): Answer =>
  json({
    kind: 'ServiceList',
    apiVersion: 'v1',
    metadata: { resourceVersion: String(resourceVersion), ...(token ? { continue: token } : {}) },
    items,
  });

export const event = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

export const bookmark = (resourceVersion: string | number): string =>
  event('BOOKMARK', { kind: 'Service', apiVersion: 'v1', metadata: { resourceVersion: String(resourceVersion) } });

/** A watch that sends these lines and then does as told: stays open and silent, ends in order, or breaks off. */
export const watch =
  (lines: readonly string[], then: 'stay' | 'end' | 'reset' = 'stay'): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const line of lines) response.write(line);
    if (then === 'end') response.end();
    // After the bytes have left, or they would be lost with the connection.
    if (then === 'reset') setTimeout(() => response.socket?.resetAndDestroy(), 20);
  };
