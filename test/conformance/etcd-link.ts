import { connect, createServer, type Socket } from 'node:net';
import type { Link } from './harness.ts';

export type EtcdLink = Omit<Link, 'open'> & { readonly port: number; close(): Promise<void> };

const FRAME_HEADER = 9;
const DATA = 0;
const HEADERS = 1;

/**
 * A connection of HTTP/2 without TLS in the middle of which things can go wrong. Unlike on a plain one, what the server sends is an answer
 * only from the headers of a stream on: settings, pings and windows pass. `target` is the server's port on loopback.
 */
export async function openEtcdLink(target: number): Promise<EtcdLink> {
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket }>();
  let frozen = false;
  let damage: 'none' | 'cut' | 'truncate' = 'none';

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
    client.on('data', (data) => server.write(data));
    let waiting = Buffer.alloc(0);
    server.on('data', (data) => {
      waiting = Buffer.concat([waiting, data]);
      while (waiting.length >= FRAME_HEADER) {
        const length = FRAME_HEADER + waiting.readUIntBE(0, 3);
        if (waiting.length < length) return;
        const frame = waiting.subarray(0, length);
        waiting = waiting.subarray(length);
        const type = frame[3];
        if (damage === 'cut' && type === HEADERS) {
          damage = 'none';
          server.destroy();
          client.resetAndDestroy();
          return;
        }
        if (damage === 'truncate' && type === DATA) {
          damage = 'none';
          server.destroy();
          client.end(frame.subarray(0, FRAME_HEADER + 3));
          return;
        }
        client.write(frame);
      }
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
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

function stall({ client, server }: { readonly client: Socket; readonly server: Socket }): void {
  client.pause();
  server.pause();
}
