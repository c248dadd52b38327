import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RegistryError } from '../../src/registries/error.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';
import { registerRegistryType } from '../../src/registries/registry-types.ts';

const paths = (input: unknown): readonly string[] => {
  const parsed = parseRegistryConfig(input);
  assert.ok(!parsed.ok, 'it was taken');
  return parsed.errors.map(({ path }) => path).sort();
};

it('a config of a type and its one required field gets the defaults of the Registry kind', () => {
  assert.deepEqual(parseRegistryConfig({ type: 'Etcd', etcd: { endpoints: ['127.0.0.1:2379'] } }), {
    ok: true,
    value: {
      type: 'Etcd',
      etcd: { endpoints: ['127.0.0.1:2379'], prefix: '/services', ttlSeconds: 0, layout: 'Roster' },
      timeouts: { connectSeconds: 5, requestSeconds: 10 },
      audit: { intervalSeconds: 60 },
      deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
      allowUnmanagedEndpoints: false,
    },
  });
  assert.ok(parseRegistryConfig({ type: 'Memory' }).ok);
});

it('everything that is wrong is told at once, each with its path', () => {
  assert.deepEqual(
    paths({
      type: 'Etcd',
      etcd: { prefix: 7, layout: 'Yaml', colour: 'red' },
      consul: { address: 'http://127.0.0.1:8500' },
      timeouts: { connectSeconds: 0 },
      spec: {},
    }),
    ['', 'etcd.colour', 'etcd.endpoints', 'etcd.layout', 'etcd.prefix', 'spec', 'timeouts.connectSeconds'],
  );
});

it('what is no config at all is refused in words', () => {
  for (const input of [undefined, null, 7, 'Etcd', [], {}]) assert.ok(paths(input).length > 0);
  assert.deepEqual(paths({ type: 'Eureka' }), ['type']);
});

it('references to Secrets are refused with what to do instead, and with nothing else about them', () => {
  const parsed = parseRegistryConfig({
    type: 'Etcd',
    etcd: {
      endpoints: ['127.0.0.1:2379'],
      usernameSecretRef: { name: 'etcd', key: 'username' },
      tls: { caSecretRef: { name: 'ca' } },
    },
  });
  assert.ok(!parsed.ok);
  assert.deepEqual(
    parsed.errors.map(({ path }) => path),
    ['etcd.usernameSecretRef', 'etcd.tls.caSecretRef'],
  );
  for (const { message } of parsed.errors) assert.match(message, /second argument of createRegistry/);
});

it('the config that was passed is left as it is', () => {
  const input = Object.freeze({ type: 'Memory', memory: Object.freeze({ capacity: 3 }) });
  assert.ok(parseRegistryConfig(input).ok);
  assert.deepEqual(input, { type: 'Memory', memory: { capacity: 3 } });
});

it('a type of one’s own is known from its registration to its removal, and its block is left to its factory', () => {
  const config = { type: 'Eureka', eureka: { url: 7 }, timeouts: { requestSeconds: 2 } };
  const remove = registerRegistryType('Eureka', () => assert.fail('nothing is made'));
  const parsed = parseRegistryConfig(config);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.timeouts, { connectSeconds: 5, requestSeconds: 2 });
  assert.deepEqual('eureka' in parsed.value && parsed.value['eureka'], { url: 7 });
  assert.deepEqual(paths({ ...config, consul: { address: 'http://127.0.0.1:8500' } }).length, 1);
  assert.deepEqual(paths({ ...config, timeouts: { requestSeconds: 0 } }), ['timeouts.requestSeconds']);
  remove();
  assert.ok(!parseRegistryConfig(config).ok);
});

it('a name that is taken, built in or none is refused', () => {
  const factory = () => assert.fail('nothing is made');
  const remove = registerRegistryType('Eureka', factory);
  for (const name of ['Eureka', 'EUREKA', 'Consul', 'CONSUL', 'eureka', '', 'My registry', '__proto__']) {
    assert.throws(
      () => registerRegistryType(name, factory),
      (error) => error instanceof RegistryError && error.code === 'invalid',
    );
  }
  remove();
  remove();
  registerRegistryType('Eureka', factory)();
});
