// Requests to the real API server, passed on as they came.
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request as send } from 'node:https';
import type { ControlPlane } from '../../servers/control-plane.ts';

export interface Passed {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body?: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Upstream {
  open(asked: Passed, signal?: AbortSignal): Promise<IncomingMessage>;
  ask(asked: Passed): Promise<Answer>;
  close(): void;
}

export async function openUpstream({ url, caFile }: ControlPlane): Promise<Upstream> {
  const agent = new Agent({ keepAlive: true, ca: await readFile(caFile) });

  function open({ method, path, headers, body }: Passed, signal?: AbortSignal): Promise<IncomingMessage> {
    const { authorization, 'content-type': contentType, accept } = headers;
    const kept = { authorization, 'content-type': contentType, accept };
    const given = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
    return new Promise((resolve, reject) => {
      const options = {
        method,
        agent,
        headers: { ...given, ...(body === undefined ? {} : { 'content-length': body.length }) },
      };
      const sent = send(new URL(path, url), signal === undefined ? options : { ...options, signal });
      sent.once('response', resolve).once('error', reject).end(body);
    });
  }

  return {
    open,
    async ask(asked) {
      const response = await open(asked);
      return { status: response.statusCode ?? 502, headers: response.headers, body: await bodyOf(response) };
    },
    close: () => agent.destroy(),
  };
}

export async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks);
}
