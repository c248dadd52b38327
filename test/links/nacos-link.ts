import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { onFreePorts } from '../servers/process.ts';
import { closed, listening } from './listening.ts';
import { type Disturbances, openTcpLink } from './tcp-link.ts';

export interface NacosLink extends Disturbances {
  /** Each change is a request of its own. */
  readonly oneByOne: true;
  /** Of the HTTP side; gRPC is 1,000 above it. */
  readonly address: string;
  /** Runs before the next write of an entry over HTTP reaches the server, which waits for it. */
  beforeNextWrite(run: () => Promise<void>): void;
  /** Asks and answers of the HTTP side that wrote an entry. */
  writes(): number;
  close(): Promise<void>;
}

/**
 * Both connections to Nacos, in the middle of which things can go wrong. The answers that are damaged are those to writes of persistent entries,
 * which go over HTTP; what is read before passes. `target` is the HTTP port of the server, on loopback. `grpc`: false where its gRPC port is closed.
 */
export async function openNacosLink(target: number, sides: { readonly grpc?: boolean } = {}): Promise<NacosLink> {
  const sockets = new Set<Socket>();
  const held = new Set<() => void>();
  const agent = new Agent({ keepAlive: true });
  let frozen = false;
  let damage: 'none' | 'cut' | 'truncate' = 'none';
  let before: (() => Promise<void>) | undefined;
  let writes = 0;

  const whenThawed = (run: () => void): void => {
    if (frozen) held.add(run);
    else run();
  };
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket)).on('error', () => {});
  };

  const pass = async (asked: IncomingMessage, answer: ServerResponse, body: Buffer): Promise<void> => {
    const { method, url, headers } = asked;
    const isWrite = method !== 'GET' && url?.includes('/ns/instance') === true;
    if (isWrite && before !== undefined) {
      const run = before;
      before = undefined;
      await run();
    }
    const sent = request(
      { host: '127.0.0.1', port: target, method, path: url, headers, agent },
      async (got: IncomingMessage) => {
        const chunks: Buffer[] = [];
        for await (const chunk of got) chunks.push(chunk);
        const whole = Buffer.concat(chunks);
        if (isWrite) writes++;
        whenThawed(() => {
          if (!isWrite || damage === 'none') {
            answer.writeHead(got.statusCode ?? 502, got.headers).end(whole);
            return;
          }
          // The server answers, so it has done what it was asked.
          const cutOff = damage === 'truncate';
          damage = 'none';
          if (!cutOff) return void asked.socket.resetAndDestroy();
          answer.writeHead(200, { 'content-length': String(whole.length) });
          answer.write(whole.subarray(0, 1), () => asked.socket.destroy());
        });
      },
    );
    sent.once('error', () => asked.socket.destroy()).end(body);
  };
  const web = createServer(async (asked, answer) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of asked) chunks.push(chunk);
    } catch {
      return;
    }
    whenThawed(() => void pass(asked, answer, Buffer.concat(chunks)));
  }).on('connection', track);

  const { port, grpc } = await onFreePorts(
    ['web'],
    async (ports) => {
      const port = await listening(web, ports.web);
      if (sides.grpc === false) return { port, grpc: undefined };
      const grpc = await openTcpLink(target + 1_000, { port: port + 1_000 }).catch(async (error) => {
        await closed(web);
        throw error;
      });
      return { port, grpc };
    },
    [1_000],
  );

  return {
    address: `http://127.0.0.1:${port}`,
    oneByOne: true,
    writes: () => writes,
    freeze() {
      frozen = true;
      grpc?.freeze();
    },
    cutNextAnswer() {
      damage = 'cut';
    },
    truncateNextAnswer() {
      damage = 'truncate';
    },
    beforeNextWrite(run) {
      before = run;
    },
    heal() {
      frozen = false;
      damage = 'none';
      grpc?.heal();
      for (const run of held) run();
      held.clear();
    },
    connections: () => sockets.size + (grpc?.connections() ?? 0),
    async close() {
      agent.destroy();
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed(web), grpc?.close()]);
    },
  };
}
