import { once } from 'node:events';
import type { Server } from 'node:net';
import { onFreePorts } from '../servers/process.ts';

/** Takes connections on loopback, on any port. Does not keep the process alive: a file of which only some tests are run may never come to close it. */
export async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the link listens on no port');
  return address.port;
}

/** The same for two whose ports are so far apart. Gives the first. */
export const listeningApart = (first: Server, second: Server, distance: number): Promise<number> =>
  onFreePorts(
    ['first'],
    async (ports) => {
      await listening(first, ports.first);
      await listening(second, ports.first + distance).catch(async (error) => {
        await closed(first);
        throw error;
      });
      return ports.first;
    },
    [distance],
  );

/** Whoever closes it has ended its connections. */
export const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
