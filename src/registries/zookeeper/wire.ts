import jute, { type Record as JuteRecord, type Specified } from 'node-zookeeper-client/lib/jute/index.js';
import { NotZooKeeper } from './codes.ts';
import { assertLengths } from './lengths.ts';

/**
 * The messages of ZooKeeper's protocol, by the codec of the package. Why its client is not used is in
 * docs/decisions/2026-11-25-zookeeper-connection.md.
 */

const { OP_CODES, protocol } = jute;
const code = (name: string): number => OP_CODES[name] ?? 0;

/** Requests with xids of their own, whose answers come beside the others'. */
export const XIDS = { notification: -1, ping: -2, auth: -4 } as const;

export interface Session {
  readonly id: Buffer;
  readonly password: Buffer;
}

export const NO_SESSION: Session = { id: Buffer.alloc(8), password: Buffer.alloc(16) };

export function helloBytes(session: Session, timeoutMs: number): Buffer {
  // The last change seen would bar us for good from servers that were set up anew; `sync` is what makes reads fresh.
  const hello = new protocol.ConnectRequest(0, Buffer.alloc(8), timeoutMs, session.id, session.password);
  return new jute.Request(null, hello).toBuffer();
}

/** `timeoutMs` 0: the session is over. */
export function readHello(frame: Buffer): { readonly timeoutMs: number; readonly session: Session } {
  const { timeOut, sessionId, passwd } = decoded(new protocol.ConnectResponse(), frame);
  if (!Buffer.isBuffer(passwd)) throw new NotZooKeeper('a session has a password');
  return { timeoutMs: Math.max(0, timeOut), session: { id: sessionId, password: passwd } };
}

interface Asked {
  readonly type: number;
  readonly payload: JuteRecord | null;
}

export function requestBytes({ type, payload }: Asked, xid: number): Buffer {
  return new jute.Request(new protocol.RequestHeader(xid, type), payload).toBuffer();
}

export const pingBytes = (): Buffer => requestBytes({ type: code('PING'), payload: null }, XIDS.ping);

export const farewellBytes = (xid: number): Buffer => requestBytes({ type: code('CLOSE_SESSION'), payload: null }, xid);

export function authBytes(scheme: string, auth: string): Buffer {
  const payload = new protocol.AuthPacket(0, scheme, Buffer.from(auth));
  return requestBytes({ type: code('AUTH'), payload }, XIDS.auth);
}

export interface Reply {
  readonly xid: number;
  readonly error: number;
  readonly body: Buffer;
}

export function readReply(frame: Buffer): Reply {
  const header = new protocol.ReplyHeader();
  const { xid, err } = decoded(header, frame);
  return { xid, error: err, body: frame.subarray(header.byteLength()) };
}

/** What happened to a node, as the server tells those who watch; called as the operations that do it. */
export interface TreeEvent {
  readonly kind: 'create' | 'set' | 'remove';
  readonly path: string;
}

const EVENTS: ReadonlyMap<number, TreeEvent['kind']> = new Map([
  [1, 'create'],
  [2, 'remove'],
  [3, 'set'],
]);

/** Undefined for what is no event of a node, such as those of the session. */
export function readEvent(body: Buffer): TreeEvent | undefined {
  const { type, path } = decoded(new protocol.WatcherEvent(), body);
  const kind = EVENTS.get(type);
  return kind === undefined || path === undefined ? undefined : { kind, path };
}

export function decoded<R extends Specified>(record: R, bytes: Buffer): R {
  assertLengths(record.specification, bytes);
  return deserialized(record, bytes);
}

/** Of lengths that were looked at. */
export function deserialized<R extends JuteRecord>(record: R, bytes: Buffer): R {
  try {
    record.deserialize(bytes, 0);
    return record;
  } catch (cause) {
    throw new NotZooKeeper('the answer does not have the shape of one', { cause });
  }
}
