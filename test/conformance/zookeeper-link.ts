import { connect, createServer, type Socket } from 'node:net';
import type { Link } from './harness.ts';

export type ZooKeeperLink = Omit<Link, 'open'> & {
  readonly port: number;
  /** Runs before the next transaction reaches the server, which waits for it. */
  beforeNextTransaction(run: () => Promise<void>): void;
  /** Bytes of the transactions that passed, in order. */
  readonly transactions: readonly number[];
  close(): Promise<void>;
};

const MULTI = 14;
/** What no message reaches: the first bytes of a four-letter word, read as a length. */
const TOO_LONG = 0x10000000;

/**
 * A connection to ZooKeeper in the middle of which things can go wrong. The answers that are damaged are those to transactions, which are what entries
 * are written by: the greeting and what is read before pass. `target` is the server's port on loopback.
 */
export async function openZooKeeperLink(target: number): Promise<ZooKeeperLink> {
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket }>();
  let frozen = false;
  let damage: 'none' | 'cut' | 'truncate' = 'none';
  let before: (() => Promise<void>) | undefined;
  const sizes: number[] = [];

  const listener = createServer((client) => {
    const server = connect(target, '127.0.0.1');
    const pair = { client, server };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    if (frozen) stall(pair);

    const transactions = new Set<number>();
    // What comes after a transaction that is held back waits with it.
    let passing = Promise.resolve();
    const asked = messages((message, number) => {
      const run = before;
      const isTransaction = number > 0 && message.readInt32BE(8) === MULTI;
      if (isTransaction) {
        transactions.add(message.readInt32BE(4));
        sizes.push(message.length);
        before = undefined;
      }
      passing = passing.then(isTransaction ? run : undefined).then(() => void server.write(message));
    });
    const answered = messages((message, number) => {
      if (damage === 'none' || number === 0 || !transactions.has(message.readInt32BE(4))) {
        client.write(message);
        return;
      }
      // The server answers, so it has done what it was asked.
      const cutOff = damage === 'truncate';
      damage = 'none';
      server.destroy();
      if (cutOff) client.end(message.subarray(0, Math.min(300, message.length - 1)));
      else client.resetAndDestroy();
    });
    client.on('data', asked);
    server.on('data', answered);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  listener.unref();
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the link listens on no port');

  return {
    port: address.port,
    freeze() {
      frozen = true;
      for (const pair of pairs) stall(pair);
    },
    cutNextAnswer() {
      damage = 'cut';
    },
    truncateNextAnswer() {
      damage = 'truncate';
    },
    beforeNextTransaction(run) {
      before = run;
    },
    transactions: sizes,
    heal() {
      frozen = false;
      damage = 'none';
      for (const { client, server } of pairs) {
        client.resume();
        server.resume();
      }
    },
    connections: () => pairs.size,
    async close() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}

/** Calls with each message, its length of four bytes before it, and how many were before it; what is none passes as it comes. */
function messages(onMessage: (message: Buffer, number: number) => void): (chunk: Buffer) => void {
  let waiting = Buffer.alloc(0);
  let number = 0;
  return (chunk) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4) {
      const length = waiting.readUInt32BE(0) >= TOO_LONG ? waiting.length : 4 + waiting.readUInt32BE(0);
      if (waiting.length < length) return;
      const message = waiting.subarray(0, length);
      waiting = waiting.subarray(length);
      onMessage(message, number === 0 || length < 12 ? 0 : number);
      number++;
    }
  };
}

function stall({ client, server }: { readonly client: Socket; readonly server: Socket }): void {
  client.pause();
  server.pause();
}
