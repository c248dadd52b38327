import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { fencedOff } from '../../src/registries/claim.ts';
import { createRegistry } from '../../src/registries/create.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { withRotation } from '../../src/registries/layers/rotation.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';
import { followSecrets, readSecrets, type Secrets } from '../../src/registries/secrets.ts';
import { register, sampleOf } from '../conformance/samples.ts';
import { openConsul } from '../servers/consul.ts';
import { virtualClock } from '../virtual-clock.ts';
import { answeringRegistry, outcome } from './answering-registry.ts';

const never = new AbortController().signal;
const directory = await mkdtemp(join(tmpdir(), 'roster-rotation-'));
after(() => rm(directory, { recursive: true }));

it('calls in flight end on the client that they began on, which is closed after the last; new ones go to the new client', async () => {
  const ends: (() => void)[] = [];
  const old = answeringRegistry(() => new Promise<void>((resolve) => ends.push(resolve)));
  const next = answeringRegistry(() => undefined);
  const { registry, rotate } = withRotation(old);
  const calls = [registry.list('prod', never), registry.discover('web', never)];
  rotate(next);
  await registry.list('prod', never);
  assert.deepEqual([old.asked.length, next.asked.length], [2, 1]);
  ends[0]?.();
  await calls[0];
  assert.equal(old.isClosed(), false);
  ends[1]?.();
  await calls[1];
  await new Promise(setImmediate);
  assert.deepEqual([old.isClosed(), next.isClosed()], [true, false]);
  await registry.close();
  assert.equal(next.isClosed(), true);
});

it('the watches of the old client reject with unavailable, so that their callers list again, and those of the new one stand', async () => {
  const watching = () =>
    answeringRegistry(
      ({ signal }) =>
        new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(new RegistryError('aborted', 'watch was cancelled'))),
        ),
    );
  const [old, next] = [watching(), watching()];
  const { registry, rotate } = withRotation(old);
  const abort = new AbortController();
  const first = outcome(registry.watch({ cluster: 'prod' }, () => {}, never));
  const aborted = outcome(registry.kv.watch('web', 'key', () => {}, abort.signal));
  abort.abort();
  assert.equal(await aborted, 'aborted');
  rotate(next);
  assert.equal(await first, 'unavailable');
  const later = new AbortController();
  const second = outcome(registry.watch({ cluster: 'prod' }, () => {}, later.signal));
  later.abort();
  assert.equal(await second, 'aborted');
  assert.ok(old.isClosed() && !next.isClosed());
});

it('close ends every client that is left, and a client that comes later', async () => {
  const [old, next, late] = [
    answeringRegistry(() => new Promise(() => {})),
    answeringRegistry(() => undefined),
    answeringRegistry(() => undefined),
  ];
  const { registry, rotate } = withRotation(old);
  void registry.list('prod', never);
  rotate(next);
  await registry.close();
  rotate(late);
  assert.deepEqual(
    [old, next, late].map((client) => client.isClosed()),
    [true, true, true],
  );
});

it('a new client claims nothing by itself: what was claimed before is fenced off until it is claimed again, and nothing else is', async () => {
  const entries = new Map<string, Instance>();
  const { registry, rotate } = withRotation(openMemory({ entries }));
  const write = async (...clusters: string[]) => {
    const changes = clusters.map((cluster, number) =>
      register(sampleOf(cluster, { number, weight: entries.size + 1 })),
    );
    const results = await registry.apply(changes, never);
    return results.map((result) => (result.ok ? 'ok' : result.error.code));
  };
  for (const cluster of ['prod', 'test']) await registry.claim({ cluster, owner: 'us' }, never);
  rotate(openMemory({ entries }));
  assert.deepEqual(await write('free', 'prod', 'free', 'test'), ['ok', 'fenced', 'ok', 'fenced']);
  assert.deepEqual(await write('prod'), ['fenced']);
  assert.deepEqual(
    [...entries.values()].filter(({ marks }) => marks.cluster !== 'free'),
    [],
  );
  assert.equal(await outcome(registry.check(never)), 'fenced');

  const replica = openMemory({ entries });
  await replica.claim({ cluster: 'test', owner: 'them', adopt: 'us' }, never);
  await registry.claim({ cluster: 'prod', owner: 'us' }, never);
  assert.deepEqual(await write('prod', 'test'), ['ok', 'fenced']);
  assert.equal(await outcome(registry.claim({ cluster: 'test', owner: 'us' }, never)), 'owned');
  assert.deepEqual(await write('prod', 'test'), ['ok', 'fenced']);
  assert.equal(await outcome(registry.check(never)), 'fenced');
  await registry.claim({ cluster: 'test', owner: 'us', adopt: 'them' }, never);
  assert.deepEqual(await write('prod', 'test'), ['ok', 'ok']);
  assert.equal(await outcome(registry.check(never)), 'ok');

  // Once more: what was claimed on the client before counts, whichever client it was claimed on first.
  rotate(openMemory({ entries }));
  assert.deepEqual(await write('prod', 'test'), ['fenced', 'fenced']);
  await registry.close();
  assert.equal(await outcome(registry.apply([register(sampleOf('prod'))], never)), 'closed');
});

it('a claim that ends on the old client counts for the old client', async () => {
  let end = () => {};
  const old = answeringRegistry(() => new Promise<void>((resolve) => (end = resolve)));
  const next = answeringRegistry(() => undefined);
  const { registry, rotate } = withRotation(old);
  const claimed = registry.claim({ cluster: 'prod', owner: 'us' }, never);
  rotate(next);
  end();
  await claimed;
  const [result] = await registry.apply([register(sampleOf('prod'))], never);
  assert.ok(result?.ok === false);
  assert.deepEqual([result.error.code, result.error.message], ['fenced', fencedOff('apply', 'prod').message]);
  assert.deepEqual(
    next.asked.map(({ changes }) => changes),
    [[]],
  );
});

it('files are read without their last line break, again every 10 s, and only a change that can be used is told', async () => {
  const clock = virtualClock();
  const file = join(directory, 'token');
  await writeFile(file, 'one\n');
  const sources = { token: { file }, ca: 'text' };
  const first = readSecrets(sources);
  assert.deepEqual(first, { token: 'one', ca: 'text' });
  const abort = new AbortController();
  const told: Secrets[] = [];
  let refuse = false;
  const following = followSecrets(sources, first, {
    clock,
    signal: abort.signal,
    onChange(secrets) {
      if (refuse) throw new RegistryError('invalid', 'half a pair');
      told.push(secrets);
    },
  });
  /** Reading takes turns of the event loop that the clock knows nothing of. */
  const tick = async () => {
    await clock.advance(10_000);
    for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await tick();
  assert.deepEqual(told, []);
  await writeFile(file, 'two');
  refuse = true;
  await tick();
  refuse = false;
  await tick();
  assert.deepEqual(told, [{ token: 'two', ca: 'text' }]);
  await rm(file);
  await tick();
  assert.equal(told.length, 1);
  abort.abort();
  await following;
});

it('a file that is not there is refused when the registry is made, and the message names no content', () => {
  const config = parseRegistryConfig({ type: 'Consul', consul: { address: 'http://127.0.0.1:9' } });
  assert.ok(config.ok);
  assert.throws(
    () => createRegistry(config.value, { token: { file: join(directory, 'nothing') } }),
    (error) => error instanceof RegistryError && error.code === 'invalid' && /"token"/.test(error.message),
  );
});

it('a token file of Consul that is replaced counts for the next calls, and the registry stays the same object', async () => {
  const consul = await openConsul({ acl: true });
  after(() => consul.stop());
  const file = join(directory, 'consul-token');
  await writeFile(file, '11111111-2222-3333-4444-555555555555\n');
  const config = parseRegistryConfig({ type: 'Consul', consul: { address: consul.address } });
  assert.ok(config.ok);
  const clock = virtualClock();
  const timers = { now: () => performance.now(), setTimer: setRealExceptReading };
  function setRealExceptReading(ms: number, fire: () => void): () => void {
    if (ms === 10_000) return clock.setTimer(ms, fire);
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  }
  // Deadlines of other lengths than the 10 s of the reading.
  const registry = createRegistry(config.value, { token: { file } }, { clock: timers });
  after(() => registry.close());
  assert.match(await outcome(registry.list('prod', never)), /unauthorized|forbidden/);
  await writeFile(file, `${consul.token}\n`);
  await clock.advance(10_000);
  const deadline = performance.now() + 60_000;
  let last = '';
  while (performance.now() < deadline) {
    last = await outcome(registry.list('prod', never));
    if (last === 'ok') break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(last, 'ok');
});
