// gRPC in clear text between a client and a server, call by call: each connection of a client has one to the server.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { type Calls, changes, type Seen } from './call.ts';

export interface AskedGrpc {
  readonly seen: Seen;
  /** Called with an answer of the status OK. */
  accepts(answer: Buffer): boolean;
}

/** What a protocol over gRPC means. `message`: without the five bytes before it; empty where there is none. */
export interface GrpcReading {
  /** Its messages pass as they come, both ways; it is a call of kind other. */
  isStream(path: string): boolean;
  /** `connection`: the same object for all calls of one. */
  see(path: string, message: Buffer, connection: object): AskedGrpc;
  readonly limited: { readonly status: number; readonly details: string } | { readonly message: Buffer };
}

/** Of a frame, and of what may come before the other side has to say that it goes on. */
const WINDOW_BYTES = 8 * 1_024 * 1_024;

/** `target`: a port on loopback. It does not listen yet. */
export function createGrpcCalls(target: number, reading: GrpcReading, calls: Calls): Server {
  return createServer((client) => serve(client, target, reading, calls));
}

function serve(client: Socket, target: number, reading: GrpcReading, calls: Calls): void {
  const settings = { initialWindowSize: WINDOW_BYTES };
  const server = connect(`http://127.0.0.1:${target}`, { settings });
  const session = performServerHandshake(client, { settings });
  const connection = {};
  let underWay = 0;
  client.on('error', () => {});
  session.on('error', () => client.destroy());
  server.on('error', () => client.destroy());
  server.on('connect', () => {
    if (!server.destroyed) server.setLocalWindowSize(WINDOW_BYTES);
  });
  // A server that says goodbye answers what is under way first; the client must not send it more.
  server.on('goaway', () => session.close());
  server.on('close', () => client.destroy());
  const endWithClient = () => {
    if (client.destroyed && underWay === 0) server.destroy();
  };
  client.on('close', endWithClient);

  session.on('stream', async (asked, headers) => {
    underWay++;
    asked.on('error', () => {});
    try {
      await pass({ asked, headers, client, server, connection }, reading, calls);
    } finally {
      underWay--;
      endWithClient();
    }
  });
}

interface Passage {
  readonly asked: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly client: Socket;
  readonly server: ClientHttp2Session;
  readonly connection: object;
}

async function pass(passage: Passage, reading: GrpcReading, calls: Calls): Promise<void> {
  const { asked, headers, client, connection } = passage;
  const path = headers[':path'] ?? '';
  const isStream = reading.isStream(path);
  const body = isStream ? NOTHING : await bytesFrom(asked);
  if (body === undefined) return;
  const { seen, accepts } = isStream ? ofStream(path) : reading.see(path, messageIn(body), connection);
  const { call, fate } = await calls.begin(seen);
  if (fate === 'refuse') return void client.resetAndDestroy();
  if (fate === 'limit') return limit(asked, reading.limited);
  // Nobody waits for what is only read; what is written may be on its way already.
  const isMoot = !changes(call);
  if (isMoot && asked.destroyed) return;
  const sent = open(passage);
  if (sent === undefined) return void client.resetAndDestroy();
  if (isStream) return stream(asked, sent);
  if (isMoot) asked.once('close', () => sent.close(constants.NGHTTP2_CANCEL));
  const answer = await wholeAnswer(sent, body);
  if (answer === undefined) return asked.destroyed ? undefined : asked.close(sent.rstCode);
  const isOk = { ...answer.headers, ...answer.trailers }['grpc-status'] === '0';
  await calls.answered(call, isOk && accepts(messageIn(answer.body)));
  if (fate === 'lose') client.resetAndDestroy();
  else if (!asked.destroyed) reply(asked, answer);
}

const ofStream = (name: string): AskedGrpc => ({ seen: { kind: 'other', name, touches: [] }, accepts: () => true });

function open({ server, headers }: Passage): ClientHttp2Stream | undefined {
  if (server.destroyed || server.closed) return undefined;
  // The client's own, which no server of these looks at.
  const { ':authority': _, ...others } = headers;
  return server.request(others).on('error', () => {});
}

interface Whole {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders;
}

/** Undefined when the stream ended without one. */
async function wholeAnswer(sent: ClientHttp2Stream, body: Buffer): Promise<Whole | undefined> {
  let headers: IncomingHttpHeaders | undefined;
  let trailers: IncomingHttpHeaders = {};
  sent.on('response', (got) => {
    headers = got;
  });
  sent.on('trailers', (got) => {
    trailers = got;
  });
  const closed = new Promise<void>((resolve) => sent.on('close', resolve));
  sent.end(body);
  const bytes = await bytesFrom(sent);
  await closed;
  return bytes === undefined || headers === undefined ? undefined : { headers, body: bytes, trailers };
}

function reply(asked: ServerHttp2Stream, { headers, body, trailers }: Whole): void {
  // A status without a message comes in the first headers.
  if (body.length === 0 && Object.keys(trailers).length === 0) {
    asked.respond(headers, { endStream: true });
    return;
  }
  asked.respond(headers, { waitForTrailers: true });
  asked.once('wantTrailers', () => asked.sendTrailers(trailers));
  asked.end(body);
}

function stream(asked: ServerHttp2Stream, sent: ClientHttp2Stream): Promise<void> {
  asked.pipe(sent);
  const trailers = new Promise<IncomingHttpHeaders>((resolve) => sent.once('trailers', resolve));
  sent.once('response', (headers, flags) => {
    if (asked.destroyed) return;
    const isOver = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    asked.respond(headers, isOver ? { endStream: true } : { waitForTrailers: true });
    if (isOver) return;
    asked.once('wantTrailers', async () => {
      const last = await trailers;
      if (!asked.destroyed) asked.sendTrailers(last);
    });
    sent.pipe(asked);
  });
  asked.once('close', () => sent.close(constants.NGHTTP2_CANCEL));
  return new Promise((resolve) => {
    sent.once('close', () => {
      if (sent.rstCode !== constants.NGHTTP2_NO_ERROR && !asked.destroyed) asked.close(sent.rstCode);
      resolve();
    });
  });
}

function limit(asked: ServerHttp2Stream, limited: GrpcReading['limited']): void {
  if (asked.destroyed) return;
  if ('status' in limited) {
    const { status, details } = limited;
    asked.respond({ ...HEADERS, 'grpc-status': String(status), 'grpc-message': details }, { endStream: true });
    return;
  }
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(limited.message.length, 1);
  reply(asked, { headers: HEADERS, body: Buffer.concat([prefix, limited.message]), trailers: OK });
}

const HEADERS = { 'content-type': 'application/grpc' };
const OK = { 'grpc-status': '0' };
const NOTHING = Buffer.alloc(0);

/** Whether it is compressed, which nobody here does, and its length. */
const PREFIX_BYTES = 5;

const messageIn = (body: Buffer): Buffer => body.subarray(PREFIX_BYTES);

async function bytesFrom(stream: ServerHttp2Stream | ClientHttp2Stream): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}
