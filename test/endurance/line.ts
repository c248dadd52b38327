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
  /** The connections that are open stand still until they are told to go on, and new ones pass: a client that is stopped, and another one in its place. */
  part(): Parted;
  close(): Promise<void>;
}

export interface Parted extends Pick<Line, 'goOn'> {
  /** Something would reach the server. */
  waits(): boolean;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly asked: Buffer[];
  readonly answered: Buffer[];
  parted: boolean;
}

type State = { readonly passes: 'all' } | { readonly passes: 'asked' } | { readonly passes: 'some'; left: number };

const STILL: State = { passes: 'some', left: 0 };

/** As long as a server may take to answer what it has. */
const ANSWER_MS = 100;

/** `target` is the server's port on loopback; of a server with more than one, `beside` says how far above it the others are, and the line has them there too. */
export async function openLine(target: number, beside: readonly number[] = []): Promise<Line> {
  const pairs = new Set<Pair>();
  let state: State = { passes: 'all' };
  let sent = 0;
  let waiting: (() => void)[] = [];

  const standing = () =>
    [...pairs].some(
      ({ parted, asked, answered }) =>
        !parted && (answered.length > 0 || (state.passes === 'some' && asked.length > 0)),
    );
  const look = () => {
    if (!standing()) return;
    for (const wake of waiting) wake();
    waiting = [];
  };

  const stateOf = ({ parted }: Pair) => (parted ? STILL : state);

  function ask(pair: Pair, chunk: Buffer): void {
    const now = stateOf(pair);
    sent += chunk.length;
    if (now.passes !== 'some') {
      pair.server.write(chunk);
      return;
    }
    const passing = chunk.subarray(0, now.left);
    const held = chunk.subarray(now.left);
    now.left -= passing.length;
    if (passing.length > 0) pair.server.write(passing);
    if (held.length > 0) pair.asked.push(held);
    look();
  }

  function answer(pair: Pair, chunk: Buffer): void {
    const now = stateOf(pair);
    const passes = now.passes === 'all' || (now.passes === 'some' && now.left > 0);
    if (passes) pair.client.write(chunk);
    else pair.answered.push(chunk);
    look();
  }

  /** To the server, and as long as it may take to answer what nobody will read. */
  async function release(all: readonly Pair[], fate: Fate): Promise<void> {
    if (fate === 'lost') return;
    for (const { asked, server } of all) for (const chunk of asked.splice(0)) server.write(chunk);
    if (fate === 'arrives') return;
    const over = new AbortController();
    const first = new Promise<void>((resolve) => waiting.push(resolve));
    look();
    await Promise.race([first, delay(ANSWER_MS, undefined, { signal: over.signal })]);
    over.abort();
  }

  function deliver(all: readonly Pair[], fate: Fate): void {
    for (const { client, server, answered } of all) {
      if (fate === 'arrives') for (const chunk of answered.splice(0)) client.write(chunk);
      else {
        server.destroy();
        client.resetAndDestroy();
      }
    }
  }

  const accept = (port: number) => (client: Socket) => {
    const server = connect(port, '127.0.0.1');
    const pair: Pair = { client, server, asked: [], answered: [], parted: false };
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
      const all = [...pairs].filter(({ parted }) => !parted);
      if (fate === 'unanswered') state = { passes: 'asked' };
      await release(all, fate);
      state = { passes: 'all' };
      deliver(all, fate);
    },
    part() {
      const all = [...pairs];
      for (const pair of all) pair.parted = true;
      state = { passes: 'all' };
      return {
        waits: () => all.some(({ asked }) => asked.length > 0),
        async goOn(fate) {
          await release(all, fate);
          for (const pair of all) pair.parted = false;
          deliver(all, fate);
        },
      };
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
