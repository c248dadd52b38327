import type { Clock } from '../../clock.ts';
import { createCalls } from './calls.ts';
import { CODES, NotZooKeeper, Refused } from './codes.ts';
import { dial, type Endpoint, type Manner } from './dial.ts';
import { createEvents, type Events } from './events.ts';
import { frameReader } from './frames.ts';
import { ConnectionLost, type Loss } from './loss.ts';
import type { Request } from './requests.ts';
import {
  authBytes,
  farewellBytes,
  helloBytes,
  pingBytes,
  type Reply,
  readEvent,
  readHello,
  readReply,
  type Session,
  XIDS,
} from './wire.ts';

export interface Opening extends Manner {
  readonly endpoint: Endpoint;
  /** The session to go on with. */
  readonly session: Session;
  readonly sessionTimeoutMs: number;
  /** Each `user:password`, of the scheme digest. */
  readonly accounts: readonly string[];
  readonly connectMs: number;
  readonly requestMs: number;
  readonly clock: Clock;
  /** Ends the opening, and has no say afterwards. */
  readonly signal: AbortSignal;
}

export interface Connection {
  readonly session: Session;
  /** Rejects with {@link Refused} or {@link ConnectionLost}. Answers come in the order of the requests. */
  call<Answer>(request: Request<Answer>): Promise<Answer>;
  /** Resolves when the connection is over, for whatever reason. */
  readonly ended: Promise<ConnectionLost>;
  readonly events: Events;
  /** Ends the session with the connection: what is ephemeral goes at once. */
  close(): Promise<void>;
  /** Ends the connection alone: what is ephemeral goes when the session has timed out. */
  drop(): void;
}

/** How long a server may take to end the session and hang up. */
const FAREWELL_MS = 500;

/** One connection to one server, and the session on it. Rejects with {@link ConnectionLost}. */
export function openConnection(opening: Opening): Promise<Connection> {
  const { endpoint, clock, connectMs, requestMs, accounts, signal } = opening;

  return new Promise((resolve, reject) => {
    let phase: 'connecting' | 'securing' | 'greeting' | 'authenticating' | 'open' | 'over' = 'connecting';
    let session = opening.session;
    let heardAt = clock.now();
    let unanswered = accounts.length;
    const events = createEvents();
    const calls = createCalls({ clock, requestMs, events, send, onSilence: () => end('silent') });
    let cancelHeartbeat = () => {};
    let tellEnd: (lost: ConnectionLost) => void = () => {};
    const ended = new Promise<ConnectionLost>((tell) => {
      tellEnd = tell;
    });

    const cancelOpening = clock.setTimer(connectMs, () => end(TOO_SLOW[phase] ?? 'silent'));
    const abort = () => end('closed');
    signal.addEventListener('abort', abort, { once: true });
    const { socket, ready } = dial(endpoint, opening);
    const read = frameReader(onFrame);
    socket
      .once('connect', () => {
        phase = 'securing';
      })
      .once(ready, () => {
        phase = 'greeting';
        socket.write(helloBytes(session, opening.sessionTimeoutMs));
      })
      .on('data', (chunk) => guarded(() => read(chunk)))
      .once('error', (error) => end(BROKEN[phase] ?? 'hung-up', error))
      .once('close', () => end(BROKEN[phase] ?? 'hung-up'));

    function end(loss: Loss, cause?: unknown): void {
      if (phase === 'over') return;
      phase = 'over';
      cancelOpening();
      cancelHeartbeat();
      signal.removeEventListener('abort', abort);
      socket.destroy();
      const lost = new ConnectionLost(loss, cause);
      reject(lost);
      tellEnd(lost);
      events.end(lost);
      calls.end(lost);
    }

    /** What comes from the network may be anything. */
    function guarded(run: () => void): void {
      try {
        run();
      } catch (error) {
        end(error instanceof NotZooKeeper ? 'garbled' : 'hung-up', error);
      }
    }

    function onFrame(frame: Buffer): void {
      heardAt = clock.now();
      if (phase === 'greeting') onHello(frame);
      else if (phase !== 'over') onReply(readReply(frame));
    }

    function onHello(frame: Buffer): void {
      const hello = readHello(frame);
      if (hello.timeoutMs === 0) {
        end('expired');
        return;
      }
      session = hello.session;
      beat(hello.timeoutMs);
      phase = 'authenticating';
      for (const account of accounts) socket.write(authBytes('digest', account));
      if (unanswered === 0) onOpen();
    }

    function onOpen(): void {
      phase = 'open';
      cancelOpening();
      signal.removeEventListener('abort', abort);
      resolve({ session, call, ended, events, close, drop: abort });
    }

    function onReply(reply: Reply): void {
      if (reply.xid === XIDS.ping) return;
      if (reply.xid === XIDS.notification) {
        const event = readEvent(reply.body);
        if (event !== undefined) events.heard(event);
        return;
      }
      if (reply.xid === XIDS.auth || phase === 'authenticating') {
        unanswered--;
        if (reply.error !== 0) end('unauthorized', new Refused(reply.error));
        else if (unanswered === 0) onOpen();
        return;
      }
      calls.answered(reply);
    }

    function call<Answer>(request: Request<Answer>): Promise<Answer> {
      if (phase !== 'open') return Promise.reject(new ConnectionLost('closed'));
      return calls.call(request);
    }

    /** What is asked in one turn goes out in one piece: a list asks for a node in a few microseconds. */
    function send(bytes: Buffer): void {
      if (socket.writableCorked === 0) {
        socket.cork();
        process.nextTick(() => socket.uncork());
      }
      socket.write(bytes);
    }

    /** Keeps the session alive on the server, and notices when nobody is there any more although nothing is asked. */
    function beat(timeoutMs: number): void {
      cancelHeartbeat = clock.setTimer(Math.ceil(timeoutMs / 3), () => {
        if (clock.now() - heardAt > (timeoutMs * 2) / 3) {
          end('silent');
          return;
        }
        socket.write(pingBytes());
        beat(timeoutMs);
      });
    }

    async function close(): Promise<void> {
      if (phase === 'over') return;
      const hungUp = new Promise<void>((done) => socket.once('close', () => done()));
      const cancel = clock.setTimer(FAREWELL_MS, () => socket.destroy());
      // Nothing else is waited for: the session ends on the server now rather than by its time-out.
      calls.end(new ConnectionLost('closed'));
      socket.removeAllListeners('data').resume();
      socket.write(farewellBytes(calls.nextXid()));
      await hungUp;
      cancel();
      end('closed');
    }
  });
}

/** What is lost when a phase takes too long; in the others the server is silent. */
const TOO_SLOW: Readonly<Record<string, Loss>> = {
  connecting: 'unreached',
  securing: 'ungreeted',
  greeting: 'ungreeted',
};

/** What is lost when the connection breaks in a phase; in the others it was hung up. */
const BROKEN: Readonly<Record<string, Loss>> = { connecting: 'unreached', securing: 'insecure' };

/** After this answer the server hangs up. */
export const endsSession = (code: number): boolean =>
  code === CODES.sessionExpired || code === CODES.sessionMoved || code === CODES.needsAuthentication;
