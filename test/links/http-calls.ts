// HTTP/1.1 between a client and a server, call by call.
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Server, type Socket } from 'node:net';
import { type Calls, changes, type Seen } from './call.ts';

export interface AskedHttp {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

export interface AnsweredHttp {
  readonly status: number;
  readonly body: string;
}

/** What a protocol over HTTP means. */
export interface HttpReading {
  see(asked: AskedHttp): Seen;
  accepts(answer: AnsweredHttp): boolean;
}

interface Whole {
  readonly message: IncomingMessage;
  readonly body: Buffer;
}

/** `target`: a port on loopback. It does not listen yet. */
export function createHttpCalls(target: number, { see, accepts }: HttpReading, calls: Calls): Server {
  const ways = new WeakMap<Socket, Way>();
  // It is for the server to end connections that nobody uses.
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const way = ways.get(incoming.socket);
    if (way !== undefined) void way.carry(() => pass(way, incoming, outgoing));
  });

  async function pass(way: Way, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { socket, method = '', headers } = incoming;
    const body = await bodyOf(incoming);
    if (body === undefined) return;
    const { pathname: path, searchParams: query } = new URL(incoming.url ?? '', 'http://any');
    const { call, fate } = await calls.begin(see({ method, path, query, body: body.toString() }));
    if (fate === 'refuse') return void socket.resetAndDestroy();
    if (fate === 'limit') return void outgoing.writeHead(429, { 'content-type': 'text/plain' }).end('not now');
    // Nobody waits for what is only read; what is written may be on its way already.
    const isMoot = !changes(call);
    if (isMoot && socket.destroyed) return;
    const sent = request({ port: target, host: '127.0.0.1', method, path: incoming.url, headers, agent: way.agent });
    if (isMoot) outgoing.once('close', () => sent.destroy());
    const answer = await wholeAnswer(sent, body);
    if (answer === undefined) return void socket.resetAndDestroy();
    const { statusCode = 502, headers: back } = answer.message;
    await calls.answered(call, accepts({ status: statusCode, body: answer.body.toString() }));
    if (fate === 'lose') socket.resetAndDestroy();
    else outgoing.writeHead(statusCode, back).end(answer.body);
  }

  return server.on('connection', (socket: Socket) => {
    socket.on('error', () => {});
    ways.set(socket, openWay(socket, target));
  });
}

/** One connection to the server for one of the client, so that each ends when the other does. */
interface Way {
  readonly agent: Agent;
  carry(run: () => Promise<void>): Promise<void>;
}

function openWay(client: Socket, target: number): Way {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let underWay = 0;
  agent.createConnection = () => {
    const server = connect(target, '127.0.0.1').on('error', () => {});
    return server.on('close', () => {
      if (underWay === 0) client.destroy();
    });
  };
  const endWithClient = () => {
    if (client.destroyed && underWay === 0) agent.destroy();
  };
  client.on('close', endWithClient);
  return {
    agent,
    async carry(run) {
      underWay++;
      await run();
      underWay--;
      endWithClient();
    },
  };
}

async function bodyOf(message: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of message) chunks.push(chunk);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

function wholeAnswer(sent: ReturnType<typeof request>, body: Buffer): Promise<Whole | undefined> {
  return new Promise((resolve) => {
    const nothing = () => resolve(undefined);
    sent.on('error', nothing).on('close', nothing);
    sent.once('response', async (message: IncomingMessage) => {
      // The end of a request may be told before that of its answer.
      sent.off('close', nothing);
      const whole = await bodyOf(message);
      resolve(whole === undefined ? undefined : { message, body: whole });
    });
    sent.end(body);
  });
}
