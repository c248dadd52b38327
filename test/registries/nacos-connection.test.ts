import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ServerCredentials } from '@grpc/grpc-js';
import { sameInstance } from '../../src/mirror/instance.ts';
import { assertOk, assertSame, failureOf, never } from '../conformance/expectations.ts';
import { register, sampleOf } from '../conformance/samples.ts';
import { makeCertificates } from '../servers/consul.ts';
import { until } from '../servers/until.ts';
import { ensureTools } from '../tools/build.ts';
import { CLUSTER, closeAfterTest, fakeHttp, leased, open, SHORT_MS, serve, WEB } from './nacos-scripted-registry.ts';

describe('a connection to Nacos', () => {
  it('is announced as one of the naming module, and used when the server has registered it', async () => {
    const server = await serve();
    await open([server]).check(never);
    const types = server.asked.map(({ type }) => type);
    assert.deepEqual(types.slice(0, 2), ['ServerCheckRequest', 'ConnectionSetupRequest']);
    const setup = server.asked.find(({ type }) => type === 'ConnectionSetupRequest');
    assert.deepEqual(setup?.body['labels'], { source: 'sdk', module: 'naming', AppName: 'roster' });
    // The server would have answered 301 to what came before.
    assert.ok(types.includes('HealthCheckRequest'));
    assert.equal(types.at(-1), 'ServiceListRequest');
  });

  it('answers whether it is there, and acknowledges what it is told', async () => {
    const server = await serve();
    const registry = open([server]);
    await registry.check(never);
    server.push('ClientDetectionRequest', { requestId: 'd7' });
    server.push('NotifySubscriberRequest', {
      requestId: 'n8',
      groupName: 'DEFAULT_GROUP',
      serviceName: 'x',
      serviceInfo: { hosts: [] },
    });
    server.push('SetupAckRequest', { requestId: 's9' });
    const answers = await until('both answers', async () =>
      server.pushAnswers.length >= 2 ? server.pushAnswers : undefined,
    );
    assert.deepEqual(
      answers.map(({ type, body }) => [type, JSON.parse(body).requestId, JSON.parse(body).resultCode]),
      [
        ['ClientDetectionResponse', 'd7', 200],
        ['NotifySubscriberResponse', 'n8', 200],
      ],
    );
  });

  it('is made to the next server when the first does not answer, and stays there', async () => {
    const [first, second] = [await serve(), await serve()];
    first.close();
    const registry = open([first, second]);
    await registry.check(never);
    await registry.check(never);
    assert.equal(second.connections(), 1);
    assert.equal(second.asked.filter(({ type }) => type === 'ConnectionSetupRequest').length, 1);
  });

  it('is made anew when the server has forgotten it, without the caller seeing that', async () => {
    const server = await serve();
    const registry = open([server]);
    assertOk(await registry.apply([register(leased(1))], never));
    server.forget();
    assertSame(await registry.list(CLUSTER, never), []);
    assertOk(await registry.apply([register(leased(2))], never));
    await until('both entries', async () => (server.hosts(WEB).length === 2 ? true : undefined));
  });

  it('that falls silent is given up by the health check that follows a time-out, and leads to the next server', async () => {
    const [first, second] = [await serve(), await serve()];
    const registry = open([first, second], fakeHttp(), { requestMs: SHORT_MS, connectMs: SHORT_MS });
    await registry.check(never);
    first.fallSilent(true);
    assert.equal((await failureOf(registry.check(never))).code, 'timeout');
    await until('the second server to be used', async () => registry.check(never).catch(() => undefined));
    assert.equal(second.connections(), 1);
  });

  it('ends with close: nothing is left open, and what is under way says closed', async () => {
    const server = await serve();
    const registry = open([server]);
    assertOk(await registry.apply([register(leased(1))], never));
    server.fallSilent(true);
    const list = failureOf(registry.list(CLUSTER, never));
    await registry.close();
    assert.equal((await list).code, 'closed');
    await until('no connection', async () => (server.connections() === 0 ? true : undefined));
  });

  it('rejects what the server answers in words that it does not understand', async () => {
    const server = await serve();
    const registry = open([server]);
    for (const [errorCode, code] of [
      [300, 'unavailable'],
      [403, 'unauthorized'],
      [500, 'unavailable'],
      [503, 'rate-limited'],
      [302, 'unsupported'],
    ] as const) {
      server.refuse(({ type }) => (type === 'ServiceListRequest' ? { errorCode, message: 'xyzzy' } : undefined));
      const failure = await failureOf(registry.check(never));
      assert.equal(failure.code, code);
      assert.doesNotMatch(failure.message, /xyzzy/);
    }
  });
});

describe('the login', () => {
  it('is sent with every request, and renewed once when the server does not know it any more', async () => {
    const server = await serve();
    const given: (string | undefined)[] = [];
    let token = 'one';
    const registry = open(
      [server],
      fakeHttp({
        token: async (_signal, stale?: string) => {
          given.push(stale);
          if (stale === token) token = 'two';
          return token;
        },
      }),
    );
    server.demand('one');
    await registry.check(never);
    server.demand('two');
    assertOk(await registry.apply([register(leased(1))], never));
    assert.ok(given.includes('one'));
    server.demand('three');
    assert.equal((await failureOf(registry.check(never))).code, 'unauthorized');
  });
});

describe('the choice of the protocol', () => {
  const instance = sampleOf(CLUSTER);

  it('is gRPC where it is spoken, HTTP where only that answers, and the error of gRPC where none does', async () => {
    const server = await serve();
    const seen: string[] = [];
    const http = fakeHttp({
      serviceNames: async () => {
        seen.push('names');
        return [];
      },
    });
    await open([server], http, { protocol: 'Auto' }).list(CLUSTER, never);
    assert.deepEqual(seen, []);
    server.close();
    await open([server], http, { protocol: 'Auto' }).list(CLUSTER, never);
    assert.deepEqual(seen, ['names']);
    const down = fakeHttp({ version: () => Promise.reject(new Error('down')) });
    assert.equal(
      (await failureOf(open([server], down, { protocol: 'Auto' }).list(CLUSTER, never))).code,
      'unreachable',
    );
  });

  it('over HTTP alone there are neither leased entries nor a watch', async () => {
    const http = fakeHttp();
    const registry = open([await serve()], http, { protocol: 'Http' });
    assert.deepEqual(registry.capabilities, { batchSize: 256, leased: false, watch: false, kv: false, fenced: false });
    const refused = registry.normalise(leased(1));
    assert.ok(!refused.ok);
    assert.match(refused.message, /protocol/);
    assert.equal((await failureOf(registry.watch({ service: WEB }, () => {}, never))).code, 'unsupported');
    assertOk(await registry.apply([register(instance)], never));
    assert.equal(http.calls.length, 2);
  });
});

describe('TLS', () => {
  it('carries the connection, which the certificate of another authority does not', async () => {
    const { consul } = await ensureTools(['consul']);
    const directory = await mkdtemp(join(tmpdir(), 'roster-nacos-tls-'));
    closeAfterTest({ close: () => rm(directory, { recursive: true }) });
    const files = await makeCertificates(consul, directory);
    const read = (path: string) => readFile(path);
    const [ca, cert, key] = await Promise.all([files.caFile, files.serverCertFile, files.serverKeyFile].map(read));
    assert.ok(ca !== undefined && cert !== undefined && key !== undefined);
    const credentials = ServerCredentials.createSsl(ca, [{ cert_chain: cert, private_key: key }], true);
    const server = await serve({ credentials, secure: true });
    const own = await Promise.all([files.certFile, files.keyFile].map((path) => readFile(path, 'utf8')));
    const tls = { ca: ca.toString(), cert: own[0], key: own[1] };

    const registry = open([server], fakeHttp(), { tls });
    assertOk(await registry.apply([register(leased(1))], never));
    const [listed] = await registry.list(CLUSTER, never);
    assert.ok(listed !== undefined && sameInstance(listed, leased(1)));
    await open([server], fakeHttp(), { tls: { ...tls, serverName: 'server.dc1.consul' } }).check(never);

    const strange = await failureOf(open([server], fakeHttp(), { tls: { cert: tls.cert, key: tls.key } }).check(never));
    assert.match(strange.message, /caSecretRef and serverName/);
    const other = await failureOf(
      open([server], fakeHttp(), { tls: { ...tls, serverName: 'other.example.org' } }).check(never),
    );
    assert.match(other.message, /caSecretRef and serverName/);
  });
});
