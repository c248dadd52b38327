import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { closed, listening } from './listening.ts';

/** A connection in the middle of which things can go wrong. */
export interface Disturbances {
  /** Nothing passes any more, and nothing is closed. */
  freeze(): void;
  /** The next answer of the server is kept back, and the connection reset in its place. */
  cutNextAnswer(): void;
  /** The next answer of the server is cut off after its first bytes. */
  truncateNextAnswer(): void;
  heal(): void;
  /** Connections that are open now. */
  connections(): number;
}

export interface TcpLink extends Disturbances {
  readonly port: number;
  /** When each connection was asked for, by `performance.now()`. */
  readonly arrivals: readonly number[];
  /** Breaks every connection, and takes no new ones until `heal`. */
  cut(): void;
  /** What the server says passes so much later, from now on. */
  answerLate(ms: number): void;
  close(): Promise<void>;
}

/** Something that the server says, whole. What is not an answer to be damaged has neither of the others. */
export interface Piece {
  readonly bytes: Buffer;
  readonly canBeCut?: boolean;
  /** What is left of it when it is truncated. */
  readonly truncated?: Buffer;
}

/** How one connection is read, so that what is damaged is an answer and not something beside it. */
export interface Conversation {
  /** Default: passes as it comes. */
  asked?(chunk: Buffer, pass: (bytes: Buffer) => void): void;
  answered(chunk: Buffer): Iterable<Piece>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

/** An answer that is damaged as it comes: whatever protocol it is in, something of it is missing. */
export const answerOf = (bytes: Buffer): Piece => ({
  bytes,
  canBeCut: true,
  truncated: bytes.subarray(0, Math.min(300, bytes.length - 1)),
});

/** By default whatever the server says is an answer. */
const plain = (): Conversation => ({ answered: (chunk) => [answerOf(chunk)] });

/** A TCP connection in the middle of which things can go wrong. `target` is the server's port on loopback, `port` that of the link; default: any. */
export async function openTcpLink(
  target: number,
  { conversation = plain, port = 0 }: { readonly conversation?: () => Conversation; readonly port?: number } = {},
): Promise<TcpLink> {
  const pairs = new Set<Pair>();
  const arrivals: number[] = [];
  let state: 'open' | 'frozen' | 'cut' = 'open';
  let damage: 'none' | 'cut' | 'truncate' = 'none';
  let lateMs = 0;

  const listener = createServer((client) => {
    arrivals.push(performance.now());
    if (state === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const server = connect(target, '127.0.0.1');
    const pair = { client, server };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      destroy(pair);
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    if (state === 'frozen') stall(pair);

    const { asked, answered } = conversation();
    const toServer = (bytes: Buffer) => void server.write(bytes);
    const toClient = inTime(
      () => lateMs,
      (bytes) => void client.write(bytes),
    );
    client.on('data', (chunk) => (asked === undefined ? toServer(chunk) : asked(chunk, toServer)));
    server.on('data', (chunk) => {
      // The server answers, so it has done what it was asked.
      for (const { bytes, canBeCut, truncated } of answered(chunk)) {
        if (damage === 'cut' && canBeCut === true) {
          damage = 'none';
          server.destroy();
          client.resetAndDestroy();
          return;
        }
        if (damage === 'truncate' && truncated !== undefined) {
          damage = 'none';
          server.destroy();
          client.end(truncated);
          return;
        }
        toClient(bytes);
      }
    });
  });
  const listeningAt = await listening(listener, port);

  const breakAll = () => {
    for (const pair of pairs) destroy(pair);
  };
  return {
    port: listeningAt,
    arrivals,
    freeze() {
      state = 'frozen';
      for (const pair of pairs) stall(pair);
    },
    cut() {
      state = 'cut';
      breakAll();
    },
    cutNextAnswer() {
      damage = 'cut';
    },
    truncateNextAnswer() {
      damage = 'truncate';
    },
    answerLate(ms) {
      lateMs = ms;
    },
    heal() {
      state = 'open';
      damage = 'none';
      for (const { client, server } of pairs) {
        client.resume();
        server.resume();
      }
    },
    connections: () => pairs.size,
    close() {
      breakAll();
      return closed(listener);
    },
  };
}

/** Passes bytes in order, each so late as was asked for when it came. */
function inTime(lateMs: () => number, pass: (bytes: Buffer) => void): (bytes: Buffer) => void {
  let waiting = 0;
  let last = Promise.resolve();
  return (bytes) => {
    const ms = lateMs();
    if (ms === 0 && waiting === 0) return pass(bytes);
    waiting++;
    const due = delay(ms, undefined, { ref: false });
    last = last.then(async () => {
      await due;
      waiting--;
      pass(bytes);
    });
  };
}

function destroy({ client, server }: Pair): void {
  client.destroy();
  server.destroy();
}

function stall({ client, server }: Pair): void {
  client.pause();
  server.pause();
}
