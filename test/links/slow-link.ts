// The way to a server, on which answers can be late, and everybody who comes is counted.
import { connect, createServer, type Socket } from 'node:net';
import { after } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { onFreePorts } from '../servers/process.ts';

export interface SlowLink {
  readonly port: number;
  /** Every answer comes so much later. */
  lateMs: number;
  /** When each connection was asked for, by `performance.now()`. */
  readonly arrivals: readonly number[];
}

/** `beside`: distances from the port at which the server, and so the link, takes connections too. Call at the top level of a file. */
export async function openSlowLink(target: number, beside: readonly number[] = []): Promise<SlowLink> {
  const sockets = new Set<Socket>();
  const arrivals: number[] = [];
  const listenerFor = (distance: number) =>
    createServer((client) => {
      arrivals.push(performance.now());
      const server = connect(target + distance, '127.0.0.1');
      for (const socket of [client, server]) {
        sockets.add(socket);
        socket.on('error', () => {}).once('close', () => sockets.delete(socket));
      }
      client.on('data', (data) => server.write(data)).once('close', () => server.destroy());
      let last = Promise.resolve();
      const later = (run: () => void) => {
        const due = delay(link.lateMs, undefined, { ref: false });
        last = last.then(async () => {
          await due;
          if (!client.destroyed) run();
        });
      };
      server.on('data', (data) => later(() => client.write(data))).once('close', () => later(() => client.destroy()));
    });
  const listeners = new Map([0, ...beside].map((distance) => [distance, listenerFor(distance)]));
  const port = await onFreePorts(
    ['link'],
    async (ports) => {
      for (const [distance, listener] of listeners) {
        await new Promise<void>((resolve, reject) =>
          listener.once('error', reject).listen(ports.link + distance, '127.0.0.1', resolve),
        );
        listener.unref();
      }
      return ports.link;
    },
    beside,
  );
  const link: SlowLink = { port, lateMs: 0, arrivals };
  after(() => {
    for (const socket of sockets) socket.destroy();
    for (const listener of listeners.values()) listener.close();
  });
  return link;
}
