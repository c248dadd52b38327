// What the requests of Consul's HTTP API mean, in as far as Roster makes them.
import { type Seen, type Touch, touchesOf } from './call.ts';
import type { AskedHttp, HttpReading } from './http-calls.ts';

interface Operation {
  readonly Node?: { readonly Verb: string; readonly Node: { readonly Meta?: Readonly<Record<string, string>> } };
  readonly Service?: { readonly Verb: string; readonly Service: { readonly ID: string } };
}

export const consulCalls: HttpReading = {
  see(asked) {
    const { method, path } = asked;
    const name = `${method} ${path}`;
    if (path === '/v1/txn') return ofTransaction(name, JSON.parse(asked.body));
    return { kind: isRead(asked) ? 'read' : 'other', name, touches: [] };
  },
  // A transaction is refused with 409.
  accepts: ({ status }) => status === 200,
};

function ofTransaction(name: string, operations: readonly Operation[]): Seen {
  if (operations.some(({ Node }) => Node?.Node.Meta?.['roster-claim'] !== undefined))
    return { kind: 'claim', name, touches: [] };
  const touches = touchesOf(operations.flatMap(touchOf));
  return { kind: touches.length === 0 ? 'other' : 'write', name, touches };
}

function touchOf({ Service }: Operation): readonly Touch[] {
  if (Service === undefined || Service.Verb === 'get') return [];
  return [{ does: Service.Verb.startsWith('delete') ? 'remove' : 'put', entry: Service.Service.ID }];
}

/** Blocking queries have an index: they watch. */
const isRead = ({ method, path, query }: AskedHttp): boolean =>
  method === 'GET' &&
  !query.has('index') &&
  !/^\/v1\/catalog\/node\/[^/]+-claim$/.test(path) &&
  /^\/v1\/(catalog\/nodes|catalog\/node\/|health\/state\/any|health\/service\/)/.test(path);
