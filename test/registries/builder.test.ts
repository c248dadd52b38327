import assert from 'node:assert/strict';
import { it } from 'node:test';
import { registryBuilder } from '../../src/registries/builder.ts';
import { RegistryError } from '../../src/registries/error.ts';
import type { Observation } from '../../src/registries/layers/metrics.ts';

const refusal = (build: () => unknown): string => {
  try {
    build();
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'invalid') return error.message;
  }
  return assert.fail('it was taken');
};

const refused = (build: () => unknown, words: RegExp): void => assert.match(refusal(build), words);

const etcd = { endpoints: ['127.0.0.1:9'] };
const consul = { address: 'http://127.0.0.1:9' };

it('each type is built from its block, in whatever order the rest is said', async () => {
  const seen: Observation[] = [];
  const built = [
    registryBuilder().withType('Memory').build(),
    registryBuilder().withType('Memory').withMemory({ capacity: 1 }).build(),
    registryBuilder().withType('Etcd').withEtcd(etcd).withTimeouts({ connectSeconds: 1 }).build(),
    registryBuilder().withSecrets({ token: 'x' }).withType('Consul').withName('c').withConsul(consul).build(),
    registryBuilder()
      .withType('Nacos')
      .withNacos({ addresses: ['http://127.0.0.1:9'] })
      .build(),
    registryBuilder().withType('ZooKeeper').withZooKeeper({ connectString: '127.0.0.1:9' }).build(),
    registryBuilder()
      .withObserver((one) => seen.push(one))
      .withType('Memory')
      .build(),
  ];
  await built.at(-1)?.check(new AbortController().signal);
  assert.deepEqual(
    seen.map(({ operation }) => operation),
    ['check'],
  );
  for (const registry of built) await registry.close();
});

it('a builder can be gone on from twice', () => {
  const start = registryBuilder().withType('Etcd');
  start.withEtcd(etcd);
  start.withEtcd(etcd).build();
});

it('everything that is wrong with a config is one error', () => {
  const message = refusal(() =>
    registryBuilder().withType('Etcd').withEtcd({ endpoints: [] }).withTimeouts({ connectSeconds: 0 }).build(),
  );
  assert.match(message, /etcd\.endpoints .*; timeouts\.connectSeconds/);
});

it('a wrong chain does not compile, and throws with what to do where nothing was compiled', () => {
  // One line each, which the compiler must refuse.
  const b = registryBuilder;
  // @ts-expect-error: build() without a type
  refused(() => b().build(), /needs withType/);
  // @ts-expect-error: build() without the block of the type
  refused(() => b().withType('Etcd').build(), /needs withEtcd/);
  // @ts-expect-error: the same with a setting between
  refused(() => b().withType('Nacos').withTimeouts({}).build(), /needs withNacos/);
  // @ts-expect-error: a block of another type
  refused(() => b().withType('Etcd').withConsul(consul), /needs withType\('Consul'\)/);
  // @ts-expect-error: a block of another type, where none is needed
  refused(() => b().withType('Memory').withEtcd(etcd), /needs withType\('Etcd'\)/);
  // @ts-expect-error: a block before its type
  refused(() => b().withEtcd(etcd), /needs withType\('Etcd'\)/);
  // @ts-expect-error: a block twice
  refused(() => b().withType('Etcd').withEtcd(etcd).withEtcd(etcd), /twice/);
  // @ts-expect-error: a type twice
  refused(() => b().withType('Etcd').withType('Etcd'), /twice/);
  // @ts-expect-error: a type twice, after a block
  refused(() => b().withType('Etcd').withEtcd(etcd).withType('Memory'), /twice/);
  // @ts-expect-error: a type that there is not
  refused(() => b().withType('Eureka'), /one of Memory/);
  // @ts-expect-error: a block without its required field
  refused(() => b().withType('Etcd').withEtcd({}).build(), /etcd\.endpoints is required/);
  // @ts-expect-error: a field that there is not
  refused(() => b().withType('Memory').withMemory({ size: 1 }).build(), /memory\.size/);
  const secret = { ...etcd, usernameSecretRef: { name: 'etcd', key: 'user' } };
  refused(() => b().withType('Etcd').withEtcd(secret).build(), /second argument/);
});
