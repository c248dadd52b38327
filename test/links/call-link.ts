// A way from a client to a real registry on which each call is seen, and may be held, lost or refused.
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { type CallHandler, type Calls, createCalls } from './call.ts';
import { consulCalls } from './consul-calls.ts';
import { etcdCalls } from './etcd-calls.ts';
import { createFramedCalls } from './framed-calls.ts';
import { createGrpcCalls } from './grpc-calls.ts';
import { createHttpCalls } from './http-calls.ts';

export type RealRegistry = 'Consul' | 'Etcd' | 'ZooKeeper';

export interface CallLink {
  /** In the place of the server's, and written like it. */
  readonly address: string;
  /** Ends every connection of clients, as a server does that goes away. */
  breakConnections(): void;
  /** Rejects with what the handler threw, if it did. */
  close(): Promise<void>;
}

/** `serverAddress`: on loopback, as the spec of a Registry names it. */
export async function openCallLink(
  registry: RealRegistry,
  serverAddress: string,
  handler: CallHandler,
): Promise<CallLink> {
  const calls = createCalls(handler);
  const server = serverOf(registry, portOf(serverAddress), calls);
  const sockets = socketsOf(server);
  const port = await listen(server, 0);
  return {
    address: `${registry === 'ZooKeeper' ? '' : 'http://'}127.0.0.1:${port}`,
    breakConnections: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      calls.assertHandled();
    },
  };
}

function serverOf(registry: RealRegistry, target: number, calls: Calls): Server {
  switch (registry) {
    case 'Consul':
      return createHttpCalls(target, consulCalls, calls);
    case 'Etcd':
      return createGrpcCalls(target, etcdCalls, calls);
    case 'ZooKeeper':
      return createFramedCalls(target, calls);
  }
}

const portOf = (address: string): number => Number(/:(\d+)$/.exec(address)?.[1]);

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the link listens on no port');
  return address.port;
}

function socketsOf(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}
