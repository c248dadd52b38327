import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type KubeClient, KubeError, type KubeRequest } from '../../src/kubernetes/client.ts';
import { serviceRegistrations } from '../../src/kubernetes/resources.ts';
import { createStatusWriter, type StatusUpdate } from '../../src/kubernetes/status-writer.ts';
import { type VirtualClock, virtualClock } from '../virtual-clock.ts';
import { recordingLog } from './reflection.ts';

type Reply = { readonly afterMs?: number; readonly error?: KubeError };

/** An API server of statuses: what stands there, when each write began, and how it answers the next ones. */
function statusServer(clock: VirtualClock) {
  const standing = new Map<string, unknown>();
  const writes: { readonly at: number; readonly name: string; readonly status: unknown }[] = [];
  const replies: Reply[] = [];
  let running = 0;
  let most = 0;
  const client: KubeClient = {
    server: 'https://test',
    namespace: 'default',
    stream: () => Promise.reject(new Error('not used')),
    close: () => Promise.resolve(),
    async request({ path, body, signal }: KubeRequest) {
      const name = path.split('/').at(-2) ?? '';
      const status = (body as { status: unknown }).status;
      writes.push({ at: clock.now(), name, status });
      most = Math.max(most, ++running);
      const { afterMs = 0, error } = replies.shift() ?? {};
      if (afterMs > 0) await new Promise<void>((resolve) => clock.setTimer(afterMs, resolve));
      running--;
      signal.throwIfAborted();
      if (error) throw error;
      standing.set(name, status);
      return { metadata: { uid: `uid-${name}` } };
    },
  };
  return { client, standing, writes, replies, most: () => most };
}

function writerOf(clock: VirtualClock, wanted: Map<string, unknown>, unsettled: ReadonlySet<string> = new Set()) {
  const server = statusServer(clock);
  const log = recordingLog();
  const told: boolean[] = [];
  const writer = createStatusWriter({
    client: server.client,
    clock,
    log,
    random: () => 0.5,
    onWrite: ({ ok }) => told.push(ok),
    desired(key): StatusUpdate | undefined {
      const value = wanted.get(key);
      if (value === undefined) return undefined;
      const current = server.standing.get(key);
      return {
        resource: serviceRegistrations,
        namespace: 'shop',
        name: key,
        uid: `uid-${key}`,
        current,
        status: { value },
        settled: !unsettled.has(key),
      };
    },
  });
  return { ...server, writer, log, told };
}

test('the first change of a quiet object goes out at once, later ones at most once in five seconds, and the last one lands', async () => {
  const clock = virtualClock();
  const wanted = new Map<string, unknown>();
  const { writer, writes, standing } = writerOf(clock, wanted);
  for (let i = 0; i < 120; i++) {
    wanted.set('a', i);
    writer.mark('a');
    await clock.advance(100);
  }
  await clock.advance(10_000);
  assert.deepEqual(
    writes.map(({ at }) => at),
    [0, 5000, 10_000, 15_000],
  );
  assert.deepEqual(standing.get('a'), { value: 119 });
  assert.equal(writer.pending, 0);
});

test('what stands there is not written again, whatever the order of its keys', async () => {
  const clock = virtualClock();
  const wanted = new Map<string, unknown>([['a', { x: 1, y: [2], z: undefined }]]);
  const { writer, writes, standing } = writerOf(clock, wanted);
  standing.set('a', { value: { y: [2], x: 1 } });
  writer.mark('a');
  await clock.advance(60_000);
  assert.deepEqual(writes, []);
  assert.equal(writer.pending, 0);
});

test('a status that is not settled waits for the final one, but not for long', async () => {
  const clock = virtualClock();
  const wanted = new Map<string, unknown>([
    ['a', 'working'],
    ['b', 'working'],
  ]);
  const unsettled = new Set(['a', 'b']);
  const { writer, writes } = writerOf(clock, wanted, unsettled);
  writer.mark('a');
  writer.mark('b');
  await clock.advance(100);
  assert.deepEqual(writes, []);
  wanted.set('a', 'done');
  unsettled.delete('a');
  writer.mark('a');
  await clock.advance(100);
  assert.deepEqual(
    writes.map(({ name, status }) => [name, status]),
    [
      ['a', { value: 'done' }],
      ['b', { value: 'working' }],
    ],
  );
});

test('conflicts, overload and lost answers are tried again, as late as the server asks', async () => {
  const clock = virtualClock();
  const { writer, writes, replies, standing, told, log } = writerOf(clock, new Map([['a', 1]]));
  replies.push(
    { error: new KubeError(409, 'Conflict', 'conflict') },
    { error: new KubeError(429, 'TooManyRequests', 'busy', { retryAfterMs: 60_000 }) },
    { error: new KubeError(0, 'Timeout', 'no answer') },
  );
  writer.mark('a');
  await clock.advance(30_000);
  assert.equal(writes.length, 2);
  assert.equal(writer.pending, 1);
  await clock.advance(90_000);
  assert.deepEqual(standing.get('a'), { value: 1 });
  assert.deepEqual(told, [false, false, false, true]);
  assert.deepEqual(
    log.lines.map(({ level }) => level),
    ['debug', 'warn', 'warn'],
  );
});

test('a status that the schema refuses is not tried again until marked again', async () => {
  const clock = virtualClock();
  const { writer, writes, replies, standing, log } = writerOf(clock, new Map([['a', 1]]));
  replies.push({ error: new KubeError(422, 'Invalid', 'bad') });
  writer.mark('a');
  await clock.advance(60_000);
  assert.equal(writes.length, 1);
  assert.equal(writer.pending, 0);
  assert.deepEqual(
    log.lines.map(({ level }) => level),
    ['error'],
  );
  writer.mark('a');
  await clock.advance(60_000);
  assert.deepEqual(standing.get('a'), { value: 1 });
});

test('a status lands although the API server, just started, does not serve its kind yet', async () => {
  const clock = virtualClock();
  const { writer, replies, standing } = writerOf(clock, new Map([['a', 1]]));
  const notServed = new KubeError(404, 'NotFound', 'the server could not find the requested resource');
  replies.push({ error: notServed }, { error: notServed }, { error: notServed });
  writer.mark('a');
  await clock.advance(30_000);
  assert.deepEqual(standing.get('a'), { value: 1 });
  assert.equal(writer.pending, 0);
});

test('an object that is gone is given up as soon as there is nothing to say about it', async () => {
  const clock = virtualClock();
  const wanted = new Map<string, unknown>([['a', 1]]);
  const { writer, writes, replies } = writerOf(clock, wanted);
  const gone = new KubeError(404, 'NotFound', 'gone');
  replies.push(...Array.from({ length: 100 }, () => ({ error: gone })));
  writer.mark('a');
  await clock.advance(60_000);
  assert.ok(writes.length > 1 && writes.length < 20, `${writes.length} writes`);
  wanted.delete('a');
  await clock.advance(60_000);
  const { length } = writes;
  await clock.advance(600_000);
  assert.equal(writes.length, length);
  assert.equal(writer.pending, 0);
});

test('no more than eight writes are under way, and one object never has two', async () => {
  const clock = virtualClock();
  const wanted = new Map<string, unknown>(Array.from({ length: 40 }, (_, i) => [`o${i}`, 0]));
  const { writer, writes, replies, most } = writerOf(clock, wanted);
  for (let i = 0; i < 41; i++) replies.push({ afterMs: 7000 });
  for (const key of wanted.keys()) writer.mark(key);
  await clock.advance(1);
  wanted.set('o0', 1);
  writer.mark('o0');
  await clock.advance(6000);
  assert.equal(writes.filter(({ name }) => name === 'o0').length, 1);
  await clock.advance(100_000);
  assert.equal(most(), 8);
  assert.deepEqual(
    writes.filter(({ name }) => name === 'o0').map(({ status }) => status),
    [{ value: 0 }, { value: 1 }],
  );
});

test('a drain writes what is pending without the spacing, and ends by its signal when a write hangs', async () => {
  const clock = virtualClock();
  const wanted = new Map<string, unknown>([['a', 1]]);
  const { writer, replies, standing } = writerOf(clock, wanted);
  writer.mark('a');
  await clock.advance(10);
  wanted.set('a', 2);
  writer.mark('a');
  let drained = false;
  const ending = new AbortController();
  const draining = writer.drain(ending.signal).then(() => {
    drained = true;
  });
  await clock.advance(10);
  assert.deepEqual(standing.get('a'), { value: 2 });
  assert.equal(drained, true);
  await draining;

  wanted.set('a', 3);
  replies.push({ afterMs: 60_000 });
  writer.mark('a');
  const hanging = writer.drain(ending.signal);
  await clock.advance(10);
  ending.abort();
  await hanging;
  assert.equal(writer.pending, 1);
  writer.stop();
  assert.equal(writer.pending, 0);
});

test('whatever the changes and failures, the last state lands and the spacing holds between acknowledged writes', async () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b'),
    value: fc.nat(3),
    waitMs: fc.constantFrom(0, 10, 400, 3000, 7000),
    fails: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const clock = virtualClock();
      const wanted = new Map<string, unknown>();
      const { writer, writes, replies, standing } = writerOf(clock, wanted);
      for (const { key, value, waitMs, fails } of steps) {
        wanted.set(key, value);
        if (fails) replies.push({ error: new KubeError(503, 'ServiceUnavailable', 'down') });
        writer.mark(key);
        await clock.advance(waitMs);
      }
      replies.length = 0;
      await clock.advance(60_000);
      for (const [key, value] of wanted) assert.deepEqual(standing.get(key), { value });
      assert.equal(writer.pending, 0);
      const before = writes.length;
      for (const key of wanted.keys()) writer.mark(key);
      await clock.advance(60_000);
      assert.equal(writes.length, before, 'a mark without a change writes nothing');
      for (const key of wanted.keys()) {
        const times = writes.filter(({ name }) => name === key).map(({ at }) => at);
        const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
        const failures = steps.filter(({ fails }) => fails).length;
        assert.ok(times.length <= 1 + span / 5000 + failures, `${times.length} writes in ${span} ms`);
      }
    }),
    { numRuns: 60 },
  );
});
