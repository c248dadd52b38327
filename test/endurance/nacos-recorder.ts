// Every write of a persistent entry on its way to Nacos, which keeps no record of what stood: an entry that was gone for a moment shows nowhere else.
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { onFreePorts } from '../servers/process.ts';

export interface NacosWrite {
  readonly action: 'put' | 'remove';
  readonly address: string;
}

export interface NacosRecorder {
  /** HTTP; gRPC is 1,000 ports above it, as at the server. */
  readonly address: string;
  close(): void;
}

const GRPC = 1_000;

/** Told before the server is. Of entries alone: the records of claims are none. */
export async function openNacosRecorder(target: string, onWrite: (write: NacosWrite) => void): Promise<NacosRecorder> {
  const port = Number(new URL(target).port);
  const agent = new Agent({ keepAlive: true });
  const web = createServer(async (asked, answer) => {
    const { method = '', url = '', headers } = asked;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of asked) chunks.push(chunk);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    const { pathname, searchParams } = new URL(url, target);
    if (method !== 'GET' && pathname.endsWith('/ns/instance')) {
      const params = method === 'DELETE' ? searchParams : new URLSearchParams(body.toString());
      const isClaim = (params.get('serviceName') ?? '').includes('roster-claim-');
      const action = method === 'DELETE' ? 'remove' : 'put';
      if (!isClaim) onWrite({ action, address: params.get('ip') ?? '' });
    }
    const onward = request({ host: '127.0.0.1', port, method, path: url, headers, agent }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.on('error', () => answer.destroy()).pipe(answer);
    });
    onward.on('error', () => answer.destroy()).end(body);
  });
  const sockets = new Set<{ destroy(): void }>();
  const grpc = createTcpServer((client) => {
    const server = connect(port + GRPC, '127.0.0.1');
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one);
      one
        .on('error', () => other.destroy())
        .once('close', () => {
          sockets.delete(one);
          other.destroy();
        });
      one.pipe(other);
    }
  });
  const own = await onFreePorts(
    ['web'],
    async (ports) => {
      await Promise.all([
        once(web.listen(ports.web, '127.0.0.1'), 'listening'),
        once(grpc.listen(ports.web + GRPC, '127.0.0.1'), 'listening'),
      ]);
      return ports.web;
    },
    [GRPC],
  );
  for (const server of [web, grpc]) server.unref();
  return {
    address: `http://127.0.0.1:${own}`,
    close() {
      agent.destroy();
      web.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      for (const server of [web, grpc]) server.close();
    },
  };
}
