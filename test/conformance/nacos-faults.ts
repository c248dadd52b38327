import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { NacosSettings } from '../../src/registries/nacos/settings.ts';
import { openScriptedNacos } from '../registries/nacos-scripted-server.ts';
import { onFreePorts } from '../servers/process.ts';
import { type Fault, SECRET } from './harness.ts';
import { openAt } from './nacos-client.ts';

const account = { username: 'roster', password: SECRET };
/** For servers that say nothing. */
const BRIEF = { connectMs: 300, requestMs: 300 } as const;
const READS = ['list', 'discover'] as const;

/** What stands in the place of a real server, or of the HTTP or gRPC side of one. */
export const FAULTS: readonly Fault[] = [
  { name: 'no server on the port', code: 'unreachable', ambiguous: false, open: at('http://127.0.0.1:9') },
  { name: 'a host that has no address', code: 'unreachable', ambiguous: false, open: at('http://nacos.invalid:8848') },
  {
    name: 'a server that accepts and says nothing',
    code: 'unreachable',
    ambiguous: false,
    open: behind({ web: tcp((socket) => socket.resume()), grpc: tcp((socket) => socket.resume()) }, BRIEF),
  },
  {
    name: 'a server that hangs up',
    code: 'unreachable',
    ambiguous: false,
    open: behind({ web: tcp(hangUp), grpc: tcp(hangUp) }),
  },
  {
    name: 'HTTP where gRPC is expected',
    code: 'protocol',
    ambiguous: false,
    operations: [...READS, 'apply'],
    open: behind({ grpc: page(200, `<html>${SECRET}</html>`) }, { protocol: 'Grpc' }),
  },
  {
    name: 'SSH where gRPC is expected',
    code: 'protocol',
    ambiguous: false,
    operations: [...READS, 'apply'],
    open: behind({ grpc: tcp((socket) => socket.resume().end('SSH-2.0-OpenSSH_9.9\r\n')) }, { protocol: 'Grpc' }),
  },
  {
    name: 'a gRPC port that is closed',
    code: 'unreachable',
    ambiguous: false,
    operations: [...READS, 'apply'],
    open: behind({ web: scripted() }, { protocol: 'Grpc' }),
  },
  {
    name: 'a gRPC side that takes connections and says nothing',
    code: 'unreachable',
    ambiguous: false,
    operations: [...READS, 'apply'],
    open: behind({ web: scripted(), grpc: tcp((socket) => socket.resume()) }, { ...BRIEF, protocol: 'Grpc' }),
  },
  ...(
    [
      ['that wants other credentials', 403, 'token invalid!', 'unauthorized'],
      ['that does not allow this', 403, 'authorization failed!', 'forbidden'],
      ['that takes no more for now', 503, 'More than client-side current limit threshold', 'rate-limited'],
      ['that cannot serve', 500, 'java.lang.IllegalStateException', 'unavailable'],
      ['that is starting', 300, 'server is starting', 'unavailable'],
      ['that knows no such request', 302, 'RequestHandler Not Found', 'unsupported'],
    ] as const
  ).map(
    ([name, errorCode, message, code]): Fault => ({
      name: `a gRPC side ${name}`,
      code,
      ambiguous: false,
      operations: [...READS, 'apply'],
      open: refusing({ errorCode, message: `${message} ${SECRET}` }),
    }),
  ),
  ...overHttp(),
];

/** Only the HTTP side is asked. */
function overHttp(): readonly Fault[] {
  const http = { protocol: 'Http' } as const;
  const answering = (
    status: number,
    body: string,
    headers: Readonly<Record<string, string>> = {},
    over: Partial<NacosSettings> = {},
  ): Fault['open'] => behind({ web: page(status, body, headers) }, { ...http, ...over });
  /** Everything but writes of entries is answered as by an empty Nacos 2.2.4. */
  const writing = (write: RequestListener, over: Partial<NacosSettings> = {}): Fault['open'] =>
    behind({ web: scripted(write) }, { ...http, ...over });
  const toWrites = { operations: ['apply'] } as const;
  return [
    {
      name: 'an HTTP side that accepts and says nothing',
      code: 'timeout',
      ambiguous: false,
      open: behind({ web: tcp((socket) => socket.resume()) }, { ...http, ...BRIEF }),
    },
    {
      name: 'a server that never says a word of TLS',
      code: 'unreachable',
      ambiguous: false,
      open: behind({ web: tcp((socket) => socket.resume()) }, { ...http, ...BRIEF }, 'https'),
    },
    {
      name: 'TLS to a server without it',
      code: 'protocol',
      ambiguous: false,
      open: behind({ web: scripted() }, http, 'https'),
    },
    {
      name: 'gRPC where HTTP is expected',
      code: 'protocol',
      ambiguous: false,
      open: async () => {
        const server = await openScriptedNacos();
        const registry = openAt(server.address.origin, { ...account, ...http });
        return { registry, retire: async () => server.close() };
      },
    },
    { name: 'a web page', code: 'protocol', ambiguous: false, open: answering(200, `<html>${SECRET}</html>`) },
    { name: 'JSON that ends too early', code: 'protocol', ambiguous: false, open: answering(200, `{"${SECRET}`) },
    { name: 'an empty answer', code: 'protocol', ambiguous: false, open: answering(200, '') },
    { name: 'another program', code: 'protocol', ambiguous: false, open: answering(404, SECRET) },
    {
      name: 'a redirection',
      code: 'protocol',
      ambiguous: false,
      open: answering(302, SECRET, { location: `/${SECRET}` }),
    },
    {
      name: 'a server that takes no more for now',
      code: 'rate-limited',
      ambiguous: false,
      retryAfterMs: 2_000,
      open: answering(429, SECRET, { 'retry-after': '2' }),
    },
    { name: 'a proxy without a server', code: 'unavailable', ambiguous: false, open: answering(502, SECRET) },
    {
      name: 'a server that wants credentials, and none given',
      code: 'unauthorized',
      ambiguous: false,
      open: answering(403, SECRET, {}, { username: undefined, password: undefined }),
    },
    {
      name: 'credentials that are refused',
      code: 'unauthorized',
      ambiguous: false,
      open: answering(403, SECRET),
    },
    {
      name: 'a server that does not allow a write',
      code: 'forbidden',
      ambiguous: false,
      ...toWrites,
      open: writing((_, answer) => answer.writeHead(403).end(`authorization failed! ${SECRET}`)),
    },
    {
      name: 'a server that refuses a write as too large',
      code: 'too-large',
      ambiguous: false,
      ...toWrites,
      open: writing((_, answer) => answer.writeHead(413).end(SECRET)),
    },
    {
      name: 'a server without a leader',
      code: 'unavailable',
      ambiguous: true,
      ...toWrites,
      open: writing((_, answer) => answer.writeHead(500).end(`The Raft Group failed to find the Leader ${SECRET}`)),
    },
    {
      name: 'a server that takes a write and says nothing',
      code: 'timeout',
      ambiguous: true,
      ...toWrites,
      open: writing(() => {}, { requestMs: 300 }),
    },
    {
      name: 'a server that hangs up on a write',
      code: 'unreachable',
      ambiguous: true,
      ...toWrites,
      open: writing(({ socket }) => socket.destroy()),
    },
    {
      name: 'a server that breaks the connection in the middle of the answer to a write',
      code: 'unreachable',
      ambiguous: true,
      ...toWrites,
      // A time-out would come later than the deadline of the test run.
      open: writing(
        (_, answer) => void answer.writeHead(200, { 'content-length': '2' }).write('o', () => answer.destroy()),
        { requestMs: 3_600_000 },
      ),
    },
    {
      name: 'a server that answers a write with something else',
      code: 'protocol',
      ambiguous: true,
      ...toWrites,
      open: writing((_, answer) => void answer.writeHead(200).end(`<html>${SECRET}</html>`)),
    },
  ];
}

function at(address: string): Fault['open'] {
  return async () => ({ registry: openAt(address, account) });
}

interface Impostors {
  readonly web?: () => Server;
  readonly grpc?: () => Server;
}

/** Something else in the place of Nacos, on either of its ports, for the time of one test. */
function behind(
  { web, grpc }: Impostors,
  over: Partial<NacosSettings> = {},
  scheme: 'http' | 'https' = 'http',
): Fault['open'] {
  return async () => {
    const servers: Server[] = [];
    const begin = async (create: (() => Server) | undefined, port: number) => {
      if (create === undefined) return;
      const server = create();
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      servers.push(server);
    };
    const port = await onFreePorts(
      ['web'],
      async (ports) => {
        await begin(web, ports.web);
        await begin(grpc, ports.web + 1_000);
        return ports.web;
      },
      [1_000],
    );
    return {
      registry: openAt(`${scheme}://127.0.0.1:${port}`, { ...account, ...over }),
      retire: async () => {
        await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      },
    };
  };
}

/** A gRPC side that registers connections, and refuses all else; its HTTP side tells its version. */
function refusing(refusal: { readonly errorCode: number; readonly message: string }): Fault['open'] {
  return async () => {
    const server = await openScriptedNacos();
    server.refuse(({ type }) => (/Check/.test(type) ? undefined : refusal));
    const target = new URL(server.address.origin);
    const { registry, retire } = await behind(
      { web: scripted(), grpc: tcp((socket) => pipe(socket, connect(Number(target.port), target.hostname))) },
      { protocol: 'Grpc' },
    )();
    return {
      registry,
      retire: async () => {
        server.close();
        await retire?.();
      },
    };
  };
}

function pipe(client: Socket, server: Socket): void {
  const end = () => {
    client.destroy();
    server.destroy();
  };
  client.on('close', end).pipe(server);
  server.on('error', end).on('close', end).pipe(client);
}

function tcp(serve: (socket: Socket) => void): () => Server {
  return () => createTcpServer((socket) => serve(socket.on('error', () => {})));
}

function hangUp(socket: Socket): void {
  socket.once('data', () => socket.destroy());
}

function page(status: number, body: string, headers: Readonly<Record<string, string>> = {}): () => Server {
  return () =>
    createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(status, headers).end(body));
    });
}

/** The HTTP side of an empty Nacos 2.2.4, but for writes of entries. */
function scripted(write: RequestListener = (_, answer) => answer.end('ok')): () => Server {
  const answers: readonly (readonly [path: string, body: object | 'ok'])[] = [
    ['/v1/console/server/state', { version: '2.2.4' }],
    ['/v1/auth/login', { accessToken: 'token', tokenTtl: 18_000 }],
    ['/v1/ns/service/list', { count: 0, doms: [] }],
    ['/v1/ns/instance/list', { hosts: [], reachProtectionThreshold: false }],
    ['/v1/ns/service', 'ok'],
    ['/v1/ns/cluster', 'ok'],
  ];
  return () =>
    createServer((request, response) => {
      const path = (request.url ?? '').replace('/nacos', '').replace(/\?.*/, '');
      request.resume().on('end', () => {
        if (path === '/v1/ns/instance') return write(request, response);
        const body = answers.find(([known]) => known === path)?.[1];
        if (body === undefined) return void response.writeHead(404).end('no such path');
        response.writeHead(200).end(body === 'ok' ? body : JSON.stringify(body));
      });
    });
}
