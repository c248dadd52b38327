import type { Attribute } from 'node-zookeeper-client/lib/jute/index.js';
import jute from 'node-zookeeper-client/lib/jute/index.js';
import { NotZooKeeper } from './codes.ts';

/**
 * The codec of the package trusts the lengths that stand in an answer: a negative one makes it go round for ever, a large one takes the memory for what
 * never came. So they are looked at first.
 */
export function assertLengths(attributes: readonly Attribute[], bytes: Buffer, from = 0): number {
  return attributes.reduce((at, { type }) => after(type, bytes, at), from);
}

/** Where the next value begins. */
function after(type: string, bytes: Buffer, at: number): number {
  switch (type) {
    case 'boolean':
      return within(bytes, at + 1);
    case 'int':
      return within(bytes, at + 4);
    case 'long':
      return within(bytes, at + 8);
    case 'buffer':
    case 'ustring':
      return within(bytes, at + 4 + Math.max(0, lengthAt(bytes, at)));
  }
  const [, item = ''] = /^vector<([\w.]+)>$/.exec(type) ?? [];
  if (item === '') return assertLengths(recordOf(type), bytes, at);
  const count = lengthAt(bytes, at);
  let next = at + 4;
  for (let n = 0; n < count; n++) next = after(item, bytes, next);
  return next;
}

const SIZES: Readonly<Record<string, readonly Attribute[]>> = {
  [jute.OP_CODES['CREATE'] ?? '']: [{ type: 'ustring' }],
  [jute.OP_CODES['DELETE'] ?? '']: [],
  [jute.OP_CODES['CHECK'] ?? '']: [],
  [jute.OP_CODES['SET_DATA'] ?? '']: [{ type: 'data.Stat' }],
  [jute.OP_CODES['ERROR'] ?? '']: [{ type: 'int' }],
};

/** The same for the results of a transaction: each has a header before it, and the last header stands alone. */
export function assertTransactionLengths(bytes: Buffer): void {
  for (let at = 0; ; ) {
    const result = assertLengths([{ type: 'int' }, { type: 'boolean' }, { type: 'int' }], bytes, at);
    if (bytes.readUInt8(at + 4) === 1) return;
    const attributes = SIZES[bytes.readInt32BE(at)];
    if (attributes === undefined) throw new NotZooKeeper('a transaction has the results of its operations');
    at = assertLengths(attributes, bytes, result);
  }
}

function recordOf(type: string): readonly Attribute[] {
  if (type === 'data.Stat') return new jute.data.Stat().specification;
  throw new NotZooKeeper(`${type} is in no answer`);
}

/** -1 stands for nothing. */
function lengthAt(bytes: Buffer, at: number): number {
  within(bytes, at + 4);
  const length = bytes.readInt32BE(at);
  if (length < -1) throw new NotZooKeeper('no length is negative');
  return length;
}

function within(bytes: Buffer, at: number): number {
  if (at > bytes.length) throw new NotZooKeeper('the answer ends before what is in it');
  return at;
}
