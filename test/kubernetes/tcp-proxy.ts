import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Breaks every connection and takes no new ones until `heal`. */
  cut(): void;
  heal(): void;
  /** Lets no byte through any more, on connections old and new, without closing them. Until `heal`, which breaks the old ones. */
  freeze(): void;
  close(): Promise<void>;
}

/** Stands before a server on loopback, to break the way to it and nothing else. */
export async function tcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let state: 'open' | 'cut' | 'frozen' = 'open';
  const server = createServer((inbound) => {
    if (state === 'cut') {
      inbound.resetAndDestroy();
      return;
    }
    const outbound = connect(target, '127.0.0.1');
    for (const [from, to] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => {
        if (state === 'open') to.write(bytes);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      state = 'cut';
      breakAll();
    },
    freeze() {
      state = 'frozen';
    },
    heal() {
      state = 'open';
      breakAll();
    },
    async close() {
      breakAll();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A copy of a kubeconfig in JSON that goes to another port of the same host. */
export async function kubeconfigThrough(kubeconfig: string, port: number, path: string): Promise<string> {
  const config = JSON.parse(await readFile(kubeconfig, 'utf8'));
  for (const { cluster } of config.clusters) cluster.server = `https://127.0.0.1:${port}`;
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
