// A TCP connection that stands still at any byte. A client that is stopped has sent a part of what it decided, down to half a request, and does
// not read what it is answered; its server sees no more than that.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { onFreePorts } from '../servers/process.ts';

/** What becomes of what is on its way: all of it arrives; what was sent does, and its answers do not; nothing does, and the connection is broken. */
export type Fate = 'arrives' | 'unanswered' | 'lost';

export interface Line {
  readonly port: number;
  /** What clients have sent so far, in bytes. */
  sent(): number;
  /** So many more bytes reach the server, and then nothing passes. `answers`: everything does, and nothing comes back. */
  stopAfter(bytes: number | 'answers'): void;
  /** Resolves when nothing passes, and something waits for it. */
  stands(): Promise<void>;
  /** Of all connections that are open. New ones pass from now on. */
  goOn(fate: Fate): Promise<void>;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly asked: Buffer[];
  readonly answered: Buffer[];
}

type State = { readonly passes: 'all' } | { readonly passes: 'asked' } | { readonly passes: 'some'; left: number };

/** As long as a server may take to answer what it has. */
const ANSWER_MS = 100;

/** `target` is the server's port on loopback; of a server with more than one, `beside` says how far above it the others are, and the line has them there too. */
export async function openLine(target: number, beside: readonly number[] = []): Promise<Line> {
  const pairs = new Set<Pair>();
  let state: State = { passes: 'all' };
  let sent = 0;
  let waiting: (() => void)[] = [];

  const standing = () =>
    [...pairs].some(({ asked, answered }) => answered.length > 0 || (state.passes === 'some' && asked.length > 0));
  const look = () => {
    if (!standing()) return;
    for (const wake of waiting) wake();
    waiting = [];
  };

  function ask(pair: Pair, chunk: Buffer): void {
    sent += chunk.length;
    if (state.passes !== 'some') {
      pair.server.write(chunk);
      return;
    }
    const passing = chunk.subarray(0, state.left);
    const held = chunk.subarray(state.left);
    state.left -= passing.length;
    if (passing.length > 0) pair.server.write(passing);
    if (held.length > 0) pair.asked.push(held);
    look();
  }

  function answer(pair: Pair, chunk: Buffer): void {
    const passes = state.passes === 'all' || (state.passes === 'some' && state.left > 0);
    if (passes) pair.client.write(chunk);
    else pair.answered.push(chunk);
    look();
  }

  const accept = (port: number) => (client: Socket) => {
    const server = connect(port, '127.0.0.1');
    const pair: Pair = { client, server, asked: [], answered: [] };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.setNoDelay().on('error', end).on('close', end);
    client.on('data', (chunk) => ask(pair, chunk));
    server.on('data', (chunk) => answer(pair, chunk));
  };

  const listeners: Server[] = [];
  const open = async (port: number, to: number) => {
    const listener = createServer(accept(to)).listen(port, '127.0.0.1');
    await once(listener, 'listening');
    listener.unref();
    listeners.push(listener);
  };
  const port = await onFreePorts(
    ['line'],
    async ({ line }) => {
      for (const distance of [0, ...beside]) await open(line + distance, target + distance);
      return line;
    },
    beside,
  );

  return {
    port,
    sent: () => sent,
    stopAfter(bytes) {
      state = bytes === 'answers' ? { passes: 'asked' } : { passes: 'some', left: bytes };
    },
    stands: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        look();
      }),
    async goOn(fate) {
      const all = [...pairs];
      if (fate !== 'lost') {
        for (const { asked, server } of all) for (const chunk of asked.splice(0)) server.write(chunk);
      }
      if (fate === 'unanswered') {
        state = { passes: 'asked' };
        const over = new AbortController();
        const first = new Promise<void>((resolve) => waiting.push(resolve));
        look();
        await Promise.race([first, delay(ANSWER_MS, undefined, { signal: over.signal })]);
        over.abort();
      }
      state = { passes: 'all' };
      for (const { client, server, answered } of all) {
        if (fate === 'arrives') for (const chunk of answered.splice(0)) client.write(chunk);
        else {
          server.destroy();
          client.resetAndDestroy();
        }
      }
    },
    async close() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
    },
  };
}
