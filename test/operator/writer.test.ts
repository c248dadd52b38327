import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Change } from '../../src/mirror/change.ts';
import { createWriter, type WriterOptions } from '../../src/operator/registry/writer.ts';
import { RegistryError } from '../../src/registries/error.ts';
import type { ChangeResult } from '../../src/registries/registry.ts';
import { instance } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';

const OK: ChangeResult = { ok: true };
const no = (message = 'no'): ChangeResult => ({ ok: false, error: new RegistryError('invalid', message) });

const change = (n: number): Change => ({
  action: 'register',
  instance: instance(`10.0.${Math.floor(n / 250)}.${n % 250}`),
  reason: 'EndpointAdded',
});
const changes = (from: number, count: number): readonly Change[] =>
  Array.from({ length: count }, (_, i) => change(from + i));

interface Batch {
  readonly changes: readonly Change[];
  readonly at: number;
  answer(results?: readonly ChangeResult[]): Promise<void>;
  reject(error: unknown): Promise<void>;
}

function stage(options: Partial<WriterOptions> & { batchSize?: number } = {}) {
  const { batchSize = 10, ...rest } = options;
  const clock = virtualClock();
  const batches: Batch[] = [];
  const results: string[] = [];
  const sizes: number[] = [];
  const permit = { signal: new AbortController().signal };
  const writer = createWriter({
    clock,
    permit: () => permit,
    registry: {
      capabilities: { batchSize, leased: false, watch: false, kv: false, fenced: false },
      apply(given) {
        const end = Promise.withResolvers<readonly ChangeResult[]>();
        batches.push({
          changes: given,
          at: clock.now(),
          async answer(answers = given.map(() => OK)) {
            end.resolve(answers);
            await clock.advance(0);
          },
          async reject(error) {
            end.reject(error);
            await clock.advance(0);
          },
        });
        return end.promise;
      },
    },
    onResult: ({ instance: { address } }, result) => results.push(`${address} ${result.ok ? 'ok' : result.error.code}`),
    onBatch: (size) => sizes.push(size),
    ...rest,
  });
  return { clock, batches, results, sizes, writer, turn: () => clock.advance(0) };
}

describe('the writer', () => {
  it('sends nothing under another permit than that under which it was submitted', async () => {
    const permits = [1, 2].map(() => ({ signal: new AbortController().signal }));
    let permit: (typeof permits)[number] | undefined = permits[0];
    const { writer, batches, results, turn } = stage({ permit: () => permit, maxInFlight: 1 });
    void writer.submit(changes(0, 1));
    await turn();
    // The first one hangs while a term ends and the next one begins; these wait behind it.
    const early = writer.submit(changes(1, 1));
    permit = undefined;
    const between = writer.submit(changes(2, 1));
    permit = permits[1];
    const late = writer.submit(changes(3, 1));
    await batches[0]?.answer();
    await batches[1]?.answer();
    assert.deepEqual(
      (await Promise.all([early, between, late])).flat().map((one) => one.ok),
      [false, false, true],
    );
    assert.deepEqual(
      batches.map((batch) => batch.changes.length),
      [1, 1],
    );
    assert.deepEqual(results.map((line) => line.split(' ')[1]).sort(), ['aborted', 'aborted', 'ok', 'ok']);
  });

  it('writes nothing for nothing', async () => {
    const { writer, batches, turn } = stage();
    assert.deepEqual(await writer.submit([]), []);
    await turn();
    assert.equal(batches.length, 0);
  });

  it('sends a change at once when nothing is in flight, together with what came in the same turn', async () => {
    const { writer, batches, turn, clock } = stage();
    void writer.submit(changes(0, 2));
    void writer.submit(changes(2, 1));
    await turn();
    assert.equal(clock.now(), 0);
    assert.deepEqual(
      batches.map((batch) => batch.changes.length),
      [3],
    );
  });

  it('sends full batches at once, and lets one that is not full wait for company', async () => {
    const { writer, batches, clock, turn } = stage({ lingerMs: 4 });
    void writer.submit(changes(0, 23));
    await turn();
    assert.deepEqual(
      batches.map((batch) => batch.changes.length),
      [10, 10],
    );
    await clock.advance(3);
    void writer.submit(changes(23, 2));
    await turn();
    assert.equal(batches.length, 2);
    await clock.advance(1);
    assert.deepEqual(
      batches.map((batch) => batch.changes.length),
      [10, 10, 5],
    );
  });

  it('sends what waits as soon as the line is free', async () => {
    const { writer, batches, turn } = stage({ lingerMs: 1_000_000 });
    void writer.submit(changes(0, 1));
    await turn();
    void writer.submit(changes(1, 1));
    await turn();
    assert.equal(batches.length, 1);
    await batches[0]?.answer();
    await turn();
    assert.equal(batches.length, 2);
  });

  it('has no more than its bound in flight', async () => {
    const { writer, batches, turn } = stage({ maxInFlight: 3 });
    void writer.submit(changes(0, 100));
    await turn();
    assert.equal(batches.length, 3);
    await batches[1]?.answer();
    await turn();
    assert.equal(batches.length, 4);
    assert.equal(writer.pending, 90);
  });

  it('keeps the order of what was submitted', async () => {
    const { writer, batches, turn } = stage();
    void writer.submit(changes(0, 25));
    void writer.submit(changes(25, 15));
    await turn();
    await batches[0]?.answer();
    await turn();
    assert.deepEqual(
      batches.flatMap((batch) => batch.changes),
      changes(0, 40),
    );
  });

  it('answers each change with its own result, in order, after it was told of', async () => {
    const { writer, batches, results, turn } = stage({ batchSize: 2 });
    const first = writer.submit(changes(0, 3));
    const second = writer.submit(changes(3, 1));
    await turn();
    assert.deepEqual(
      batches.map((batch) => batch.changes.length),
      [2, 2],
    );
    await batches[1]?.answer([OK, no('too much')]);
    await batches[0]?.answer([no('first'), OK]);
    assert.deepEqual(await first, [no('first'), OK, OK]);
    assert.deepEqual(await second, [no('too much')]);
    assert.deepEqual(results, ['10.0.0.2 ok', '10.0.0.3 invalid', '10.0.0.0 invalid', '10.0.0.1 ok']);
    assert.equal(writer.pending, 0);
  });

  it('turns a rejection into a result for each change, and goes on', async () => {
    const { writer, batches, turn } = stage();
    const failed = writer.submit(changes(0, 2));
    await turn();
    await batches[0]?.reject(new Error('a defect of the adapter'));
    for (const result of await failed) assert.ok(!result.ok && result.error.ambiguous, 'it may have been written');
    const next = writer.submit(changes(2, 1));
    await turn();
    await batches[1]?.answer();
    assert.deepEqual(await next, [OK]);
  });

  it('keeps what an error says of itself', async () => {
    const { writer, batches, turn } = stage();
    const error = new RegistryError('rate-limited', 'later', { retryAfterMs: 7 });
    const failed = writer.submit(changes(0, 1));
    await turn();
    await batches[0]?.reject(error);
    assert.deepEqual(await failed, [{ ok: false, error }]);
  });

  it('takes missing results for changes that may have been written', async () => {
    const { writer, batches, turn } = stage();
    const submitted = writer.submit(changes(0, 3));
    await turn();
    await batches[0]?.answer([OK]);
    const [first, ...others] = await submitted;
    assert.deepEqual(first, OK);
    assert.equal(others.length, 2);
    for (const result of others) assert.ok(!result.ok && result.error.code === 'protocol' && result.error.ambiguous);
  });

  it('tells when nothing is pending', async () => {
    const { writer, batches, turn } = stage();
    await writer.drained();
    void writer.submit(changes(0, 15));
    let drained = false;
    const waiting = writer.drained().then(() => {
      drained = true;
    });
    await turn();
    await batches[0]?.answer();
    await turn();
    assert.equal(drained, false);
    await batches[1]?.answer();
    await turn();
    assert.equal(drained, true);
    await waiting;
  });

  it('tells the size of each batch', async () => {
    const { writer, batches, sizes, turn } = stage();
    void writer.submit(changes(0, 12));
    await turn();
    await batches[0]?.answer();
    await turn();
    await batches[1]?.answer();
    assert.deepEqual(sizes, [10, 2]);
  });
});

describe('the window of batches in flight', () => {
  /** Answers every batch after `ms`, and gives the most that were in flight at once. */
  async function pace(all: ReturnType<typeof stage>, rounds: number, ms: number): Promise<number> {
    const { batches, clock, writer } = all;
    let most = 0;
    for (let round = 0; round < rounds; round++) {
      void writer.submit(changes(round * 1_000, 60));
      await clock.advance(0);
      while (writer.pending > 0) {
        const open = batches.splice(0);
        most = Math.max(most, open.length);
        await clock.advance(ms);
        for (const batch of open) await batch.answer();
        await clock.advance(0);
      }
    }
    return most;
  }

  it('stays open for a registry that is steady, fast or not', async () => {
    for (const ms of [1, 100, 5_000]) {
      const all = stage({ maxInFlight: 4 });
      await pace(all, 3, ms);
      assert.equal(await pace(all, 3, ms), 4);
    }
  });

  it('halves with each batch that takes far longer than usual, and opens by one with each that does not', async () => {
    const all = stage({ maxInFlight: 8 });
    const { batches, clock, writer } = all;
    await pace(all, 3, 10);
    void writer.submit(changes(0, 400));
    await clock.advance(0);
    assert.equal(batches.length, 8);
    await clock.advance(1_000);
    for (let i = 0; i < 3; i++) await batches[i]?.answer();
    await clock.advance(0);
    assert.equal(batches.length, 8, 'with five in flight and a window of one nothing more is sent');
    for (let i = 3; writer.pending > 0; i++) {
      await batches[i]?.answer();
      await clock.advance(0);
    }
    batches.length = 0;
    for (let i = 0; i < 3; i++) await pace(all, 1, 10);
    assert.equal(await pace(all, 1, 10), 6, 'all that one round has');
  });

  it('is not judged by small batches', async () => {
    const all = stage({ maxInFlight: 4, batchSize: 10 });
    await pace(all, 3, 10);
    for (let i = 0; i < 10; i++) {
      void all.writer.submit(changes(0, 1));
      await all.clock.advance(0);
      await all.clock.advance(60_000);
      for (const batch of all.batches.splice(0)) await batch.answer();
      await all.clock.advance(0);
    }
    assert.equal(await pace(all, 1, 10), 4);
  });
});

describe('the writer, after any sequence of submissions and answers', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('submit' as const), count: fc.integer({ min: 0, max: 25 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('answer' as const),
        pick: fc.nat(),
        how: fc.constantFrom('ok' as const, 'mixed' as const, 'short' as const, 'reject' as const),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(0, 1, 4, 1_000) }) },
  );

  it('has given each change exactly one result, its own, and sent each exactly once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, batchSize, maxInFlight) => {
          const { writer, batches, clock, results } = stage({ batchSize, maxInFlight });
          const submissions: { given: readonly Change[]; results: Promise<readonly ChangeResult[]> }[] = [];
          const expected = new Map<Change, boolean>();
          const open: Batch[] = [];
          const sent: Change[] = [];
          let seen = 0;
          let next = 0;
          const observe = () => {
            for (; seen < batches.length; seen++) {
              const batch = batches[seen];
              assert.ok(batch && batch.changes.length > 0 && batch.changes.length <= batchSize);
              open.push(batch);
              sent.push(...batch.changes);
            }
            assert.ok(open.length <= maxInFlight);
          };
          const answer = async (batch: Batch, how: 'ok' | 'mixed' | 'short' | 'reject') => {
            batch.changes.forEach((one, index) => {
              expected.set(
                one,
                how === 'ok' || (how === 'mixed' && index % 2 === 0) || (how === 'short' && index === 0),
              );
            });
            if (how === 'reject') return batch.reject(new Error('broken'));
            const answers = batch.changes.map((_, index) => (how === 'mixed' && index % 2 === 1 ? no() : OK));
            return batch.answer(how === 'short' ? answers.slice(0, 1) : answers);
          };
          for (const one of steps) {
            if (one.do === 'submit') {
              const given = changes(next, one.count);
              next += one.count;
              submissions.push({ given, results: writer.submit(given) });
            } else if (one.do === 'advance') {
              await clock.advance(one.ms);
            } else {
              const [batch] = open.splice(one.pick % Math.max(1, open.length), 1);
              if (batch !== undefined) await answer(batch, one.how);
            }
            observe();
          }
          for (let rounds = 0; writer.pending > 0; rounds++) {
            assert.ok(rounds < 1_000, 'it comes to rest');
            await clock.advance(10);
            observe();
            for (const batch of open.splice(0)) await answer(batch, 'ok');
          }
          assert.deepEqual(
            sent,
            submissions.flatMap(({ given }) => given),
            'each once, in order',
          );
          assert.equal(results.length, next);
          for (const { given, results: promised } of submissions) {
            const answers = await promised;
            assert.deepEqual(
              answers.map(({ ok }) => ok),
              given.map((one) => expected.get(one)),
            );
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
