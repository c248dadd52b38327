// What the requests of ZooKeeper's protocol mean, in as far as Roster makes them. Shapes and numbers are those of zookeeper.jute and ZooDefs.
import { type Call, type Seen, type Touch, touchesOf } from './call.ts';

const OPERATIONS: ReadonlyMap<number, string> = new Map([
  [1, 'create'],
  [2, 'delete'],
  [3, 'exists'],
  [4, 'getData'],
  [5, 'setData'],
  [8, 'getChildren'],
  [9, 'sync'],
  [12, 'getChildren2'],
  [13, 'check'],
  [14, 'multi'],
  [15, 'create2'],
  [18, 'removeWatches'],
  [100, 'auth'],
  [106, 'addWatch'],
  [-11, 'closeSession'],
]);

const ERROR = -1;
const READS: ReadonlySet<string> = new Set(['getData', 'getChildren', 'getChildren2']);

/** `frame`: with its length before it. */
export function seeRequest(frame: Buffer): Seen {
  const reader = readerOf(frame, 8);
  const type = reader.int();
  const name = OPERATIONS.get(type) ?? `operation ${type}`;
  const writes = writesOf(name, reader);
  if (writes.some(({ path }) => isClaim(path))) return { kind: 'claim', name, touches: [] };
  const touches = touchesOf(writes.filter(({ path }) => isEntry(path)).map(touchOf));
  if (touches.length > 0) return { kind: 'write', name, touches };
  return { kind: READS.has(name) && !isClaim(reader.text()) ? 'read' : 'other', name, touches };
}

/** ReplyHeader { int xid; long zxid; int err }; a transaction that is refused has an error for each operation. */
export function isAccepted({ name }: Call, frame: Buffer): boolean {
  if (frame.readInt32BE(16) !== 0) return false;
  return name !== 'multi' || frame.length < 25 || frame.readInt32BE(20) !== ERROR || frame.readInt8(24) === 1;
}

interface Write {
  readonly does: Touch['does'];
  readonly path: string;
}

function writesOf(name: string, reader: Reader): readonly Write[] {
  switch (name) {
    case 'create':
    case 'create2': {
      const path = reader.text();
      reader.bytes();
      for (let left = reader.int(); left > 0; left--) {
        // ACL { int perms; Id { ustring scheme; ustring id } }
        reader.int();
        reader.bytes();
        reader.bytes();
      }
      reader.int();
      return [{ does: 'put', path }];
    }
    case 'setData': {
      const path = reader.text();
      reader.bytes();
      reader.int();
      return [{ does: 'put', path }];
    }
    case 'delete': {
      const path = reader.text();
      reader.int();
      return [{ does: 'remove', path }];
    }
    case 'check':
      reader.text();
      reader.int();
      return [];
    case 'multi': {
      const writes: Write[] = [];
      for (;;) {
        // MultiHeader { int type; boolean done; int err }
        const type = reader.int();
        const isDone = reader.byte() === 1;
        reader.int();
        if (isDone) return writes;
        writes.push(...writesOf(OPERATIONS.get(type) ?? '', reader));
      }
    }
    default:
      return [];
  }
}

interface Reader {
  byte(): number;
  int(): number;
  bytes(): Buffer;
  text(): string;
}

function readerOf(frame: Buffer, start: number): Reader {
  let at = start;
  const step = (length: number): number => {
    at += length;
    return at - length;
  };
  const int = () => frame.readInt32BE(step(4));
  // -1 for none.
  const bytes = () => {
    const length = Math.max(0, int());
    return frame.subarray(step(length), at);
  };
  return { byte: () => frame.readInt8(step(1)), int, bytes, text: () => bytes().toString() };
}

/** `<root>.roster/<cluster>`, and the term below it. */
const isClaim = (path: string): boolean => /\.roster\/[^/]+(\/[^/]+)?$/.test(path);

/** The name of an entry's node is the id, with slashes that are encoded; that of a service has none. */
const isEntry = (path: string): boolean => /%2F[^/]*$/.test(path);

const touchOf = ({ does, path }: Write): Touch => {
  const start = path.lastIndexOf('/') + 1;
  return { does, entry: `${path.slice(0, start)}${decodeURIComponent(path.slice(start))}` };
};
