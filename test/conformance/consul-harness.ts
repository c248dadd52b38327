import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { after } from 'node:test';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import type { Health, Instance } from '../../src/mirror/instance.ts';
import { type ConsulSettings, openConsulRegistry } from '../../src/registries/consul/consul.ts';
import { openTcpLink } from '../links/tcp-link.ts';
import type { Consul } from '../servers/consul.ts';
import { type Fault, type Harness, type Intruder, SECRET, type Stranger } from './harness.ts';

/** As the operator opens it by default, with the differences that a test wants. */
export function openAt(address: string | readonly string[], over: Partial<ConsulSettings> = {}) {
  const addresses = typeof address === 'string' ? [address] : address;
  return openConsulRegistry({
    addresses,
    prefix: '',
    healthChecks: true,
    ttlMs: 180_000,
    leasesAll: false,
    connectMs: 5_000,
    requestMs: 10_000,
    ...over,
  });
}

/** Connections are disturbed between the adapter and `server`; the server itself is left in peace, since others use it. */
export async function consulHarness(server: Consul): Promise<Harness> {
  const link = await openTcpLink(Number(new URL(server.address).port));
  after(() => link.close());
  const throughLink = `http://127.0.0.1:${link.port}`;
  return {
    name: 'Consul',
    open: () => openAt(server.address),
    openWith: (secret) => openAt(server.address, { token: secret }),
    peek: (cluster) => peek(server, cluster),
    revision: (cluster) => revision(server, cluster),
    intruder: intruderOf(server),
    claimOf: async (cluster) => (await claimsOf(server, cluster))[0]?.Meta['roster-claimed-by'],
    dropClaim: async (cluster) => removeNodes(server, await claimsOf(server, cluster)),
    sweep: (cluster) => sweep(server, cluster),
    // Longer than the server takes.
    spoil: (instance) => ({ ...instance, metadata: { ...instance.metadata, long: 'x'.repeat(513) } }),
    refuses: new Map([
      ['port 65536', /65535/],
      ['the address 0.0.0.0', /every address/],
      ['the address ::', /every address/],
      ['a tag of half a character', /Unicode/],
      ['a metadata value of 513 bytes', /512 bytes/],
      ['a metadata value of half a character', /Unicode/],
      ['a metadata key of 129 characters', /128/],
      ['an empty metadata key', /1 to 128/],
      ['a metadata key with a space', /letters, digits, dashes and underscores/],
      ['a metadata key in Greek', /letters, digits, dashes and underscores/],
      ['two keys that differ in a dot', /would both be "a-b"/],
      ['a key that is our mark', /reserved/],
      ['a key that is our mark once rewritten', /reserved/],
      ['a key of Consul', /belongs to Consul/],
      ['59 metadata pairs', /58/],
      ['a name of 64 characters', /1 to 63/],
      ['an empty name', /1 to 63/],
      ['a name with a dot', /letters, digits and dashes/],
      ['a name with a slash', /letters, digits and dashes/],
      ['a name with a space', /letters, digits and dashes/],
      ['a name in Greek', /letters, digits and dashes/],
      ['a name that ends in a dash', /no dash at either end/],
      ['a name with a placeholder', /letters, digits and dashes/],
    ]),
    // Longer than any test waits for an abort.
    link: { ...link, open: () => openAt(throughLink, { requestMs: 60_000 }) },
    faults: faultsAt(server),
    leasing: {
      open: () => openAt(server.address, { ttlMs: LEASE_SECONDS * 1_000 }),
      config: leasingConfig(server.address),
      secrets: {},
      // Consul ends a session by a timer of its own, and one write.
      vanishesWithinMs: LEASE_SECONDS * 1_000 + 1_000,
    },
  };
}

/** Three times what a client of a busy machine may be late. */
const LEASE_SECONDS = 6;

const leasingConfig = (address: string): RegistryConfig => ({
  type: 'Consul',
  consul: { address, prefix: '', ttlSeconds: LEASE_SECONDS, healthChecks: true },
  timeouts: { connectSeconds: 5, requestSeconds: 10 },
  audit: { intervalSeconds: 60 },
  deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
  allowUnmanagedEndpoints: false,
});

async function get(server: Consul, path: string) {
  const { status, body } = await server.request('GET', `/v1${path}`);
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
  return body;
}

async function put(server: Consul, path: string, content: unknown): Promise<void> {
  const { status, body } = await server.request('PUT', `/v1${path}`, content);
  if (status !== 200) throw new Error(`PUT ${path}: ${status} ${JSON.stringify(body)}`);
}

// biome-ignore lint/suspicious/noExplicitAny: answers of Consul, as they are.
type Raw = any;

async function rawOf(server: Consul, cluster: string): Promise<{ services: Raw[]; checks: Raw[]; nodes: Raw[] }> {
  const ours = `node-meta=managed-by:roster&node-meta=roster-cluster:${encodeURIComponent(cluster)}`;
  const nodes: Raw[] = await get(server, `/catalog/nodes?consistent&${ours}`);
  const contents: Raw[] = [];
  for (const { Node } of nodes) contents.push(await get(server, `/catalog/node/${Node}?consistent`));
  const services = contents.flatMap(({ Node, Services }) =>
    Object.values<Raw>(Services).map((service) => ({ ...service, node: Node.Node })),
  );
  const checks: Raw[] = await get(server, `/health/state/any?consistent&${ours}`);
  return { nodes, services, checks };
}

const marks = [
  'managed-by',
  'roster-cluster',
  'roster-owner',
  'roster-registration',
  'roster-retained',
  'roster-weight',
];

/** Of a node: while it is critical, so are all entries there, and nobody gets them. */
const isLease = ({ CheckID, ServiceID }: Raw): boolean => CheckID === 'roster-lease' && ServiceID === '';

async function peek(server: Consul, cluster: string): Promise<readonly Instance[]> {
  const { services, checks } = await rawOf(server, cluster);
  const lapsed = new Set(checks.filter(isLease).flatMap(({ Node, Status }) => (Status === 'passing' ? [] : [Node])));
  const ours = services.filter(
    ({ node, Meta }) => Meta['managed-by'] === 'roster' && Meta['roster-cluster'] === cluster && !lapsed.has(node),
  );
  return ours.map(({ node, ID, Service, Address, Port, Tags, Meta, Weights }): Instance => {
    const check = checks.find(({ Node, ServiceID }) => Node === node && ServiceID === ID);
    const statuses: Record<string, Health> = { warning: 'draining', critical: 'unhealthy' };
    const weightless = Meta['roster-weight'] === '0' && check !== undefined;
    const byWeight = weightless && check.Status === 'warning' && /weight is 0/.test(check.Output);
    return {
      id: ID,
      service: Service,
      address: Address,
      port: Port,
      health: byWeight ? 'healthy' : (statuses[check?.Status] ?? 'healthy'),
      liveness: checks.some((one) => isLease(one) && one.Node === node) ? 'leased' : 'persistent',
      weight: weightless ? 0 : Weights.Passing,
      tags: Tags,
      metadata: Object.fromEntries(Object.entries<string>(Meta).filter(([key]) => !marks.includes(key))),
      marks: {
        cluster: Meta['roster-cluster'],
        owner: Meta['roster-owner'],
        registration: Meta['roster-registration'],
        retained: Meta['roster-retained'] === 'true',
      },
    };
  });
}

async function revision(server: Consul, cluster: string): Promise<string> {
  const { nodes, services, checks } = await rawOf(server, cluster);
  const indexes = [...nodes, ...services, ...checks].map(
    ({ Node, ID, CheckID, ModifyIndex }) => `${CheckID ?? ID ?? ''} ${Node ?? ''} ${ModifyIndex}`,
  );
  return indexes.sort().join('\n');
}

async function sweep(server: Consul, cluster: string): Promise<void> {
  const ours = await get(server, `/catalog/nodes?node-meta=roster-cluster:${encodeURIComponent(cluster)}`);
  const strangers = await get(
    server,
    `/catalog/nodes?filter=${encodeURIComponent(`Node matches "^stranger-${cluster}"`)}`,
  );
  await removeNodes(server, [...ours, ...strangers, ...(await claimsOf(server, cluster))]);
}

/** The node that says who writes for a cluster. */
const claimsOf = (server: Consul, cluster: string): Promise<Raw[]> =>
  get(server, `/catalog/nodes?consistent&node-meta=roster-claim:${encodeURIComponent(cluster)}`);

async function removeNodes(server: Consul, nodes: readonly Raw[]): Promise<void> {
  const operations = nodes.map(({ Node }) => ({ Node: { Verb: 'delete', Node: { Node } } }));
  while (operations.length > 0) await put(server, '/txn', operations.splice(0, 128));
}

function intruderOf(server: Consul): Intruder {
  const find = async ({ id, service }: Instance): Promise<Raw | undefined> => {
    const found: Raw[] = await get(server, `/catalog/service/${service}?consistent`);
    return found.find(({ ServiceID }) => ServiceID === id);
  };
  // A second intruder may have been there before.
  const stands = async (instance: Instance) => (await find(instance)) !== undefined;
  const locate = async (instance: Instance): Promise<Raw> => {
    const { id } = instance;
    const entry = await find(instance);
    if (entry === undefined) throw new Error(`${id} is not in Consul`);
    return entry;
  };
  const register = (node: string, address: string, service: object) =>
    put(server, '/catalog/register', { Node: node, Address: address, SkipNodeUpdate: true, Service: service });
  const watchOver = async (node: string, id: string): Promise<Stranger> => {
    const read = async () => JSON.stringify((await get(server, `/catalog/node/${node}?consistent`))?.Services[id]);
    const before = await read();
    return { isIntact: async () => before !== undefined && (await read()) === before };
  };
  return {
    async addStranger(service) {
      const node = `stranger-${service}`;
      const entry = {
        ID: 'theirs',
        Service: service,
        Address: '10.9.9.9',
        Port: 9,
        Meta: { by: 'hand' },
        Tags: ['theirs'],
      };
      await register(node, '10.9.9.1', entry);
      return watchOver(node, 'theirs');
    },
    async takeOver(instance) {
      const { Node, Address } = await locate(instance);
      await register(Node, Address, {
        ID: instance.id,
        Service: instance.service,
        Address: '10.9.9.9',
        Port: 9,
        Meta: { by: 'hand' },
      });
      return watchOver(Node, instance.id);
    },
    async setPort(instance, port) {
      if (!(await stands(instance))) return;
      const { Node, Address, ServiceID, ServiceName, ServiceAddress, ServiceTags, ServiceMeta, ServiceWeights } =
        await locate(instance);
      await register(Node, Address, {
        ID: ServiceID,
        Service: ServiceName,
        Address: ServiceAddress,
        Port: port,
        Tags: ServiceTags,
        Meta: ServiceMeta,
        Weights: ServiceWeights,
      });
    },
    async remove(instance) {
      if (!(await stands(instance))) return;
      const { Node } = await locate(instance);
      await put(server, '/catalog/deregister', { Node, ServiceID: instance.id });
    },
  };
}

function faultsAt(server: Consul): readonly Fault[] {
  const port = new URL(server.address).port;
  const at =
    (over: Partial<ConsulSettings>, address = server.address) =>
    async () => ({
      registry: openAt(address, { token: SECRET, ...over }),
    });
  const answering = (status: number, body: string, headers: Record<string, string> = {}): Fault['open'] =>
    behind(
      createServer((request, response) => {
        request.resume().on('end', () => response.writeHead(status, headers).end(body));
      }),
    );
  const text = { 'content-type': 'text/plain' };
  const json = { 'content-type': 'application/json' };
  return [
    { name: 'no server on the port', code: 'unreachable', ambiguous: false, open: at({}, 'http://127.0.0.1:9') },
    {
      name: 'a host that has no address',
      code: 'unreachable',
      ambiguous: false,
      open: at({}, 'http://consul.invalid:8500'),
    },
    {
      name: 'a server that accepts and says nothing',
      code: 'timeout',
      ambiguous: true,
      open: behind(
        createTcpServer((socket) => void socket.on('error', () => {}).resume()),
        { requestMs: 300 },
      ),
    },
    {
      name: 'a server that never says a word of TLS',
      code: 'unreachable',
      ambiguous: false,
      open: behind(
        createTcpServer((socket) => void socket.on('error', () => {}).resume()),
        { connectMs: 300 },
        'https',
      ),
    },
    {
      name: 'a server that hangs up',
      code: 'unreachable',
      ambiguous: true,
      open: behind(createTcpServer((socket) => void socket.on('error', () => {}).once('data', () => socket.destroy()))),
    },
    {
      name: 'a connection that breaks in the middle of the answer',
      code: 'unreachable',
      ambiguous: true,
      // A time-out would come later than the deadline of the test run.
      open: behind(
        createServer((request, response) => {
          const begin = () =>
            response.writeHead(200, { ...json, 'content-length': '1000' }).write('[', () => response.destroy());
          request.resume().on('end', begin);
        }),
        { requestMs: 3_600_000 },
      ),
    },
    {
      name: 'TLS to a server without it',
      code: 'protocol',
      ambiguous: false,
      open: at({}, `https://127.0.0.1:${port}`),
    },
    {
      name: 'a server that does not speak HTTP',
      code: 'protocol',
      ambiguous: true,
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
      name: 'a web page',
      code: 'protocol',
      ambiguous: true,
      open: answering(200, `<html>${SECRET}</html>`, { 'content-type': 'text/html' }),
    },
    {
      name: 'JSON of something else',
      code: 'protocol',
      ambiguous: true,
      open: answering(200, `{"${SECRET}":1}`, json),
      operations: ['check', 'list', 'discover'],
    },
    { name: 'an empty answer', code: 'protocol', ambiguous: true, open: answering(200, '') },
    { name: 'JSON that ends too early', code: 'protocol', ambiguous: true, open: answering(200, `[{"${SECRET}`, json) },
    { name: 'an API without such a path', code: 'protocol', ambiguous: true, open: answering(404, SECRET, text) },
    {
      name: 'a redirection',
      code: 'protocol',
      ambiguous: true,
      open: answering(302, SECRET, { location: `/${SECRET}` }),
    },
    {
      name: 'a server that wants credentials',
      code: 'unauthorized',
      ambiguous: false,
      open: answering(401, SECRET, text),
    },
    {
      name: 'an unknown token',
      code: 'unauthorized',
      ambiguous: false,
      open: answering(403, `ACL not found ${SECRET}`, text),
    },
    {
      name: 'a token without rights',
      code: 'forbidden',
      ambiguous: false,
      open: answering(403, `Permission denied: ${SECRET}`, text),
    },
    {
      name: 'a server that takes less at once',
      code: 'too-large',
      ambiguous: false,
      open: answering(413, SECRET, text),
    },
    {
      name: 'a server that takes no more for now',
      code: 'rate-limited',
      ambiguous: false,
      retryAfterMs: 2_000,
      open: answering(429, SECRET, { ...text, 'retry-after': '2' }),
    },
    {
      name: 'a cluster without a leader',
      code: 'unavailable',
      ambiguous: true,
      open: answering(500, `No cluster leader ${SECRET}`, text),
    },
    { name: 'a proxy without a server', code: 'unavailable', ambiguous: true, open: answering(503, SECRET, text) },
    {
      name: 'a datacenter that does not exist',
      code: 'not-found',
      ambiguous: false,
      open: at({ datacenter: 'nowhere' }),
    },
    {
      name: 'a namespace, without Enterprise',
      code: 'not-found',
      ambiguous: false,
      open: at({ namespace: 'shop' }),
    },
    {
      name: 'a partition, without Enterprise',
      code: 'not-found',
      ambiguous: false,
      open: at({ partition: 'shop' }),
    },
  ];
}

/** Something else in the place of Consul, for the time of one test. */
function behind(impostor: Server, over: Partial<ConsulSettings> = {}, scheme = 'http'): Fault['open'] {
  return async () => {
    impostor.listen(0, '127.0.0.1');
    await once(impostor, 'listening');
    const { port } = impostor.address() as AddressInfo;
    return {
      registry: openAt(`${scheme}://127.0.0.1:${port}`, { token: SECRET, ...over }),
      retire: async () => {
        impostor.close();
        await once(impostor, 'close');
      },
    };
  };
}
