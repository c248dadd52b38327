// A secret that nobody else could have written, in every credential of every type of registry: taken, refused, and sent to servers that repeat in their answers
// whatever they were sent. Nothing that the operator or a command gives out may hold it, in any form.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { roster } from '../cli/roster.ts';
import { openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { eventually } from './eventually.ts';
import { clusterRegistry, type Manifest, namespace, registration, secret, service, slice } from './objects.ts';
import { conditionOf } from './scenario.ts';
import { freshId, OPERATOR_NAMESPACE, openBareStage, testTraces } from './stage.ts';

const directory = await mkdtemp(join(tmpdir(), 'roster-canary-'));
after(() => rm(directory, { recursive: true, force: true }));
const [guarded, users, encrypted, logins, zooKeeper, stage] = await Promise.all([
  openConsul({ acl: true }),
  openEtcd({ fsync: false, auth: true }),
  openEtcd({ fsync: false, tls: true }),
  openNacos({ auth: true }),
  openZooKeeper({ fsync: false }),
  openBareStage({ args: ['--log-level=debug', '--credentials-directory', directory] }),
]);
for (const server of [guarded, users, encrypted, logins, zooKeeper]) after(() => server.stop());
const { cluster, kube, operator } = stage;
const id = freshId();
const ns = `canary-${id}`;

const canaries: string[] = [];
/** With characters that JSON, URLs and base64 write in other ways. */
function canary(): string {
  const one = `canary"\\/+&=ü-${randomBytes(12).toString('hex')}`;
  canaries.push(one);
  return one;
}
/** One that a server knows. */
const known = (one: string | undefined): string => {
  assert.ok(one);
  canaries.push(one);
  return one;
};

/** Every way in which a text may have got into another. Of base64 the middle, whatever stood before it. */
function formsOf(one: string): readonly string[] {
  const json = JSON.stringify(one).slice(1, -1);
  const bytes = Buffer.from(one);
  const shifted = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    return text.slice(Math.ceil((shift * 4) / 3) + (shift === 0 ? 0 : 1), -4);
  });
  const urlSafe = shifted.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const form = new URLSearchParams({ a: one }).toString().slice(2);
  const jsonOfJson = JSON.stringify(json).slice(1, -1);
  // The random part stands in each of them, but for base64 and hex.
  const random = /[0-9a-f]{24,}$|[0-9a-f-]{36}$/.exec(one)?.[0] ?? one;
  return [
    ...new Set([
      one,
      json,
      jsonOfJson,
      random,
      encodeURIComponent(one),
      form,
      bytes.toString('hex'),
      ...shifted,
      ...urlSafe,
    ]),
  ];
}

const found = (text: string): readonly string[] =>
  canaries.filter((one) => formsOf(one).some((form) => text.includes(form)));

const port = (server: Server): number => (server.address() as AddressInfo).port;
const listen = (server: Server): Promise<void> => {
  after(() => server.close());
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
};

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  return body;
}

let echoed = '';
/** Answers with this status, and says in its headers and body everything that it was told. */
async function openHttpEcho(status: number): Promise<string> {
  const server = createHttpServer(async (request, response) => {
    const said = JSON.stringify({ url: request.url, headers: request.rawHeaders, body: await bodyOf(request) });
    echoed += said;
    response.writeHead(status, `echo ${encodeURIComponent(said)}`, {
      'content-type': 'application/json',
      'x-echo': encodeURIComponent(said),
      location: `http://127.0.0.1:1/${encodeURIComponent(said)}`,
    });
    response.end(
      status === 200 ? JSON.stringify({ said, code: 500, message: said, data: said, accessToken: said }) : said,
    );
  });
  await listen(server);
  return `http://127.0.0.1:${port(server)}`;
}

/** Refuses each call with this status of gRPC, and says what it was told in the message of the status. */
async function openGrpcEcho(status: number): Promise<string> {
  const server = createHttp2Server();
  server.on('stream', (stream, headers) => {
    let body = '';
    stream.on('error', () => {});
    stream.setEncoding('latin1').on('data', (text: string) => {
      body += text;
    });
    stream.on('end', () => {
      const said = JSON.stringify({ headers, body: Buffer.from(body, 'latin1').toString('utf8') });
      echoed += said;
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': String(status),
          'grpc-message': encodeURIComponent(`etcdserver: ${said}`),
        },
        { endStream: true },
      );
    });
  });
  await listen(server);
  return `http://127.0.0.1:${port(server)}`;
}

/** Repeats every byte. */
async function openByteEcho(): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      echoed += bytes.toString('utf8');
      socket.write(bytes);
    });
  });
  await listen(server);
  return `127.0.0.1:${port(server)}`;
}

const ref = (name: string, key: string) => ({ namespace: OPERATOR_NAMESPACE, name, key });
interface Case {
  readonly name: string;
  readonly spec: (secretName: string) => object;
  readonly values: Readonly<Record<string, string>>;
  /** Instead of a Secret. */
  readonly files?: boolean;
}
const account = (name: string) => ({
  usernameSecretRef: ref(name, 'username'),
  passwordSecretRef: ref(name, 'password'),
});
const consulAt = (address: string) => (name: string) => ({
  type: 'Consul',
  consul: { address, tokenSecretRef: ref(name, 'token') },
});
const etcdAt = (endpoint: string) => (name: string) => ({
  type: 'Etcd',
  etcd: { endpoints: [endpoint], ...account(name) },
});
const nacosAt = (address: string, protocol: string) => (name: string) => ({
  type: 'Nacos',
  nacos: { addresses: [address], protocol, ...account(name) },
});
const zooAt = (connectString: string) => (name: string) => ({
  type: 'ZooKeeper',
  zookeeper: { connectString, digestAuthSecretRef: ref(name, 'digest') },
});
const tlsOf = (name: string) => ({
  caSecretRef: { namespace: OPERATOR_NAMESPACE, name },
  certSecretRef: { namespace: OPERATOR_NAMESPACE, name },
});
const etcdOverTls = (endpoint: string) => (name: string) => ({
  type: 'Etcd',
  etcd: { endpoints: [endpoint], tls: tlsOf(name) },
});
const consulOverTls = (address: string) => (name: string) => ({
  type: 'Consul',
  consul: { address, tls: tlsOf(name) },
});
const files = (block: object) => () => block;

const token = () => ({ token: canary().replaceAll(/["\\ü]/g, '') });
const wrong = () => ({ username: canary(), password: canary() });
const digest = () => ({ digest: `user:${known(randomUUID())}` });
/** The line of base64 that a key has of its own. */
const keyText = (pem: string): string => {
  known(pem.split('\n')[2]);
  return pem;
};

async function cases(): Promise<readonly Case[]> {
  const tls = encrypted.tls ?? assert.fail();
  const [ca, cert, key] = await Promise.all(
    [tls.caFile, tls.certFile, tls.keyFile].map((path) => readFile(path, 'utf8')),
  );
  const pair = {
    'ca.crt': `# ${canary()}\n${ca}`,
    'tls.crt': `# ${canary()}\n${cert}`,
    'tls.key': `# ${canary()}\n${keyText(key ?? '')}`,
  };
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const other = { ...pair, 'tls.key': keyText(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()) };
  const garbage = { 'ca.crt': canary(), 'tls.crt': canary(), 'tls.key': canary() };
  const http: Case[] = [];
  for (const status of [200, 302, 400, 401, 403, 404, 429, 500, 503]) {
    const address = await openHttpEcho(status);
    http.push(
      { name: `consul-echo-${status}`, spec: consulAt(address), values: token() },
      { name: `nacos-echo-${status}`, spec: nacosAt(address, 'Http'), values: wrong() },
    );
  }
  for (const status of [2, 3, 7, 8, 13, 14, 16]) {
    http.push({ name: `etcd-echo-${status}`, spec: etcdAt(await openGrpcEcho(status)), values: wrong() });
  }
  const bytes = await openByteEcho();
  return [
    ...http,
    { name: 'zookeeper-echo', spec: zooAt(bytes), values: digest() },
    { name: 'etcd-bytes', spec: etcdAt(`http://${bytes}`), values: wrong() },
    { name: 'consul-bytes', spec: consulAt(`http://${bytes}`), values: token() },
    { name: 'consul-right', spec: consulAt(guarded.address), values: { token: known(guarded.token) } },
    { name: 'consul-wrong', spec: consulAt(guarded.address), values: { token: known(randomUUID()) } },
    {
      name: 'etcd-right',
      spec: etcdAt(users.address),
      values: { username: 'root', password: known(users.root?.password) },
    },
    { name: 'etcd-wrong', spec: etcdAt(users.address), values: wrong() },
    { name: 'nacos-wrong', spec: nacosAt(logins.address, 'Http'), values: wrong() },
    { name: 'nacos-grpc-wrong', spec: nacosAt(logins.address, 'Grpc'), values: wrong() },
    { name: 'zookeeper-right', spec: zooAt(zooKeeper.address), values: digest() },
    { name: 'zookeeper-malformed', spec: zooAt(zooKeeper.address), values: { digest: canary() } },
    { name: 'tls-right', spec: etcdOverTls(encrypted.address), values: pair },
    { name: 'tls-other-key', spec: etcdOverTls(encrypted.address), values: other },
    { name: 'tls-garbage', spec: etcdOverTls(encrypted.address), values: garbage },
    { name: 'consul-tls-garbage', spec: consulOverTls(encrypted.address), values: garbage },
    { name: 'consul-tls', spec: consulOverTls(encrypted.address), values: pair },
    {
      name: 'file-right',
      files: true,
      spec: files({ type: 'Etcd', etcd: { endpoints: [users.address] } }),
      values: { username: 'root', password: known(users.root?.password) },
    },
    {
      name: 'file-wrong',
      files: true,
      spec: files({ type: 'Consul', consul: { address: guarded.address } }),
      values: token(),
    },
  ];
}

const REACHED = ['consul-right', 'etcd-right', 'zookeeper-right', 'tls-right', 'file-right'];
let all: readonly Case[];
let setUp = false;

before(async () => {
  all = await cases();
  const manifests: Manifest[] = [namespace(ns), service(ns, `web-${id}`), slice(ns, `web-${id}`, ['10.60.0.1'])];
  for (const { name, spec, values, files: fromFiles } of all) {
    if (fromFiles === true) {
      await mkdir(join(directory, name));
      for (const [key, value] of Object.entries(values)) await writeFile(join(directory, name, key), value);
    } else manifests.push(secret(OPERATOR_NAMESPACE, name, values));
    const more = fromFiles === true ? { credentialsDirectory: name } : {};
    manifests.push(
      clusterRegistry(name, { ...spec(name), ...more, timeouts: { connectSeconds: 2, requestSeconds: 3 } }),
      registration(ns, name, name, { serviceRef: { name: `web-${id}` }, name: `web-${id}-${name}` }),
    );
  }
  await cluster.apply(manifests);
  await eventually(
    'every registry has been tried',
    async () => {
      const objects = await kube.list('ClusterRegistry');
      const untold = objects.filter((object) => {
        const ready = conditionOf(object, 'Ready') ?? '';
        return REACHED.includes(object.metadata.name)
          ? ready !== 'True Ready'
          : ready === '' || /Progressing|True/.test(ready);
      });
      assert.deepEqual(
        untold.map((object) => [object.metadata.name, object.status?.conditions]),
        [],
      );
    },
    90_000,
  );
  setUp = true;
});

describe('a secret', () => {
  test('was sent to servers that repeated it', () => {
    assert.ok(setUp);
    const repeated = found(echoed);
    assert.ok(repeated.length >= 20, String(repeated.length));
  });

  test('is found wherever it is planted, in each of its forms', () => {
    for (const one of canaries) {
      for (const text of [
        one,
        JSON.stringify({ one }),
        JSON.stringify(JSON.stringify({ one })),
        encodeURIComponent(one),
        new URLSearchParams({ one }).toString(),
        Buffer.from(one).toString('base64'),
        Buffer.from(`user:${one}`).toString('base64'),
        Buffer.from(`a:${one}`).toString('base64url'),
        Buffer.from(one).toString('hex'),
      ]) {
        assert.ok(found(`before ${text} after`).includes(one), text);
      }
    }
    assert.deepEqual(found('before after'), []);
  });

  test('is in no line of the log', async () => {
    const output = await operator.output();
    assert.match(output, /"msg":"roster started"/);
    assert.deepEqual(found(output), []);
  });

  test('is in no status and no event', async () => {
    const kinds = ['ClusterRegistry', 'ServiceRegistration', 'Event'] as const;
    const lists = await Promise.all(kinds.map((kind) => kube.list(kind)));
    for (const list of lists) assert.ok(list.length > 10);
    const told = lists.flat().map(({ spec: _, metadata, ...rest }) => [metadata.name, rest]);
    assert.deepEqual(found(JSON.stringify(told)), []);
  });

  test('is on no page and in no metric', async () => {
    for (const path of ['/', '/metrics', '/readyz', '/livez', ...all.map(({ name }) => `/registries/${name}`)]) {
      const { text } = await operator.get(path);
      assert.ok(text.length > 0, path);
      assert.deepEqual(found(text), [], path);
    }
  });

  for (const command of [['plan'], ['diff'], ['status'], ['explain', `${ns}/web-${id}`]]) {
    for (const output of [[], ['-o', 'wide'], ['-o', 'json'], ['-o', 'yaml']]) {
      test(`is in nothing that ${[command[0], ...output].join(' ')} prints`, async () => {
        const named = command[0] === 'status' ? [] : ['--cluster-name', stage.clusterName];
        const { stdout, stderr } = await roster([
          ...command,
          ...output,
          ...named,
          '-n',
          ns,
          '--kubeconfig',
          cluster.kubeconfig,
        ]);
        assert.match(stdout, /echo-500/, stderr);
        assert.deepEqual(found(stdout + stderr), []);
      });
    }
  }
});

testTraces(stage);
