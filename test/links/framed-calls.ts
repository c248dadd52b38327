// ZooKeeper's connections between a client and a server, request by request.
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Call, Calls } from './call.ts';
import { isAccepted, seeRequest } from './zookeeper-calls.ts';
import { framesOf } from './zookeeper-frames.ts';

const PING = -2;
const THROTTLED = -127;

const xidOf = (frame: Buffer): number => frame.readInt32BE(4);

/** `target`: a port on loopback. It does not listen yet. */
export function createFramedCalls(target: number, calls: Calls): Server {
  return createServer((client) => serve(client, target, calls));
}

interface Passed {
  readonly call: Call;
  readonly lost: boolean;
}

/**
 * The server does what it is asked in order, and answers in order: what comes after a request that is held waits with it, and so do answers. Only pings
 * overtake, which keep the session alive meanwhile.
 */
function serve(client: Socket, target: number, calls: Calls): void {
  const server = connect(target, '127.0.0.1');
  const passed = new Map<number, Passed>();
  let asking = Promise.resolve();
  let answering = Promise.resolve();
  let waiting = 0;
  let isRefused = false;
  let whenQuiet = () => {};

  const look = () => {
    if (passed.size === 0 || server.destroyed) whenQuiet();
    if (client.destroyed && waiting === 0 && passed.size === 0) server.destroy();
  };
  const quiet = () =>
    new Promise<void>((resolve) => {
      whenQuiet = resolve;
      look();
    });
  client.on('error', () => {}).on('close', look);
  server.on('error', () => {});
  server.on('close', () => {
    look();
    void answering.then(() => client.destroy());
  });

  async function ask(frame: Buffer): Promise<void> {
    if (isRefused || server.destroyed) return;
    const { call, fate } = await calls.begin(seeRequest(frame));
    switch (fate) {
      case 'refuse':
        // With all that is on its way behind it.
        isRefused = true;
        client.resetAndDestroy();
        return;
      case 'limit':
        await quiet();
        if (!client.destroyed) client.write(refusal(xidOf(frame)));
        return;
      case 'pass':
      case 'lose':
        if (server.destroyed) return;
        passed.set(xidOf(frame), { call, lost: fate === 'lose' });
        server.write(frame);
    }
  }

  async function answer(frame: Buffer): Promise<void> {
    const xid = xidOf(frame);
    const one = passed.get(xid);
    if (one !== undefined) await calls.answered(one.call, isAccepted(one.call, frame));
    passed.delete(xid);
    if (one?.lost === true) client.resetAndDestroy();
    else if (!client.destroyed) client.write(frame);
    look();
  }

  const askedFrames = framesOf((frame, kind) => {
    if (kind !== 'message' || xidOf(frame) === PING) return void server.write(frame);
    waiting++;
    asking = asking
      .then(() => ask(frame))
      .finally(() => {
        waiting--;
        look();
      });
  });
  const answeredFrames = framesOf((frame, kind) => {
    if (kind === 'message' && xidOf(frame) !== PING) answering = answering.then(() => answer(frame));
    else if (!client.destroyed) client.write(frame);
  });
  client.on('data', askedFrames);
  server.on('data', answeredFrames);
}

/** ReplyHeader { int xid; long zxid; int err } */
function refusal(xid: number): Buffer {
  const frame = Buffer.alloc(20);
  frame.writeInt32BE(16, 0);
  frame.writeInt32BE(xid, 4);
  frame.writeInt32BE(THROTTLED, 16);
  return frame;
}
