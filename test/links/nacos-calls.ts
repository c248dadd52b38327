// What the requests of Nacos mean, in as far as Roster makes them: those of its HTTP API, 2.x and 3.x, and those of its gRPC.
import { decodePayload, encodePayload } from '../../src/registries/nacos/grpc-codec.ts';
import { type Seen, type Touch, touchesOf } from './call.ts';
import type { AskedGrpc, GrpcReading } from './grpc-calls.ts';
import type { AskedHttp, HttpReading } from './http-calls.ts';

/** Of the records of claims. */
const RECORDS_GROUP = 'ROSTER';

export const nacosHttpCalls: HttpReading = {
  see(asked) {
    const { method, path } = asked;
    const params = new URLSearchParams([...asked.query, ...new URLSearchParams(asked.body)]);
    const name = `${method} ${path}`;
    const isRecord = params.get('groupName') === RECORDS_GROUP;
    if (method === 'GET') return { kind: isRead(asked) && !isRecord ? 'read' : 'other', name, touches: [] };
    if (!path.endsWith('/ns/instance')) return { kind: 'other', name, touches: [] };
    if (isRecord) return { kind: 'claim', name, touches: [] };
    const host = { ip: params.get('ip') ?? '', port: params.get('port') ?? '' };
    const does = method === 'DELETE' ? 'remove' : 'put';
    return { kind: 'write', name, touches: [{ does, entry: entryOf(params.get('serviceName') ?? '', host) }] };
  },
  // 2.x says so by the status alone, 3.x with a code too.
  accepts: ({ status, body }) => status === 200 && (!body.startsWith('{') || (JSON.parse(body).code ?? 0) === 0),
};

const isRead = ({ path }: AskedHttp): boolean => /\/ns\/(instance\/list|service|service\/list)$/.test(path);

interface Host {
  readonly ip: string;
  readonly port: number | string;
}

interface Body {
  readonly type?: string;
  readonly serviceName?: string;
  readonly instance?: Host;
  readonly instances?: readonly Host[];
}

/** What the connection publishes under each service, by place. */
type Published = Map<string, ReadonlyMap<string, string>>;

/** Leased entries belong to the connection, which gives all that it has under a service each time. */
export function createNacosGrpcCalls(): GrpcReading {
  const connections = new WeakMap<object, Published>();

  function ofList(service: string, hosts: readonly Host[], published: Published): readonly [Touch[], () => void] {
    const before = published.get(service) ?? new Map<string, string>();
    const after = new Map(hosts.map((host) => [entryOf(service, host), JSON.stringify(host)]));
    const touches: Touch[] = [];
    for (const entry of before.keys()) if (!after.has(entry)) touches.push({ does: 'remove', entry });
    for (const [entry, text] of after) if (before.get(entry) !== text) touches.push({ does: 'put', entry });
    return [touches, () => void published.set(service, after)];
  }

  function see(message: Buffer, connection: object): AskedGrpc {
    const { type: name, body } = decodePayload(message);
    const { serviceName: service = '', type = '', instance, instances = [] }: Body = JSON.parse(body);
    const published = connections.get(connection) ?? new Map();
    connections.set(connection, published);
    switch (name) {
      case 'BatchInstanceRequest': {
        const [touches, commit] = ofList(service, instances, published);
        return asked({ kind: 'write', name, touches }, commit);
      }
      case 'InstanceRequest': {
        // One takes the place of the whole list, and none ends it.
        const standing = type === 'registerInstance' && instance !== undefined ? [instance] : [];
        const [touches, commit] = ofList(service, standing, published);
        return asked({ kind: 'write', name, touches }, commit);
      }
      case 'PersistentInstanceRequest': {
        if (instance === undefined) return asked({ kind: 'other', name, touches: [] });
        const does = type === 'registerInstance' ? 'put' : 'remove';
        return asked({ kind: 'write', name, touches: touchesOf([{ does, entry: entryOf(service, instance) }]) });
      }
      case 'ServiceListRequest':
      case 'ServiceQueryRequest':
        return asked({ kind: 'read', name, touches: [] });
      default:
        return asked({ kind: 'other', name, touches: [] });
    }
  }

  return {
    isStream: (path) => path === '/BiRequestStream/requestBiStream',
    see: (_, message, connection) => see(message, connection),
    limited: { message: encodePayload({ type: 'ErrorResponse', headers: {}, body: JSON.stringify(OVER_THRESHOLD) }) },
  };
}

const OVER_THRESHOLD = { resultCode: 500, errorCode: 503, success: false, message: 'More than Max connection' };

const asked = (seen: Seen, commit = () => {}): AskedGrpc => ({
  seen,
  accepts(answer) {
    const isAccepted = JSON.parse(decodePayload(answer).body).resultCode === 200;
    if (isAccepted) commit();
    return isAccepted;
  },
});

const entryOf = (service: string, { ip, port }: Host): string =>
  `${service}/${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
