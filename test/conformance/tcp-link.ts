import { connect, createServer, type Socket } from 'node:net';
import type { Link } from './harness.ts';

export type TcpLink = Omit<Link, 'open'> & { readonly port: number; close(): Promise<void> };

/** A TCP connection in the middle of which things can go wrong. `target` is the server's port on loopback. */
export async function openTcpLink(target: number): Promise<TcpLink> {
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
    server.on('data', (data) => {
      if (damage === 'none') {
        client.write(data);
        return;
      }
      // The server answers, so it has done what it was asked.
      const cutOff = damage === 'truncate';
      damage = 'none';
      server.destroy();
      if (cutOff) client.end(data.subarray(0, Math.min(300, data.length - 1)));
      else client.resetAndDestroy();
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  // A file of which only some tests are run may never come to close it.
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
