import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Answer {
  readonly status?: number;
  /** Default: no index. */
  readonly index?: number;
  /** Sent as JSON; a text as it is. */
  readonly body: unknown;
}

export interface RecordingProxy {
  readonly address: string;
  readonly requests: Recorded[];
}

/** What goes on to the server instead of what was asked. */
export type Translate = (asked: Recorded) => Pick<Recorded, 'query' | 'headers' | 'body'>;

const unchanged: Translate = (asked) => asked;

/**
 * Records what is asked, and answers it by `answer`; what that leaves to it goes on to `target`. Closed after the tests of the file.
 */
export async function openProxy(
  target: string | undefined,
  answer: (asked: Recorded) => Answer | undefined,
  translate = unchanged,
): Promise<RecordingProxy> {
  const requests: Recorded[] = [];
  const agent = new Agent({ keepAlive: true });
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://consul');
    const { method = '', headers } = incoming;
    const body = Buffer.concat(chunks).toString();
    const recorded = { method, path: pathname, query: searchParams, headers, body };
    requests.push(recorded);
    const own = answer(recorded);
    if (own !== undefined || target === undefined) {
      const { status = 200, index, body: content } = own ?? { status: 404, body: '' };
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      outgoing.writeHead(status, {
        'content-type': typeof content === 'string' ? 'text/plain' : 'application/json',
        ...(index === undefined ? {} : { 'x-consul-index': String(index) }),
      });
      outgoing.end(text);
      return;
    }
    const sent = translate(recorded);
    const url = new URL(`${pathname}?${sent.query}`, target);
    const length = { 'content-length': String(Buffer.byteLength(sent.body)) };
    const onward = httpRequest(url, { method, headers: { ...sent.headers, ...length }, agent }, (response) => {
      outgoing.writeHead(response.statusCode ?? 0, response.headers);
      response.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    onward.end(sent.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}
