// A way from a client to a real registry on which each call is seen, and may be held, lost or refused.
import type { Server, Socket } from 'node:net';
import { type CallHandler, type Calls, createCalls } from './call.ts';
import { consulCalls } from './consul-calls.ts';
import { etcdCalls } from './etcd-calls.ts';
import { createFramedCalls } from './framed-calls.ts';
import { createGrpcCalls } from './grpc-calls.ts';
import { createHttpCalls } from './http-calls.ts';
import { closed, listening, listeningApart } from './listening.ts';
import { createNacosGrpcCalls, nacosHttpCalls } from './nacos-calls.ts';

export type RealRegistry = 'Consul' | 'Etcd' | 'Nacos' | 'ZooKeeper';

export interface CallLink {
  /** In the place of the server's, and written like it. */
  readonly address: string;
  /** Ends every connection of clients, as a server does that goes away. */
  breakConnections(): void;
  /** Rejects with what the handler threw, if it did. */
  close(): Promise<void>;
}

/**
 * `serverAddress`: on loopback, in clear text, as the spec of a Registry names it. A server that is away is seen as connections that are reset, and not as
 * ones that are refused; the pings of a gRPC client are answered here, so that it does not notice by them that the server is frozen.
 */
export async function openCallLink(
  registry: RealRegistry,
  serverAddress: string,
  handler: CallHandler,
): Promise<CallLink> {
  const calls = createCalls(handler);
  const servers = serversOf(registry, Number(/:(\d+)$/.exec(serverAddress)?.[1]), calls);
  const sockets = new Set<Socket>();
  for (const server of servers) {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
  }
  const [first, second] = servers;
  const port = await (second === undefined ? listening(first) : listeningApart(first, second, NACOS_GRPC));
  return {
    address: `${registry === 'ZooKeeper' ? '' : 'http://'}127.0.0.1:${port}`,
    breakConnections() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map(closed));
      calls.assertHandled();
    },
  };
}

/** The distance of the gRPC port from that of HTTP. */
const NACOS_GRPC = 1_000;

function serversOf(registry: RealRegistry, target: number, calls: Calls): readonly [Server, ...Server[]] {
  switch (registry) {
    case 'Consul':
      return [createHttpCalls(target, consulCalls, calls)];
    case 'Etcd':
      return [createGrpcCalls(target, etcdCalls, calls)];
    case 'Nacos':
      return [
        createHttpCalls(target, nacosHttpCalls, calls),
        createGrpcCalls(target + NACOS_GRPC, createNacosGrpcCalls(), calls),
      ];
    case 'ZooKeeper':
      return [createFramedCalls(target, calls)];
  }
}
