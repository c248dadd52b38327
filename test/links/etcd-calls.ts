// What the calls of etcd's gRPC mean, in as far as Roster makes them. Numbers of fields are those of etcd's rpc.proto.
import { type Seen, type Touch, touchesOf } from './call.ts';
import type { GrpcReading } from './grpc-calls.ts';
import { bytesOf, numberOf } from './protobuf.ts';

const RESOURCE_EXHAUSTED = 8;

export const etcdCalls: GrpcReading = {
  isStream: (path) => /\/(Watch|LeaseKeepAlive|Snapshot|Observe)$/.test(path),
  see: (path, message) => ({
    seen: see(path.replace(/^\/etcdserverpb\./, ''), message),
    // TxnResponse { header = 1, succeeded = 2 }
    accepts: (answer) => !path.endsWith('/Txn') || numberOf(answer, 2) === 1,
  }),
  limited: { status: RESOURCE_EXHAUSTED, details: 'etcdserver: too many requests' },
};

function see(name: string, message: Buffer): Seen {
  switch (name) {
    case 'KV/Txn':
      return ofTransaction(name, message);
    case 'KV/Put':
      return ofTouches(name, [put(message)]);
    case 'KV/DeleteRange':
      return ofTouches(name, [remove(message)]);
    case 'KV/Range':
      return { kind: isClaim(keyIn(message)) ? 'other' : 'read', name, touches: [] };
    default:
      return { kind: 'other', name, touches: [] };
  }
}

/** TxnRequest { compare = 1, success = 2, failure = 3 }, RequestOp { request_range = 1, request_put = 2, request_delete_range = 3 } */
function ofTransaction(name: string, message: Buffer): Seen {
  const operations = bytesOf(message, 2);
  const touches = operations.flatMap((operation) => [
    ...bytesOf(operation, 2).map(put),
    ...bytesOf(operation, 3).map(remove),
  ]);
  if (touches.length > 0) return ofTouches(name, touches);
  const ranges = operations.flatMap((operation) => bytesOf(operation, 1));
  // What is compared and writes nothing asks whether something stands that is known.
  const reads = bytesOf(message, 1).length === 0 && ranges.some((range) => !isClaim(keyIn(range)));
  return { kind: reads ? 'read' : 'other', name, touches: [] };
}

function ofTouches(name: string, touches: readonly Touch[]): Seen {
  if (touches.some(({ entry }) => isClaim(entry))) return { kind: 'claim', name, touches: [] };
  return { kind: 'write', name, touches: touchesOf(touches) };
}

/** Of all requests of keys the first field. */
const keyIn = (request: Buffer): string => bytesOf(request, 1)[0]?.toString() ?? '';

const put = (request: Buffer): Touch => ({ does: 'put', entry: keyIn(request) });

const remove = (request: Buffer): Touch => ({ does: 'remove', entry: keyIn(request) });

/** What some layouts keep of entries stands deeper. */
const isClaim = (key: string): boolean => /\/\.owner\/[^/]+$/.test(key);
