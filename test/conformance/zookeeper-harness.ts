import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after } from 'node:test';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { openZooKeeperRegistry, type ZooKeeperSettings } from '../../src/registries/zookeeper/zookeeper.ts';
import { openZooKeeperLink } from '../links/zookeeper-link.ts';
import type { ZooKeeper } from '../servers/zookeeper.ts';
import { type Fault, type Harness, type Intruder, SECRET, type Stranger } from './harness.ts';
import { type LayoutBook, type LayoutName, layoutBooks } from './zookeeper-layouts.ts';
import { type RawZooKeeper, rawZooKeeper } from './zookeeper-raw.ts';

/** As the operator opens it by default, with deadlines that no busy machine meets, and the differences that a test wants. */
export function openAt(connectString: string, over: Partial<ZooKeeperSettings> = {}) {
  return openZooKeeperRegistry({
    connectString,
    rootPath: '/services',
    layout: 'Curator',
    sessionTimeoutMs: 30_000,
    digestAuth: undefined,
    connectMs: 60_000,
    requestMs: 60_000,
    ...over,
  });
}

/** Connections are disturbed between the adapter and `server`; the server itself is left in peace, since others use it. */
export async function zooKeeperHarness(
  server: Pick<ZooKeeper, 'address'>,
  layout: LayoutName = 'Curator',
): Promise<Harness> {
  const link = await openZooKeeperLink(Number(server.address.split(':')[1]));
  const raw = rawZooKeeper(server.address);
  after(async () => {
    await raw.close();
    await link.close();
  });
  const root = `/${layout.toLowerCase()}/services`;
  const book = layoutBooks[layout];
  const access = { layout, rootPath: root };
  const recordOf = (cluster: string) => `${root}.roster/${nodeName(cluster)}`;
  return {
    name: `ZooKeeper, layout ${layout}`,
    open: () => openAt(server.address, access),
    openWith: (secret) => openAt(server.address, { ...access, digestAuth: `roster:${secret}` }),
    peek: async (cluster) => (await owned(raw, root, book, cluster)).map(({ instance }) => instance),
    revision: async (cluster) => {
      const nodes = await owned(raw, root, book, cluster);
      return nodes
        .map(({ path, stat }) => `${path} ${stamp(stat)}`)
        .sort()
        .join('\n');
    },
    intruder: intruderOf(raw, root, book),
    claimOf: async (cluster) => /^owner: (.+)$/m.exec((await raw.get(recordOf(cluster)))?.text ?? '')?.[1],
    dropClaim: (cluster) => raw.removeTree(recordOf(cluster)),
    async sweep(cluster) {
      await raw.removeTree(recordOf(cluster));
      const services = await raw.children(root);
      const named = services.filter((service) => service.startsWith(cluster)).map((service) => `${root}/${service}`);
      await Promise.all(named.map((path) => raw.removeTree(path)));
      // Names that samples choose themselves.
      for (const { path } of await owned(raw, root, book, cluster)) await raw.remove(path);
    },
    // A path may not hold it.
    spoil: (instance) => ({ ...instance, service: `${instance.service}\u0001` }),
    refuses: refusals(layout),
    ...(layout === 'Kratos' ? { hides: ({ health, weight }: Instance) => health !== 'healthy' || weight === 0 } : {}),
    link: { ...link, open: () => openAt(`127.0.0.1:${link.port}`, access) },
    faults: layout === 'Curator' ? FAULTS : [],
    leasing: {
      open: () => openAt(server.address, { ...access, sessionTimeoutMs: LEASE_SECONDS * 1_000 }),
      config: leasingConfig(server.address, access),
      secrets: {},
      // The server looks for sessions that are over once a tick.
      vanishesWithinMs: LEASE_SECONDS * 1_000 + 2 * TICK_MS,
    },
  };
}

/** That of the servers of the tests, and the least session time-out that they grant. */
const TICK_MS = 2_000;
const LEASE_SECONDS = (2 * TICK_MS) / 1_000;

const leasingConfig = (
  connectString: string,
  access: { readonly layout: LayoutName; readonly rootPath: string },
): RegistryConfig => ({
  type: 'ZooKeeper',
  zookeeper: { connectString, sessionTimeoutSeconds: LEASE_SECONDS, ...access },
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
    ['a name with a slash', /slash/],
    ...(layout === 'Plain' ? [] : [['a key that is our mark', /reserved/] as const]),
  ]);
}

const NO_SESSION = Buffer.alloc(8);

const stamp = ({ czxid, mzxid }: { czxid: Buffer; mzxid: Buffer }) =>
  `${czxid.toString('hex')} ${mzxid.toString('hex')}`;

async function owned(raw: RawZooKeeper, root: string, book: LayoutBook, cluster: string) {
  const nodes = await raw.entries(root);
  return nodes.flatMap((node) => {
    const json = node.text.startsWith('{') ? JSON.parse(node.text) : {};
    const liveness = node.stat.ephemeralOwner.equals(NO_SESSION) ? 'persistent' : 'leased';
    const instance = book.read(json, { service: node.service, name: node.name, liveness });
    return instance?.marks.cluster === cluster ? [{ ...node, instance }] : [];
  });
}

/** Where an entry stands. */
export const pathOf = ({ service, id }: Instance, root = '/services'): string => `${root}/${service}/${nodeName(id)}`;

export const nodeName = (id: string) => id.replaceAll('%', '%25').replaceAll('/', '%2F');

function intruderOf(raw: RawZooKeeper, root: string, book: LayoutBook): Intruder {
  const pathIn = (instance: Instance) => pathOf(instance, root);
  const located = async (instance: Instance) =>
    (await raw.get(pathIn(instance))) ?? assert.fail(`${instance.id} is not in ZooKeeper`);
  const watchOver = async (path: string): Promise<Stranger> => {
    const read = async () => {
      const node = await raw.get(path);
      return node === undefined ? 'nothing' : `${stamp(node.stat)} ${node.text}`;
    };
    const before = await read();
    return { isIntact: async () => before !== 'nothing' && (await read()) === before };
  };
  return {
    async addStranger(service) {
      const path = `${root}/${service}/theirs`;
      await raw.put(path, JSON.stringify(book.stranger(service)));
      return watchOver(path);
    },
    async takeOver(instance) {
      const { path } = await located(instance);
      await raw.put(path, JSON.stringify(book.stranger(instance.service)));
      return watchOver(path);
    },
    async setPort(instance, port) {
      const { path, text } = await located(instance);
      await raw.put(path, JSON.stringify(book.withPort(JSON.parse(text), port)));
    },
    remove: async (instance) => raw.remove((await located(instance)).path),
  };
}

const FAULTS: readonly Fault[] = [
  { name: 'no server on the port', code: 'unreachable', ambiguous: false, open: at('127.0.0.1:9') },
  { name: 'a host that has no address', code: 'unreachable', ambiguous: false, open: at('zookeeper.invalid:2181') },
  {
    name: 'a server that accepts and says nothing',
    code: 'timeout',
    ambiguous: false,
    open: behind((socket) => socket.resume(), { connectMs: 300 }),
  },
  {
    name: 'a server that hangs up',
    code: 'unreachable',
    ambiguous: false,
    open: behind((socket) => socket.once('data', () => socket.destroy())),
  },
  {
    name: 'a server that greets and says nothing more',
    code: 'timeout',
    ambiguous: false,
    open: behind(
      speaking(() => {}),
      { requestMs: 300 },
    ),
  },
  {
    name: 'a server that takes a write and says nothing',
    code: 'timeout',
    ambiguous: true,
    operations: ['apply'],
    open: behind(
      speaking((asked) => (asked.type === MULTI ? undefined : asked.answer(0))),
      { requestMs: 300 },
    ),
  },
  {
    name: 'a server that hangs up on a write',
    code: 'unreachable',
    ambiguous: true,
    operations: ['apply'],
    open: behind(speaking((asked) => (asked.type === MULTI ? asked.socket.destroy() : asked.answer(0)))),
  },
  {
    name: 'a server that answers a write with something else',
    code: 'protocol',
    ambiguous: true,
    operations: ['apply'],
    open: behind(speaking((asked) => asked.answer(0))),
  },
  {
    name: 'a connection that breaks in the middle of the answer',
    code: 'unreachable',
    ambiguous: false,
    // A time-out would come later than the deadline of the test run.
    open: behind(
      speaking(({ socket }) => void socket.write(Buffer.from([0, 0, 0, 99, 1]), () => socket.destroy())),
      {
        requestMs: 3_600_000,
      },
    ),
  },
  {
    name: 'an answer to nothing that was asked',
    code: 'protocol',
    ambiguous: false,
    open: behind(speaking((asked) => asked.answer(0, 77))),
  },
  {
    name: 'a server that speaks HTTP',
    code: 'protocol',
    ambiguous: false,
    open: behind((socket) => socket.once('data', () => socket.end(`HTTP/1.1 400 Bad Request\r\n\r\n${SECRET}`))),
  },
  {
    name: 'a server that speaks SSH',
    code: 'protocol',
    ambiguous: false,
    open: behind((socket) => socket.resume().end('SSH-2.0-OpenSSH_9.9\r\n')),
  },
  {
    name: 'a length below zero',
    code: 'protocol',
    ambiguous: false,
    open: behind((socket) => socket.once('data', () => socket.write(Buffer.alloc(64, 0xff)))),
  },
  {
    name: 'credentials that are refused',
    code: 'unauthorized',
    ambiguous: false,
    open: behind(speaking(() => {}, -115)),
  },
  ...(
    [
      ['an access list', -102, 'forbidden'],
      ['a server that wants credentials', -124, 'unauthorized'],
      ['a full quota', -125, 'too-large'],
      ['a server that takes no more for now', -127, 'rate-limited'],
      ['a server without a quorum', -119, 'unavailable'],
      ['a session that is over', -112, 'unreachable'],
      ['a session that is elsewhere', -118, 'unreachable'],
      ['an error that nobody knows', -4711, 'protocol'],
    ] as const
  ).map(
    ([name, error, code]): Fault => ({
      name,
      code,
      ambiguous: false,
      open: behind(speaking((asked) => asked.answer(error))),
    }),
  ),
];

const MULTI = 14;
const AUTH = 100;

interface Asked {
  readonly type: number;
  readonly socket: Socket;
  answer(error: number, xid?: number): void;
}

/** Just enough of a server to greet, and to say what a real one would not. */
export function speaking(onRequest: (asked: Asked) => void, authError = 0): (socket: Socket) => void {
  return (socket) => {
    let greeted = false;
    let waiting = Buffer.alloc(0);
    const reply = (xid: number, error: number) => {
      const message = Buffer.alloc(20);
      message.writeInt32BE(16, 0);
      message.writeInt32BE(xid, 4);
      message.writeInt32BE(error, 16);
      if (socket.writable) socket.write(message);
    };
    socket.on('data', (chunk) => {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= 4 && waiting.length >= 4 + waiting.readInt32BE(0)) {
        const message = waiting.subarray(4, 4 + waiting.readInt32BE(0));
        waiting = waiting.subarray(4 + message.length);
        if (!greeted) {
          greeted = true;
          socket.write(GREETING);
          continue;
        }
        const [xid, type] = [message.readInt32BE(0), message.readInt32BE(4)];
        if (type === AUTH) reply(xid, authError);
        else if (type < 0) socket.end();
        else onRequest({ type, socket, answer: (error, at = xid) => reply(at, error) });
      }
    });
  };
}

/** Version 0, a time-out of 30 s, session 1, a password of 16 bytes. */
const GREETING = Buffer.concat([
  Buffer.from([0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0x75, 0x30, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 16]),
  Buffer.alloc(16, 7),
]);

function at(connectString: string): Fault['open'] {
  return async () => ({ registry: openAt(connectString, { digestAuth: `roster:${SECRET}` }) });
}

/** Something else in the place of ZooKeeper, for the time of one test. */
export function behind(serve: (socket: Socket) => void, over: Partial<ZooKeeperSettings> = {}): Fault['open'] {
  return async () => {
    const impostor: Server = createServer((socket) => serve(socket.on('error', () => {})));
    impostor.listen(0, '127.0.0.1');
    await once(impostor, 'listening');
    const { port } = impostor.address() as AddressInfo;
    return {
      registry: openAt(`127.0.0.1:${port}`, { digestAuth: `roster:${SECRET}`, ...over }),
      retire: async () => {
        impostor.close();
        await once(impostor, 'close');
      },
    };
  };
}
