import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { RegistryError } from '../../src/registries/error.ts';
import { openMemory } from '../../src/registries/memory.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { assertOk, assertSame, failureOf, never } from '../conformance/expectations.ts';
import { deregister, register, sampleOf, update } from '../conformance/samples.ts';
import { type VirtualClock, virtualClock } from '../virtual-clock.ts';

const leased = (over: Partial<Instance> & { readonly number?: number } = {}) =>
  sampleOf('prod', { liveness: 'leased', ...over });

const livenesses = async (registry: ServiceRegistry) =>
  (await registry.list('prod', never)).map(({ liveness }) => liveness);

/** Counts hints; `rejected` is the error of the watch. Hints come within the turn after the change. */
function watching(run: (onHint: () => void, signal: AbortSignal) => Promise<never>) {
  const abort = new AbortController();
  const seen = { hints: 0 };
  const rejected: Promise<RegistryError> = failureOf(run(() => seen.hints++, abort.signal));
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { seen, rejected, abort, settled };
}

it('a lease lasts as long as its client, and the TTL beyond', async () => {
  const clock = virtualClock();
  const entries = new Map<string, Instance>();
  const [writer, reader] = [1, 2].map(() => openMemory({ entries, clock, ttlMs: 1_000 }));
  if (writer === undefined || reader === undefined) return;
  assertOk(await writer.apply([register(leased()), register(sampleOf('prod', { number: 2 }))], never));
  await clock.advance(3_600_000);
  assert.deepEqual(await livenesses(writer), ['leased', 'persistent']);
  assert.deepEqual(await livenesses(reader), ['lapsing', 'persistent']);
  await writer.close();
  await clock.advance(999);
  assert.deepEqual(await livenesses(reader), ['lapsing', 'persistent']);
  await clock.advance(1);
  assert.deepEqual(await livenesses(reader), ['persistent']);
  assert.equal((await reader.discover(leased().service, never)).length, 1);
  assert.equal(entries.size, 1);
});

it('an update by another client takes the lease over, and nothing lapses with the first one', async () => {
  const clock = virtualClock();
  const entries = new Map<string, Instance>();
  const first = openMemory({ entries, clock, ttlMs: 1_000 });
  const second = openMemory({ entries, clock, ttlMs: 1_000 });
  assertOk(await first.apply([register(leased())], never));
  await first.close();
  const [standing] = await second.list('prod', never);
  assert.ok(standing !== undefined);
  // Made of what was read, as the mark of a retained entry is.
  assertOk(await second.apply([update({ ...standing, weight: 7 }, standing)], never));
  await clock.advance(3_600_000);
  assertSame(await second.list('prod', never), [leased({ weight: 7 })]);
});

it('an entry that becomes persistent outlives its client, and one that becomes leased does not', async () => {
  const clock = virtualClock();
  const entries = new Map<string, Instance>();
  const [writer, reader] = [1, 2].map(() => openMemory({ entries, clock, ttlMs: 1_000 }));
  if (writer === undefined || reader === undefined) return;
  const [a, b] = [1, 2].map((number) => sampleOf('prod', { number }));
  if (a === undefined || b === undefined) return;
  assertOk(await writer.apply([register({ ...a, liveness: 'leased' }), register(b)], never));
  assertOk(await writer.apply([update(a, leased()), update({ ...b, liveness: 'leased' }, b)], never));
  await writer.close();
  await clock.advance(1_000);
  assertSame(await reader.list('prod', never), [a]);
});

it('with a TTL for everything, every entry is leased', () => {
  const answer = openMemory({ leasesAll: true }).normalise(sampleOf('prod'));
  assert.ok(answer.ok && answer.instance.liveness === 'leased');
});

it('lapsing is no wish', () => {
  assert.ok(!openMemory().normalise(sampleOf('prod', { liveness: 'lapsing' })).ok);
});

it('at full capacity an exchange in one apply fits, in whatever order, and what lapsed leaves room', async () => {
  const clock = virtualClock();
  const entries = new Map<string, Instance>();
  const other = openMemory({ entries, clock, ttlMs: 1_000 });
  const registry = openMemory({ entries, clock, capacity: 2 });
  const [a, b, c, d] = [1, 2, 3, 4].map((number) => sampleOf('prod', { number }));
  if (a === undefined || b === undefined || c === undefined || d === undefined) return;
  assertOk(await registry.apply([register(a), register(b)], never));
  const results = await registry.apply(
    [register(c), register(d), update({ ...b, weight: 7 }, b), deregister(a)],
    never,
  );
  assert.deepEqual(
    results.map(({ ok }) => ok),
    [true, false, true, true],
  );
  assertOk(await registry.apply([deregister(c)], never));
  assertOk(await other.apply([register({ ...d, liveness: 'leased' })], never));
  await other.close();
  await clock.advance(1_000);
  assertOk(await registry.apply([register(a)], never));
});

it('a watch hints when it stands, at what others write, once for what comes together, and not at own writes', async () => {
  const entries = new Map<string, Instance>();
  const [mine, theirs] = [openMemory({ entries }), openMemory({ entries })];
  const cluster = watching((onHint, signal) => mine.watch({ cluster: 'prod' }, onHint, signal));
  const service = watching((onHint, signal) => mine.watch({ service: sampleOf('prod').service }, onHint, signal));
  await cluster.settled();
  assert.deepEqual([cluster.seen.hints, service.seen.hints], [1, 1]);

  assertOk(await mine.apply([register(sampleOf('prod'))], never));
  await cluster.settled();
  assert.deepEqual([cluster.seen.hints, service.seen.hints], [1, 2]);

  const others = [2, 3].map((number) => sampleOf('prod', { number }));
  assertOk(await theirs.apply(others.map(register), never));
  await cluster.settled();
  assert.deepEqual([cluster.seen.hints, service.seen.hints], [2, 3]);

  assertOk(await theirs.apply([register(sampleOf('test'))], never));
  entries.delete(sampleOf('prod').id);
  await cluster.settled();
  assert.deepEqual([cluster.seen.hints, service.seen.hints], [3, 4]);

  // Nothing changes, so there is nothing to read.
  assertOk(await theirs.apply(others.map(register), never));
  await cluster.settled();
  assert.deepEqual([cluster.seen.hints, service.seen.hints], [3, 4]);

  cluster.abort.abort();
  await mine.close();
  assert.deepEqual([(await cluster.rejected).code, (await service.rejected).code], ['aborted', 'closed']);
  assertOk(await theirs.apply(others.map(deregister), never));
  await cluster.settled();
  assert.deepEqual([cluster.seen.hints, service.seen.hints], [3, 4]);
});

it('a change whose hint was due when the watch ended gives none', async () => {
  const entries = new Map<string, Instance>();
  const registry = openMemory({ entries });
  const watch = watching((onHint, signal) => registry.watch({ cluster: 'prod' }, onHint, signal));
  await watch.settled();
  entries.set('x', sampleOf('prod', { id: 'x' }));
  watch.abort.abort();
  await watch.settled();
  assert.equal(watch.seen.hints, 1);
});

/** Tells how many timers are set. */
function countingClock(): VirtualClock & { readonly pending: number } {
  const clock = virtualClock();
  const pending = new Set<symbol>();
  return {
    ...clock,
    get pending() {
      return pending.size;
    },
    setTimer(ms, fire) {
      const timer = Symbol();
      pending.add(timer);
      const cancel = clock.setTimer(ms, () => {
        pending.delete(timer);
        fire();
      });
      return () => {
        pending.delete(timer);
        cancel();
      };
    },
  };
}

it('a lapse is a hint, by a timer that goes with the last watch', async () => {
  const clock = countingClock();
  const entries = new Map<string, Instance>();
  const writer = openMemory({ entries, clock, ttlMs: 1_000 });
  const reader = openMemory({ entries, clock, ttlMs: 1_000 });
  const watch = watching((onHint, signal) => reader.watch({ cluster: 'prod' }, onHint, signal));
  assertOk(await writer.apply([register(leased())], never));
  await watch.settled();
  const before = watch.seen.hints;
  await writer.close();
  assert.equal(clock.pending, 1);
  await clock.advance(1_000);
  await watch.settled();
  assert.equal(watch.seen.hints, before + 1);

  const last = openMemory({ entries, clock, ttlMs: 1_000 });
  assertOk(await last.apply([register(leased())], never));
  await last.close();
  assert.equal(clock.pending, 1);
  await reader.close();
  assert.equal(clock.pending, 0);
});

it('key-value pairs are kept beside the entries, for all clients, and watched one by one', async () => {
  const entries = new Map<string, Instance>();
  const [mine, theirs] = [openMemory({ entries }), openMemory({ entries })];
  const { kv } = mine;
  const watch = watching((onHint, signal) => kv.watch('web', 'a/b', onHint, signal));
  await watch.settled();
  await theirs.kv.put('web', 'a/b', '\u0000 é', never);
  await theirs.kv.put('web', 'a', 'other', never);
  await theirs.kv.put('web/a', 'b', 'other', never);
  await watch.settled();
  assert.equal(watch.seen.hints, 2);
  assert.equal(await kv.get('web', 'a/b', never), '\u0000 é');
  await kv.put('web', 'a/b', undefined, never);
  await kv.put('web', 'a/b', undefined, never);
  assert.equal(await theirs.kv.get('web', 'a/b', never), undefined);
  await watch.settled();
  assert.equal(watch.seen.hints, 3);
  assert.equal((await failureOf(kv.put('', 'a', 'x', never))).code, 'invalid');
  await mine.close();
  assert.equal((await watch.rejected).code, 'closed');
  for (const call of [kv.get('web', 'a', never), kv.put('web', 'a', 'x', never), kv.watch('web', 'a', () => {}, never)])
    assert.equal((await failureOf(call)).code, 'closed');
});
