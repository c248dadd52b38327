import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type KubeClient, KubeError, openKubeClient } from '../../src/kubernetes/client.ts';
import { sharedControlPlane } from '../servers/shared.ts';
import { until } from './reflection.ts';
import { json, kubeconfigFor, type Script, scriptedServer, statusObject, watch } from './scripted-server.ts';

const never = new AbortController().signal;
const path = '/api/v1/namespaces/shop/services/web';

async function scripted(t: TestContext, script: Script) {
  const server = await scriptedServer(script);
  const client = await openKubeClient({ kubeconfig: server.kubeconfig });
  t.after(async () => {
    await client.close();
    await server.close();
  });
  return { server, client };
}

async function failure(request: Promise<unknown>): Promise<KubeError> {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KubeError, String(error));
  return error;
}

const get = (client: KubeClient, more: object = {}) => client.request({ method: 'GET', path, signal: never, ...more });

describe('the client of the API server', () => {
  it('sends query, body and credentials, and gives the answer as JSON', async (t) => {
    const { server, client } = await scripted(t, { write: [json({ made: true }, 201)] });
    const answer = await client.request({ method: 'POST', path, query: { a: 'b c' }, body: { x: 1 }, signal: never });
    assert.deepEqual(answer, { made: true });
    const [seen] = server.requests;
    assert.equal(seen?.query.get('a'), 'b c');
    assert.equal(seen?.body, '{"x":1}');
    assert.equal(seen?.headers.authorization, 'Bearer secret-of-the-test');
    assert.equal(seen?.headers['content-type'], 'application/json');
    assert.equal(client.namespace, 'shop');
  });

  it('gives a refusal with status, reason, object and the time to wait', async (t) => {
    const details = { name: 'web', kind: 'services', retryAfterSeconds: 7 };
    const { client } = await scripted(t, {
      get: [
        json(statusObject(404, 'NotFound', details), 404),
        json(statusObject(429, 'TooManyRequests'), 429, { 'retry-after': '3' }),
        (response) => response.writeHead(502).end('<html>secret-of-the-proxy</html>'),
        (response) => response.end('not JSON: secret-of-the-proxy'),
      ],
    });
    const refused = [];
    for (let i = 0; i < 4; i++) refused.push(await failure(get(client)));
    assert.deepEqual(
      refused.map(({ status, reason, objectName, retryAfterMs }) => [status, reason, objectName, retryAfterMs]),
      [
        [404, 'NotFound', 'web', 7000],
        [429, 'TooManyRequests', undefined, 3000],
        [502, 'Unknown', undefined, undefined],
        [0, 'Malformed', undefined, undefined],
      ],
    );
    for (const { message } of refused) {
      assert.match(message, /^GET \/api\/v1\/namespaces\/shop\/services\/web: /);
      assert.doesNotMatch(message, /secret/);
    }
  });

  it('tells no answer in time from an abort by the caller', async (t) => {
    const { client } = await scripted(t, { get: [() => {}], watch: [() => {}] });
    const late = await failure(get(client, { timeoutMs: 50 }));
    assert.deepEqual([late.status, late.reason], [0, 'Timeout']);
    const lateStream = await failure(
      client.stream({ method: 'GET', path, query: { watch: 'true' }, signal: never, timeoutMs: 50 }),
    );
    assert.deepEqual([lateStream.status, lateStream.reason], [0, 'Timeout']);

    const controller = new AbortController();
    const aborted = get(client, { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(aborted, reason);
    await assert.rejects(get(client, { signal: controller.signal }), reason);
  });

  it('lets a caller abort a stream that is open', async (t) => {
    const { client } = await scripted(t, { watch: [watch(['one\n'])] });
    const controller = new AbortController();
    const stream = await client.stream({ method: 'GET', path, query: { watch: 'true' }, signal: controller.signal });
    const chunks: string[] = [];
    const reading = (async () => {
      for await (const chunk of stream) chunks.push(Buffer.from(chunk).toString());
    })();
    await until(() => chunks.length > 0, 'the first bytes');
    controller.abort();
    await assert.rejects(reading);
    assert.deepEqual(chunks, ['one\n']);
  });

  it('says that nobody answers, without a word about credentials', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const directory = await mkdtemp(join(tmpdir(), 'roster-client-'));
    await writeFile(join(directory, 'config'), kubeconfigFor(`http://127.0.0.1:${port}`));
    const client = await openKubeClient({ kubeconfig: join(directory, 'config') });
    const refused = await failure(get(client));
    assert.deepEqual([refused.status, refused.reason], [0, 'Unreachable']);
    assert.match(refused.message, /no answer from the API server \(ECONNREFUSED\)/);
    await client.close();
    assert.equal((await failure(get(client))).message, 'the client is closed');
    await rm(directory, { recursive: true });
  });

  it('takes a few connections for many calls, and watches take none of these away', async (t) => {
    let connections = 0;
    const server = createHttpServer((request, response) => {
      response.writeHead(200);
      if (request.url?.includes('watch')) response.flushHeaders();
      else setTimeout(() => response.end('{}'), 5);
    });
    server.on('connection', () => {
      connections++;
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const directory = await mkdtemp(join(tmpdir(), 'roster-client-'));
    await writeFile(
      join(directory, 'config'),
      kubeconfigFor(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
    const client = await openKubeClient({ kubeconfig: join(directory, 'config') });
    t.after(async () => {
      await client.close();
      server.closeAllConnections();
      server.close();
      await rm(directory, { recursive: true });
    });
    for (let i = 0; i < 12; i++) await client.stream({ method: 'GET', path, query: { watch: 'true' }, signal: never });
    assert.equal(connections, 12);
    await Promise.all(Array.from({ length: 200 }, () => get(client)));
    for (let i = 0; i < 50; i++) await get(client);
    assert.ok(connections <= 12 + 8, `${connections} connections`);
  });

  it('reads the kubeconfig again when it is refused, so a rotated token needs no restart', async (t) => {
    const accepted = { token: 'old' };
    const check: NonNullable<Script['get']>[number] = (response, seen) =>
      seen.headers.authorization === `Bearer ${accepted.token}`
        ? json({})(response, seen)
        : json(statusObject(401, 'Unauthorized'), 401)(response, seen);
    const { server } = await scripted(t, { get: [check], watch: [check] });
    const url = `http://127.0.0.1:${server.port}`;
    await writeFile(server.kubeconfig, kubeconfigFor(url, { token: 'old' }));
    const client = await openKubeClient({ kubeconfig: server.kubeconfig });
    await get(client);
    accepted.token = 'new';
    assert.equal((await failure(get(client))).status, 401);
    await writeFile(server.kubeconfig, kubeconfigFor(url, { token: 'new' }));
    await get(client);
    await client.stream({ method: 'GET', path, query: { watch: 'true' }, signal: never });
    await client.close();
  });

  it('sends user name and password where the kubeconfig has these', async (t) => {
    const { server } = await scripted(t, { get: [json({})] });
    await writeFile(
      server.kubeconfig,
      kubeconfigFor(`http://127.0.0.1:${server.port}`, { username: 'u', password: 'p' }),
    );
    const client = await openKubeClient({ kubeconfig: server.kubeconfig });
    await get(client);
    assert.equal(server.requests[0]?.headers.authorization, `Basic ${Buffer.from('u:p').toString('base64')}`);
    await client.close();
  });

  it('names what is wrong with the choice of a cluster', async (t) => {
    const { server } = await scripted(t, {});
    const open = (choice: Parameters<typeof openKubeClient>[0]) => openKubeClient(choice);
    await assert.rejects(open({ kubeconfig: server.kubeconfig, context: 'prod' }), /no context "prod": it has test/);
    await assert.rejects(open({ kubeconfig: '/nowhere/config' }), /nowhere/);
    const plain = JSON.parse(kubeconfigFor('http://127.0.0.1:1'));
    plain.clusters[0].cluster['insecure-skip-tls-verify'] = false;
    await writeFile(server.kubeconfig, JSON.stringify(plain));
    await assert.rejects(open({ kubeconfig: server.kubeconfig }), /is not encrypted: use https/);
    plain['current-context'] = '';
    await writeFile(server.kubeconfig, JSON.stringify(plain));
    await assert.rejects(open({ kubeconfig: server.kubeconfig }), /names no cluster/);
  });
});

describe('the client and a real API server', async () => {
  const cluster = await sharedControlPlane();
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'roster-client-'));
  });
  after(() => rm(directory, { recursive: true }));

  const config = async (change: (cluster: Record<string, unknown>) => void) => {
    const kubeconfig = JSON.parse(await readFile(cluster.kubeconfig, 'utf8'));
    change(kubeconfig.clusters[0].cluster);
    const file = join(directory, 'config');
    await writeFile(file, JSON.stringify(kubeconfig));
    return file;
  };
  const version = (client: KubeClient) => client.request({ method: 'GET', path: '/version', signal: never });

  it('checks its certificate, and takes a new CA as soon as the file holds it', async () => {
    const caFile = join(directory, 'ca.crt');
    // A certificate of another server: well-formed, and wrong.
    await writeFile(caFile, await readFile(join(dirname(cluster.caFile), 'kube-controller-manager.crt')));
    const kubeconfig = await config((entry) => {
      delete entry['certificate-authority-data'];
      entry['certificate-authority'] = caFile;
    });
    const client = await openKubeClient({ kubeconfig, refreshMs: 20 });
    const refused = await failure(version(client));
    assert.deepEqual([refused.status, refused.reason], [0, 'Unreachable']);
    assert.match(refused.message, /SELF_SIGNED|UNABLE_TO|CERT/);
    await writeFile(caFile, await readFile(cluster.caFile));
    await until(
      () =>
        version(client).then(
          () => true,
          () => false,
        ),
      'the new CA to be used',
    );
    await client.close();
  });

  it('is reached through an HTTP proxy where the kubeconfig names one', async () => {
    const tunnelled: (string | undefined)[] = [];
    const proxy = createHttpServer().listen(0, '127.0.0.1');
    proxy.on('connect', (request, inbound, head) => {
      tunnelled.push(request.url);
      const target = new URL(`http://${request.url}`);
      const outbound = connect(Number(target.port), target.hostname, () => {
        inbound.write('HTTP/1.1 200 OK\r\n\r\n');
        outbound.write(head);
        inbound.pipe(outbound).pipe(inbound);
      });
      for (const socket of [inbound, outbound]) socket.on('error', () => {});
    });
    await once(proxy, 'listening');
    const { port } = proxy.address() as AddressInfo;
    const client = await openKubeClient({
      kubeconfig: await config((entry) => (entry['proxy-url'] = `http://127.0.0.1:${port}`)),
    });
    await version(client);
    await client.close();
    proxy.close();
    assert.deepEqual(tunnelled, [new URL(cluster.url).host]);
  });

  it('is reached through a SOCKS proxy where the kubeconfig names one', async () => {
    let tunnels = 0;
    // As much of SOCKS 5 as one client without a password needs.
    const proxy = createServer((inbound) => {
      inbound.on('error', () => {});
      inbound.once('data', () => {
        inbound.write(Buffer.from([5, 0]));
        inbound.once('data', (request) => {
          tunnels++;
          const outbound = connect(request.readUInt16BE(request.length - 2), '127.0.0.1', () => {
            inbound.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
            inbound.pipe(outbound).pipe(inbound);
          });
          outbound.on('error', () => {});
        });
      });
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = proxy.address() as AddressInfo;
    const client = await openKubeClient({
      kubeconfig: await config((entry) => (entry['proxy-url'] = `socks5://127.0.0.1:${port}`)),
    });
    await version(client);
    await client.close();
    proxy.close();
    assert.equal(tunnels, 1);
  });
});
