import assert from 'node:assert/strict';
import { it } from 'node:test';
import { deregister, register } from '../../src/registries/calls.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { watchService } from '../../src/registries/watch-service.ts';
import { virtualClock } from '../virtual-clock.ts';
import { answeringRegistry, failing, outcome } from './answering-registry.ts';

const never = new AbortController().signal;
const web = { cluster: 'prod', service: 'web', address: '10.0.0.7', port: 8080 };

it('what is registered is found with its defaults, watched, and gone when it is deregistered', async () => {
  const registry = openMemory();
  const lists = watchService(registry, 'web', never);
  const next = async () => {
    const { value } = await lists.next();
    return value?.map(({ port, health, weight }) => [port, health, weight]);
  };
  assert.deepEqual(await next(), []);
  const stored = await register(registry, web, never);
  assert.equal(stored.id, 'prod/library/web/10.0.0.7:8080');
  assert.deepEqual(await next(), [[8080, 'healthy', 100]]);
  await register(registry, { ...web, weight: 5 }, never);
  assert.deepEqual(await next(), [[8080, 'healthy', 5]]);
  await deregister(registry, web, never);
  assert.deepEqual(await next(), []);
  await deregister(registry, web, never);
  await lists.return();
  await registry.close();
});

it('what the registry cannot hold, and what has no cluster, is refused with the rule', async () => {
  const registry = openMemory({ capacity: 0 });
  assert.equal(await outcome(register(registry, { ...web, service: '' }, never)), 'invalid');
  assert.equal(await outcome(register(registry, { ...web, cluster: '' }, never)), 'invalid');
  assert.equal(await outcome(register(registry, web, never)), 'too-large');
});

it('a registry that is away ends no watch: it is asked again with growing pauses, and equal lists are given once', async () => {
  const clock = virtualClock();
  let away = true;
  const watched: number[] = [];
  const bare = answeringRegistry(({ operation, onHint }) => {
    if (operation === 'watch') watched.push(clock.now());
    if (away) throw failing('unreachable');
    if (operation === 'watch') onHint();
    return undefined;
  });
  const abort = new AbortController();
  const given: number[] = [];
  const end = (async () => {
    for await (const list of watchService(bare, 'web', abort.signal, { clock, random: () => 1 }))
      given.push(list.length);
  })();
  await clock.advance(2_000);
  assert.deepEqual(watched, [0, 250, 750, 1_750]);
  assert.deepEqual(given, []);
  away = false;
  await clock.advance(2_000);
  assert.deepEqual(given, [0]);
  for (const { operation, onHint } of bare.asked) if (operation === 'watch') onHint();
  await clock.advance(1_000);
  assert.deepEqual(given, [0]);
  abort.abort();
  // The stub hears no signal; what matters is that the caller is let go.
  bare.asked.length = 0;
  void end;
});

it('it ends with its signal, and rejects where no waiting helps', async () => {
  const registry = openMemory();
  const abort = new AbortController();
  const lists = watchService(registry, 'web', abort.signal);
  await lists.next();
  abort.abort();
  assert.deepEqual(await lists.next(), { value: undefined, done: true });
  assert.deepEqual(await watchService(registry, 'web', AbortSignal.abort()).next(), { value: undefined, done: true });
  const standing = watchService(registry, 'web', never);
  await standing.next();
  await registry.close();
  await assert.rejects(standing.next(), (error) => error instanceof RegistryError && error.code === 'closed');
});
