import jute, { type Record as JuteRecord, type MultiOperation } from 'node-zookeeper-client/lib/jute/index.js';
import { NotZooKeeper } from './codes.ts';
import { assertTransactionLengths } from './lengths.ts';
import { decoded, deserialized } from './wire.ts';

export interface Access {
  readonly scheme: string;
  readonly id: string;
  readonly permissions: number;
}

export type Operation =
  | {
      readonly kind: 'create';
      readonly path: string;
      readonly data: Buffer;
      readonly acl: readonly Access[];
      /** It goes with our session. */
      readonly ephemeral?: boolean;
    }
  | { readonly kind: 'set'; readonly path: string; readonly data: Buffer; readonly version: number }
  | { readonly kind: 'remove'; readonly path: string; readonly version: number }
  /** Changes nothing, and fails the transaction where the node is not there at this version; -1: at any. */
  | { readonly kind: 'check'; readonly path: string; readonly version: number };

export interface Request<Answer> {
  readonly type: number;
  readonly writes: boolean;
  readonly payload: JuteRecord | null;
  /** What a transaction does when it does anything. */
  readonly effect?: { readonly operations: readonly Operation[]; happened(answer: Answer): boolean };
  read(body: Buffer): Answer;
}

export interface NodeData {
  readonly text: string;
  readonly version: number;
  readonly children: number;
  /** The id of the session with which the node goes; of zeros for one that stays. */
  readonly owner: Buffer;
}

const { OP_CODES, protocol, data: records } = jute;
const code = (name: string): number => OP_CODES[name] ?? 0;
const NOTHING = (): void => {};

export const readNode = (path: string): Request<NodeData> => ({
  type: code('GET_DATA'),
  writes: false,
  payload: new protocol.GetDataRequest(path, false),
  read(body) {
    const { data, stat } = decoded(new protocol.GetDataResponse(), body);
    const { version, numChildren: children, ephemeralOwner: owner } = stat;
    return { text: data?.toString('utf8') ?? '', version, children, owner };
  },
});

export const readChildren = (path: string): Request<readonly string[]> => ({
  type: code('GET_CHILDREN2'),
  writes: false,
  payload: new protocol.GetChildren2Request(path, false),
  read: (body) => decoded(new protocol.GetChildren2Response(), body).children ?? [],
});

/** Answers when the server knows all that its leader knew when this was asked. */
export const sync = (path: string): Request<void> => ({
  type: code('SYNC'),
  writes: false,
  // Of the same shape but for a byte at its end, which the server leaves.
  payload: new protocol.ExistsRequest(path, false),
  read: NOTHING,
});

export const exists = (path: string): Request<void> => ({
  type: code('EXISTS'),
  writes: false,
  payload: new protocol.ExistsRequest(path, false),
  read: NOTHING,
});

/** One operation by itself. */
export const requestOf = (operation: Single): Request<void> => ({
  type: code(operation.kind === 'create' ? 'CREATE' : 'DELETE'),
  writes: true,
  payload: payloadOf(operation),
  read: NOTHING,
});

export type Single = Extract<Operation, { readonly kind: 'create' | 'remove' }>;

const payloadOf = (operation: Single): JuteRecord =>
  operation.kind === 'create'
    ? new protocol.CreateRequest(operation.path, operation.data, operation.acl.map(aclRecord), PERSISTENT)
    : new protocol.DeleteRequest(operation.path, operation.version);

const ADD_WATCH = 106;
const REMOVE_WATCHES = 18;
const RECURSIVE = 1;
const OF_ANY_KIND = 3;

/**
 * From the answer on, events of every node at and below the path, whether it is there or not, until the connection ends: one watch for a whole tree,
 * that never has to be set again. Known to servers since 3.6; older ones answer {@link CODES.unimplemented}.
 */
export const addWatch = (path: string): Request<void> => onWatch(ADD_WATCH, path, RECURSIVE);

/** Takes back what {@link addWatch} asked for. */
export const removeWatches = (path: string): Request<void> => onWatch(REMOVE_WATCHES, path, OF_ANY_KIND);

const onWatch = (type: number, path: string, detail: number): Request<void> => ({
  type,
  writes: false,
  // Of the same shape: a path and a number.
  payload: new protocol.CheckVersionRequest(path, detail),
  read: NOTHING,
});

/**
 * All or nothing. The answer has the code of each operation when nothing was done: 0 or {@link CODES.rolledBack} for those that are
 * not at fault; it is empty when everything was done.
 */
export const multi = (operations: readonly Operation[]): Request<readonly number[]> => ({
  type: code('MULTI'),
  writes: true,
  payload: new jute.TransactionRequest(operations.map(multiOperation)),
  effect: { operations, happened: (codes) => codes.length === 0 },
  read(body) {
    assertTransactionLengths(body);
    const { results } = deserialized(new jute.TransactionResponse(), body);
    if (results.length !== operations.length) throw new NotZooKeeper('a transaction has as many results as operations');
    const failed = results.some(({ type }) => type === code('ERROR'));
    return failed ? results.map(({ err = 0 }) => err) : [];
  },
});

const PERSISTENT = 0;
const EPHEMERAL = 1;

function multiOperation(operation: Operation): MultiOperation {
  const { path } = operation;
  switch (operation.kind) {
    case 'create': {
      const acls = operation.acl.map((access) => ({ toRecord: () => aclRecord(access) }));
      return {
        type: code('CREATE'),
        path,
        data: operation.data,
        acls,
        mode: operation.ephemeral === true ? EPHEMERAL : PERSISTENT,
      };
    }
    case 'set':
      return { type: code('SET_DATA'), path, data: operation.data, version: operation.version };
    case 'remove':
      return { type: code('DELETE'), path, version: operation.version };
    case 'check':
      return { type: code('CHECK'), path, version: operation.version };
  }
}

const aclRecord = ({ permissions, scheme, id }: Access): JuteRecord =>
  new records.ACL(permissions, new records.Id(scheme, id));

/** What a request adds to a transaction beside its path and data: lengths, header, access. */
const OVERHEAD = 120;

export const sizeOf = (operation: Operation): number =>
  OVERHEAD + Buffer.byteLength(operation.path) + ('data' in operation ? operation.data.length : 0);
