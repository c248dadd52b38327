import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { after } from 'node:test';
import { Etcd3 } from 'etcd3';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { type EtcdSettings, type LayoutName, openEtcdRegistry } from '../../src/registries/etcd/etcd.ts';
import { openEtcdLink } from '../links/etcd-link.ts';
import type { Etcd } from '../servers/etcd.ts';
import { type LayoutBook, layoutBooks, type Raw, recordWithPort } from './etcd-layouts.ts';
import { type Fault, type Harness, type Intruder, SECRET, type Stranger } from './harness.ts';

/** As the operator opens it by default, with the differences that a test wants. */
export function openAt(endpoint: string | readonly string[], over: Partial<EtcdSettings> = {}) {
  const endpoints = typeof endpoint === 'string' ? [endpoint] : endpoint;
  return openEtcdRegistry({
    endpoints,
    prefix: '/services',
    layout: 'Roster',
    ttlMs: 180_000,
    leasesAll: false,
    connectMs: 5_000,
    requestMs: 10_000,
    ...over,
  });
}

/** Connections are disturbed between the adapter and `server`; the server itself is left in peace, since others use it. */
export async function etcdHarness(server: Pick<Etcd, 'address'>, layout: LayoutName = 'Roster'): Promise<Harness> {
  const link = await openEtcdLink(Number(new URL(server.address).port));
  const raw = rawEtcd(server.address);
  after(async () => {
    raw.close();
    await link.close();
  });
  const book = layoutBooks[layout];
  return {
    name: layout === 'Roster' ? 'etcd' : `etcd, layout ${layout}`,
    open: () => openAt(server.address, { layout }),
    openWith: (secret) => openAt(server.address, { layout, username: 'roster', password: secret }),
    async peek(cluster) {
      const { texts, leases } = await raw.all(book);
      return book.read(texts, cluster).map((instance) => {
        const keys = [book.keyOf(instance), book.recordOf(instance)];
        const under = new Set(keys.flatMap((key) => leases.get(key) ?? []));
        assert.equal(under.size, 1, `the keys of ${instance.id} are not all under one lease`);
        return { ...instance, liveness: under.has(NO_LEASE) ? 'persistent' : 'leased' };
      });
    },
    revision: (cluster) => raw.revision(book, cluster),
    intruder: intruderOf(raw, book),
    claimOf: async (cluster) => (await raw.get(claimKey(cluster)))?.split(' ')[0],
    dropClaim: (cluster) => raw.remove(claimKey(cluster)),
    sweep: (cluster) => raw.sweep(book, cluster),
    // etcd takes any bytes: the adapter must know.
    spoil: (instance) => ({ ...instance, metadata: { ...instance.metadata, half: '\udc00' } }),
    refuses: refusals(layout),
    ...(layout === 'Roster' ? {} : { hides: ({ health, weight }: Instance) => health !== 'healthy' || weight === 0 }),
    // Longer than any test waits for an abort.
    link: { ...link, open: () => openAt(`127.0.0.1:${link.port}`, { layout, requestMs: 60_000 }) },
    faults: layout === 'Roster' ? faultsAt(server.address) : [],
    leasing: {
      open: () => openAt(server.address, { layout, ttlMs: LEASE_SECONDS * 1_000 }),
      config: leasingConfig(server.address, layout),
      secrets: {},
      // The server looks twice a second for leases that have run out, and a busy one less often.
      vanishesWithinMs: LEASE_SECONDS * 1_000 + 2_000,
    },
  };
}

const NO_LEASE = '0';

const claimKey = (cluster: string): string => `/services/.owner/${cluster}`;

/** A member takes 2 and more; this is three times what a client of a busy machine may be late. */
const LEASE_SECONDS = 6;

const leasingConfig = (endpoint: string, layout: LayoutName): RegistryConfig => ({
  type: 'Etcd',
  etcd: { endpoints: [endpoint], prefix: '/services', layout, ttlSeconds: LEASE_SECONDS },
  timeouts: { connectSeconds: 5, requestSeconds: 10 },
  audit: { intervalSeconds: 60 },
  deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
  allowUnmanagedEndpoints: false,
});

function refusals(layout: LayoutName): ReadonlyMap<string, RegExp> {
  return new Map([
    ['port 65536', /65535/],
    ['a tag of half a character', /Unicode/],
    ['a metadata value of half a character', /Unicode/],
    ['an empty name', /empty/],
    ...(layout === 'Roster' ? [] : [['a name with a slash', /slash/] as const]),
    ...(layout === 'GoMicro' || layout === 'Kratos' ? [['a key that is our mark', /reserved/] as const] : []),
  ]);
}

export type RawEtcd = ReturnType<typeof rawEtcd>;

/** The registry by the package itself, with nothing of ours around it. */
export function rawEtcd(address: string) {
  // Everything comes in one answer.
  const client = new Etcd3({ hosts: address, grpcOptions: { 'grpc.max_receive_message_length': -1 } });
  const kvs = async (places: readonly string[]) => {
    const answers = [];
    for (const place of places) answers.push(await client.getAll().prefix(place).exec());
    return answers.flatMap((answer) => answer.kvs);
  };
  return {
    client,
    get: async (key: string): Promise<string | undefined> => (await client.get(key).string()) ?? undefined,
    put: async (key: string, value: string): Promise<void> => void (await client.put(key).value(value).exec()),
    remove: async (key: string): Promise<void> => void (await client.delete().key(key).exec()),
    async all({ places }: LayoutBook): Promise<{ texts: Raw; leases: ReadonlyMap<string, string> }> {
      const found = await kvs(places);
      return {
        texts: new Map(found.map(({ key, value }) => [key.toString(), value.toString()])),
        leases: new Map(found.map(({ key, lease }) => [key.toString(), lease])),
      };
    },
    /** Revisions of all keys in which this cluster is told of, but for who has claimed it. */
    revision: async ({ places }: LayoutBook, cluster: string): Promise<string> =>
      (await kvs(places))
        .filter(({ key, value }) => key.includes(cluster) || value.includes(cluster))
        .filter(({ key }) => key.toString() !== claimKey(cluster))
        .map(({ key, mod_revision }) => `${key} ${mod_revision}`)
        .join('\n'),
    async sweep({ places }: LayoutBook, cluster: string): Promise<void> {
      const keys = (await kvs(places)).map(({ key }) => key).filter((key) => key.includes(cluster));
      for (let at = 0; at < keys.length; at += 128) {
        const success = keys.slice(at, at + 128).map((key) => ({ request_delete_range: { key } }));
        await client.kv.txn({ success });
      }
    },
    stamp: async (key: string): Promise<string> => {
      const [kv] = (await client.get(key).exec()).kvs;
      return kv === undefined ? 'nothing' : `${kv.mod_revision} ${kv.value}`;
    },
    close: () => client.close(),
  };
}

function intruderOf(raw: RawEtcd, book: LayoutBook): Intruder {
  const watchOver = async (key: string): Promise<Stranger> => {
    const before = await raw.stamp(key);
    return { isIntact: async () => before !== 'nothing' && (await raw.stamp(key)) === before };
  };
  /** The key that tells of it: where consumers look, or the record. */
  const located = async (instance: Instance): Promise<{ key: string; value: string } | undefined> => {
    for (const key of [book.keyOf(instance), book.recordOf(instance)]) {
      const value = key === '' ? undefined : await raw.get(key);
      if (value !== undefined) return { key, value };
    }
    return undefined;
  };
  const removeRecord = async (instance: Instance) => {
    const record = book.recordOf(instance);
    if (record !== '') await raw.remove(record);
  };
  return {
    async addStranger(service) {
      const key = book.keyOf({ service, id: 'theirs', marks: { cluster: 'theirs' } } as Instance);
      await raw.put(key, book.stranger(service));
      return watchOver(key);
    },
    async takeOver(instance) {
      const { key } = (await located(instance)) ?? assert.fail(`${instance.id} is not in etcd`);
      await removeRecord(instance);
      await raw.put(key, book.stranger(instance.service));
      return watchOver(key);
    },
    async setPort(instance, port) {
      const found = await located(instance);
      if (found === undefined) return;
      const change = found.key === book.recordOf(instance) ? recordWithPort : book.withPort;
      await raw.put(found.key, change(found.value, port));
    },
    async remove(instance) {
      await raw.remove(book.keyOf(instance));
      await removeRecord(instance);
    },
  };
}

function faultsAt(address: string): readonly Fault[] {
  const port = new URL(address).port;
  const at = (endpoint: string) => async () => ({ registry: openAt(endpoint) });
  /** The gRPC status that every call ends with. */
  const ending = (status: number, words: string): Fault['open'] =>
    answering((stream) =>
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': status,
          'grpc-message': `${words} ${SECRET}`,
        },
        { endStream: true },
      ),
    );
  const saying = (words: string) => (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.end(words);
  };
  return [
    { name: 'no server on the port', code: 'unreachable', ambiguous: false, open: at('127.0.0.1:9') },
    { name: 'a host that has no address', code: 'unreachable', ambiguous: false, open: at('etcd.invalid:2379') },
    {
      name: 'a server that accepts and says nothing',
      code: 'unreachable',
      ambiguous: false,
      open: behind(
        createTcpServer((socket) => void socket.on('error', () => {}).resume()),
        { connectMs: 300 },
      ),
    },
    {
      name: 'a server that hangs up',
      code: 'unreachable',
      ambiguous: false,
      open: behind(createTcpServer((socket) => void socket.on('error', () => {}).once('data', () => socket.destroy()))),
    },
    {
      name: 'a server that takes the request and says nothing',
      code: 'timeout',
      ambiguous: true,
      open: answering(() => {}, { requestMs: 300 }),
    },
    {
      name: 'a server that hangs up on the request',
      code: 'unreachable',
      ambiguous: true,
      open: answering((stream) => stream.session?.destroy()),
    },
    {
      name: 'a connection that breaks in the middle of the answer',
      code: 'unreachable',
      ambiguous: true,
      // A time-out would come later than the deadline of the test run.
      open: answering(
        (stream) => {
          stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
          stream.write(Buffer.from([0, 0, 0, 0, 9, 1]), () => stream.session?.destroy());
        },
        { requestMs: 3_600_000 },
      ),
    },
    { name: 'TLS to a server without it', code: 'protocol', ambiguous: false, open: at(`https://127.0.0.1:${port}`) },
    {
      name: 'a server that does not speak HTTP',
      code: 'protocol',
      ambiguous: false,
      open: behind(
        createTcpServer(
          (socket) =>
            void socket
              .on('error', () => {})
              .resume()
              .end('SSH-2.0-OpenSSH_9.9\r\n'),
        ),
      ),
    },
    {
      name: 'a server that speaks an older HTTP',
      code: 'protocol',
      ambiguous: false,
      open: behind(createHttpServer((_, response) => response.end(SECRET))),
    },
    {
      name: 'a web page',
      code: 'protocol',
      ambiguous: true,
      open: answering((stream) => {
        stream.respond({ ':status': 200, 'content-type': 'text/html' });
        stream.end(`<html>${SECRET}</html>`);
      }),
    },
    {
      name: 'a web server without such a page',
      code: 'protocol',
      ambiguous: true,
      open: answering((stream) => {
        stream.respond({ ':status': 404 });
        stream.end(SECRET);
      }),
    },
    {
      name: 'messages of something else',
      code: 'protocol',
      ambiguous: true,
      open: answering(saying('\0\0\0\0\x02\xff\xff')),
    },
    { name: 'an empty answer', code: 'protocol', ambiguous: true, open: answering(saying('')) },
    { name: 'a gRPC server of something else', code: 'protocol', ambiguous: true, open: ending(12, 'unknown service') },
    {
      name: 'a proxy without a server',
      code: 'unavailable',
      ambiguous: true,
      open: answering((stream) => {
        stream.respond({ ':status': 503 });
        stream.end(SECRET);
      }),
    },
    {
      name: 'a cluster without a leader',
      code: 'unavailable',
      ambiguous: true,
      open: ending(14, 'etcdserver: no leader'),
    },
    {
      name: 'a request that the cluster could not agree on in time',
      code: 'unavailable',
      ambiguous: true,
      open: ending(14, 'etcdserver: request timed out, possibly due to previous leader failure'),
    },
    {
      name: 'a server that wants credentials',
      code: 'unauthorized',
      ambiguous: false,
      open: ending(3, 'etcdserver: user name is empty'),
    },
    {
      name: 'a token that is never right',
      code: 'unauthorized',
      ambiguous: false,
      open: ending(16, 'etcdserver: invalid auth token'),
    },
    {
      name: 'a user without rights',
      code: 'forbidden',
      ambiguous: false,
      open: ending(7, 'etcdserver: permission denied'),
    },
    {
      name: 'a server that takes less at once',
      code: 'too-large',
      ambiguous: false,
      open: ending(3, 'etcdserver: request is too large'),
    },
    {
      name: 'a server that takes fewer operations at once',
      code: 'too-large',
      ambiguous: false,
      open: ending(3, 'etcdserver: too many operations in txn request'),
    },
    {
      name: 'a server whose database is full',
      code: 'too-large',
      ambiguous: false,
      open: ending(8, 'etcdserver: mvcc: database space exceeded'),
    },
    {
      name: 'a server that knows none of the leases it grants',
      code: 'conflict',
      ambiguous: false,
      open: ending(5, 'etcdserver: requested lease not found'),
    },
    {
      name: 'a server that takes no more for now',
      code: 'rate-limited',
      ambiguous: false,
      open: ending(8, 'etcdserver: too many requests'),
    },
  ];
}

export const answering = (
  handle: (stream: ServerHttp2Stream) => void,
  over: Partial<EtcdSettings> = {},
): Fault['open'] => {
  const server = createHttp2Server();
  server.on('sessionError', () => {});
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream: ServerHttp2Stream) => handle(stream.on('error', () => {})));
  return behind(server, over);
};

/** Something else in the place of etcd, for the time of one test. */
function behind(
  impostor: Pick<Server, 'listen' | 'address' | 'close' | 'once'>,
  over: Partial<EtcdSettings> = {},
): Fault['open'] {
  return async () => {
    impostor.listen(0, '127.0.0.1');
    await once(impostor as Server, 'listening');
    const { port } = impostor.address() as AddressInfo;
    return {
      registry: openAt(`127.0.0.1:${port}`, over),
      retire: async () => {
        impostor.close();
        await once(impostor as Server, 'close');
      },
    };
  };
}
