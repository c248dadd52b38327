import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import { createRegistry } from '../../src/registries/create.ts';
import { RegistryError } from '../../src/registries/error.ts';
import type { Observation } from '../../src/registries/layers/metrics.ts';
import type { Secrets } from '../../src/registries/secrets.ts';
import { register, sampleOf } from '../conformance/samples.ts';

const never = new AbortController().signal;

const settings = {
  timeouts: { connectSeconds: 5, requestSeconds: 10 },
  audit: { intervalSeconds: 60 },
  deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
  allowUnmanagedEndpoints: false,
};

const consul = (over: object): RegistryConfig => ({
  ...settings,
  type: 'Consul',
  consul: { address: 'http://127.0.0.1:9', prefix: '', ttlSeconds: 0, healthChecks: true, ...over },
});

const etcd = (over: object): RegistryConfig => ({
  ...settings,
  type: 'Etcd',
  etcd: { endpoints: ['127.0.0.1:9'], prefix: '/services', ttlSeconds: 0, layout: 'Roster', ...over },
});

const zooKeeper = (over: object): RegistryConfig => ({
  ...settings,
  type: 'ZooKeeper',
  zookeeper: {
    connectString: '127.0.0.1:9',
    rootPath: '/services',
    sessionTimeoutSeconds: 30,
    layout: 'Curator',
    ...over,
  },
});

const refusal = (config: RegistryConfig, secrets: Secrets = {}): RegistryError => {
  try {
    createRegistry(config, secrets);
  } catch (error) {
    if (error instanceof RegistryError) return error;
  }
  return assert.fail('a registry was created');
};

it('a Memory registry shows what it holds, whoever asks, and reports its operations', async () => {
  const seen: Observation[] = [];
  const config: RegistryConfig = { ...settings, type: 'Memory', memory: { ttlSeconds: 0, capacity: 1 } };
  const registry = createRegistry(config, {}, { observe: (observation) => seen.push(observation) });
  const results = await registry.apply(
    [1, 2].map((number) => register(sampleOf('prod', { number }))),
    never,
  );
  assert.deepEqual(
    results.map(({ ok }) => ok),
    [true, false],
  );
  assert.deepEqual(
    registry.snapshot?.().map(({ id }) => id),
    [sampleOf('prod').id],
  );
  assert.deepEqual(
    seen.map(({ operation, outcome, size }) => [operation, outcome, size]),
    [['apply', 'too-large', 2]],
  );
});

it('an address that is none is refused without being repeated, since it may hold a password', () => {
  for (const [address, words] of [
    ['127.0.0.1:8500', /http:\/\/host:port/],
    ['ftp://user:hunter2@consul', /http:\/\/host:port/],
    ['http://user:hunter2@[', /http:\/\/host:port/],
    ['http://user:hunter2@consul:8500', /tokenSecretRef/],
  ] as const) {
    const { code, message } = refusal(consul({ address }));
    assert.equal(code, 'invalid');
    assert.match(message, words);
    assert.doesNotMatch(message, /hunter2/);
  }
  for (const [endpoints, words] of [
    [['ftp://127.0.0.1:2379'], /host:port/],
    [['127.0.0.1:2379/v3'], /host:port/],
    [['fd00::1:2379'], /host:port/],
    [['127.0.0.1:2379', 'http://user:hunter2@etcd:2379'], /usernameSecretRef/],
    [[], /at least one/],
  ] as const) {
    const { code, message } = refusal(etcd({ endpoints }));
    assert.equal(code, 'invalid');
    assert.match(message, words);
    assert.doesNotMatch(message, /hunter2/);
  }
});

it('a certificate or key that is no PEM is refused, and neither is repeated', () => {
  for (const config of [consul({ address: 'https://127.0.0.1:9' }), etcd({ tls: {} })]) {
    for (const secrets of [{ ca: 'hunter2' }, { cert: 'hunter2', key: 'hunter2' }]) {
      assert.throws(
        () => createRegistry(config, secrets),
        (error) =>
          error instanceof RegistryError && error.code === 'invalid' && !JSON.stringify(error).includes('hunter2'),
      );
    }
  }
});

it('a connect string, a path or credentials of ZooKeeper that are none are refused without being repeated', () => {
  for (const [over, digestAuth, words] of [
    [{ connectString: 'hunter2:port' }, undefined, /connectString .* host:port/],
    [{ connectString: '[hunter2]:2181' }, undefined, /connectString .* host:port/],
    [{ connectString: 'zk:2181,zk:65536' }, undefined, /connectString .* host:port/],
    [{ connectString: 'zk:2181/a//b' }, undefined, /rootPath, or the chroot/],
    [{ rootPath: '/hunter2/..' }, undefined, /rootPath, or the chroot/],
    [{ rootPath: '/zookeeper/services' }, undefined, /\/zookeeper .* choose another rootPath/],
    [{}, 'hunter2', /digestAuthSecretRef must be user:password/],
    [{}, 'roster:hunter2\n', /line break/],
  ] as const) {
    const { code, message } = refusal(zooKeeper(over), digestAuth === undefined ? {} : { digestAuth });
    assert.equal(code, 'invalid');
    assert.match(message, words);
    assert.doesNotMatch(message, /hunter2/);
  }
});

it('a connect string of ZooKeeper may name several servers, IPv6 among them, without ports, and a chroot', () => {
  for (const connectString of ['zk', 'zk-0.zk,zk-1.zk:2182', '[::1]:2181,[fd00::7]', '10.0.0.1:2181/a/b']) {
    createRegistry(zooKeeper({ connectString }), { digestAuth: 'roster:hunter2' });
  }
});
