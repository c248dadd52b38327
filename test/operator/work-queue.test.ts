import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  createWorkQueue,
  type RunResult,
  type WorkQueue,
  type WorkQueueOptions,
} from '../../src/operator/registry/work-queue.ts';
import { virtualClock } from '../virtual-clock.ts';

const DONE: RunResult = { kind: 'done' };
const RETRY: RunResult = { kind: 'retry' };

interface Run {
  readonly key: string;
  readonly at: number;
  finish(result?: RunResult): Promise<void>;
  fail(): Promise<void>;
}

/** Runs end when the test says so; `auto` ends them at once. */
function stage(options: Partial<WorkQueueOptions> & { auto?: RunResult | ((key: string) => RunResult) } = {}) {
  const { auto, ...rest } = options;
  const clock = virtualClock();
  const runs: Run[] = [];
  const errors: string[] = [];
  const queue = createWorkQueue({
    clock,
    random: () => 0,
    concurrency: 100,
    onError: (key) => errors.push(key),
    run(key) {
      const end = Promise.withResolvers<RunResult>();
      runs.push({
        key,
        at: clock.now(),
        async finish(result = DONE) {
          end.resolve(result);
          await clock.advance(0);
        },
        async fail() {
          end.reject(new Error('a defect'));
          await clock.advance(0);
        },
      });
      if (auto !== undefined) end.resolve(typeof auto === 'function' ? auto(key) : auto);
      return end.promise;
    },
    ...rest,
  });
  const at = (key = 'a') => runs.filter((run) => run.key === key).map((run) => run.at);
  return { clock, queue, runs, errors, at };
}

describe('a key', () => {
  it('runs at once when it was quiet', async () => {
    const { clock, queue, at } = stage({ auto: DONE });
    queue.add('a');
    assert.deepEqual(at(), [0], 'in the same turn');
    await clock.advance(60_000);
    queue.add('a');
    assert.deepEqual(at(), [0, 60_000]);
  });

  it('runs once for all additions that come while it waits', async () => {
    const { clock, queue, at } = stage({ auto: DONE });
    for (let i = 0; i < 5; i++) queue.add('a');
    await clock.advance(0);
    for (let i = 0; i < 5; i++) queue.add('a');
    await clock.advance(10_000);
    assert.deepEqual(at(), [0, 100]);
  });

  it('that is added while it runs, runs once more afterwards', async () => {
    const { clock, queue, runs, at } = stage();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    await clock.advance(500);
    assert.equal(runs.length, 1, 'never twice at once');
    await runs[0]?.finish();
    assert.deepEqual(at(), [0, 500]);
    await runs[1]?.finish();
    await clock.advance(10_000);
    assert.equal(runs.length, 2);
  });

  it('that keeps changing runs in a window that doubles up to its limit', async () => {
    const { clock, queue, at } = stage({ auto: DONE });
    for (let ms = 0; ms < 30_000; ms += 10) {
      queue.add('a');
      await clock.advance(10);
    }
    assert.deepEqual(at().slice(0, 9), [0, 100, 300, 700, 1500, 3100, 6300, 10300, 14300]);
  });

  it('that flaps once a second for a minute runs at most 24 times, and the last change runs', async () => {
    for (const offset of [0, 1, 99, 250, 500, 999]) {
      const { clock, queue, at } = stage({ auto: DONE });
      await clock.advance(offset);
      let last = 0;
      for (let second = 0; second < 60; second++) {
        queue.add('a');
        last = clock.now();
        await clock.advance(1_000);
      }
      await clock.advance(10_000);
      assert.ok(at().length <= 24, `${at().length} runs`);
      assert.ok((at().at(-1) ?? 0) >= last);
    }
  });

  it('that has calmed down runs at once again, with the first window', async () => {
    const { clock, queue, at } = stage({ auto: DONE });
    for (let ms = 0; ms < 10_000; ms += 50) {
      queue.add('a');
      await clock.advance(50);
    }
    await clock.advance(30_000);
    const before = at().length;
    queue.add('a');
    await clock.advance(0);
    queue.add('a');
    await clock.advance(100);
    assert.deepEqual(
      at()
        .slice(before)
        .map((ms) => ms - (at()[before] ?? 0)),
      [0, 100],
    );
  });

  it('does not wait longer than the first window when it is urgent', async () => {
    const { clock, queue, at } = stage({ auto: DONE });
    for (let ms = 0; ms < 8_000; ms += 50) {
      queue.add('a');
      await clock.advance(50);
    }
    const before = at().length;
    const ran = at().at(-1) ?? 0;
    queue.add('a', 'urgent');
    await clock.advance(Math.max(0, ran + 100 - clock.now()));
    assert.equal(at().length, before + 1);
  });

  it('that is urgent stays so when a change that is not comes after it', async () => {
    const { clock, queue, at } = stage({ auto: DONE, window: { firstMs: 100, maxMs: 4_000, calmMs: 10_000 } });
    for (let ms = 0; ms < 8_000; ms += 10) {
      queue.add('a');
      await clock.advance(10);
    }
    const ran = at().at(-1) ?? 0;
    assert.ok(clock.now() - ran < 4_000);
    await clock.advance(ran + 4_000 - clock.now());
    const before = at().length;
    queue.add('a', 'urgent');
    queue.add('a', 'normal');
    await clock.advance(100);
    assert.equal(at().length, before + 1);
  });

  it('that is urgent while it runs is urgent afterwards, whatever comes after it', async () => {
    const { clock, queue, runs, at } = stage();
    for (let i = 0; i < 8; i++) {
      queue.add('a');
      await clock.advance(4_000);
      await runs[i]?.finish();
    }
    queue.add('a');
    assert.equal(runs.length, 9);
    queue.add('a', 'urgent');
    queue.add('a');
    await clock.advance(10);
    await runs[8]?.finish();
    await clock.advance(90);
    assert.equal(at().at(-1), (at().at(-2) ?? 0) + 100);
  });
});

describe('a key that fails', () => {
  it('runs again after a back-off that doubles up to its limit', async () => {
    const { clock, at } = await failing({ random: () => 0.999999 });
    await clock.advance(400_000);
    const waits = gaps(at());
    assert.deepEqual(waits.slice(0, 9).map(Math.round), [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
  });

  it('spreads its retries between half of the back-off and all of it', async () => {
    for (const [random, share] of [
      [0, 0.5],
      [0.5, 0.75],
    ] as const) {
      const { clock, at } = await failing({ random: () => random });
      await clock.advance(60_000);
      assert.deepEqual(
        gaps(at()).slice(0, 4),
        [500, 1000, 2000, 4000].map((ms) => ms * share),
      );
    }
  });

  it('waits as long as it was told to, when that is longer', async () => {
    const { clock, queue, at } = stage({ auto: { kind: 'retry', afterMs: 5_000 } });
    queue.add('a');
    await clock.advance(5_000);
    assert.deepEqual(at(), [0, 5_000]);
  });

  it('forgets its failures once it succeeds', async () => {
    const results = [RETRY, RETRY, RETRY, DONE, RETRY];
    const { clock, queue, at } = stage({ auto: () => results.shift() ?? DONE });
    queue.add('a');
    await clock.advance(20_000);
    queue.add('a');
    await clock.advance(20_000);
    assert.equal(gaps(at()).at(-1), 250);
  });

  it('by a defect is told and tried again', async () => {
    const { clock, queue, runs, errors } = stage();
    queue.add('a');
    await runs[0]?.fail();
    assert.deepEqual(errors, ['a']);
    await clock.advance(250);
    assert.equal(runs.length, 2);
  });

  it('holds up no other key', async () => {
    const { clock, queue, at } = stage({ auto: (key) => (key === 'bad' ? RETRY : DONE) });
    queue.add('bad');
    for (let i = 0; i < 10; i++) {
      queue.add('good');
      await clock.advance(20_000);
    }
    assert.equal(at('good').length, 10);
  });

  it('is looked at sooner when it changes', async () => {
    const { clock, queue, at } = stage({ auto: { kind: 'retry', afterMs: 60_000 } });
    queue.add('a');
    await clock.advance(1_000);
    queue.add('a');
    await clock.advance(0);
    assert.deepEqual(at(), [0, 1_000]);
  });

  it('is not put off by a change', async () => {
    const { clock, queue, at } = stage({ auto: RETRY, window: { firstMs: 4_000, maxMs: 4_000, calmMs: 10_000 } });
    queue.add('a');
    await clock.advance(100);
    queue.add('a');
    await clock.advance(150);
    assert.deepEqual(at(), [0, 250]);
  });
});

async function failing(options: Partial<WorkQueueOptions>) {
  const all = stage({ auto: RETRY, ...options });
  all.queue.add('a');
  await all.clock.advance(0);
  return all;
}

const gaps = (at: readonly number[]): readonly number[] => at.slice(1).map((ms, index) => ms - (at[index] ?? 0));

describe('the queue', () => {
  it('runs no more than its bound at once, and then those that waited, in order', async () => {
    const { queue, runs } = stage({ concurrency: 2 });
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    assert.deepEqual([runs.map(({ key }) => key), queue.running, queue.depth], [['a', 'b'], 2, 2]);
    await runs[1]?.finish();
    assert.deepEqual(
      runs.map(({ key }) => key),
      ['a', 'b', 'c'],
    );
    await runs[0]?.finish();
    assert.deepEqual([runs.map(({ key }) => key), queue.depth], [['a', 'b', 'c', 'd'], 0]);
  });

  it('does not let a busy key starve the others', async () => {
    const { queue, runs, clock } = stage({ concurrency: 1, window: { firstMs: 0, maxMs: 0, calmMs: 0 } });
    queue.add('busy');
    queue.add('other');
    queue.add('busy');
    await runs[0]?.finish();
    assert.equal(runs[1]?.key, 'other');
    await runs[1]?.finish();
    await clock.advance(0);
    assert.equal(runs[2]?.key, 'busy');
  });

  it('starts nothing while it is paused, keeps what comes, and runs it afterwards', async () => {
    const { clock, queue, runs } = stage({ auto: DONE });
    queue.pause();
    queue.add('a');
    queue.add('b');
    queue.add('a');
    await clock.advance(60_000);
    assert.equal(runs.length, 0);
    assert.equal(queue.has('a'), true);
    queue.resume();
    await clock.advance(60_000);
    assert.deepEqual(
      runs.map(({ key }) => key),
      ['a', 'b'],
    );
  });

  it('does not resume what was added while a run was going on when it was paused', async () => {
    const { clock, queue, runs } = stage();
    queue.add('a');
    queue.pause();
    queue.add('a');
    await runs[0]?.finish();
    await clock.advance(10_000);
    assert.equal(runs.length, 1);
    queue.resume();
    assert.equal(runs.length, 2);
  });

  it('tells when nothing runs', async () => {
    const { queue, runs, clock } = stage();
    await queue.idle();
    queue.add('a');
    queue.add('b');
    let idle = false;
    const waiting = queue.idle().then(() => {
      idle = true;
    });
    await runs[0]?.finish();
    assert.equal(idle, false);
    await runs[1]?.finish();
    await clock.advance(0);
    assert.equal(idle, true);
    await waiting;
  });

  it('knows what has work', async () => {
    const { clock, queue, runs } = stage();
    assert.equal(queue.has('a'), false);
    queue.add('a');
    assert.equal(queue.has('a'), true);
    await clock.advance(70);
    assert.deepEqual(queue.unfinishedMs(), [70]);
    await runs[0]?.finish(RETRY);
    assert.equal(queue.has('a'), true);
    await clock.advance(250);
    await runs[1]?.finish();
    assert.equal(queue.has('a'), false);
    assert.deepEqual(queue.unfinishedMs(), []);
  });

  it('starts nothing any more once it is stopped', async () => {
    const { clock, queue, runs } = stage({ concurrency: 1 });
    queue.add('a');
    queue.add('b');
    queue.stop();
    queue.add('c');
    await runs[0]?.finish(RETRY);
    await clock.advance(60_000);
    assert.deepEqual(
      runs.map(({ key }) => key),
      ['a'],
    );
  });

  it('tells how long a key waited and ran', async () => {
    const timings: unknown[] = [];
    const { clock, queue, runs } = stage({ concurrency: 1, onTiming: (timing) => timings.push(timing) });
    queue.add('a');
    queue.add('b');
    await clock.advance(30);
    await runs[0]?.finish();
    await clock.advance(50);
    await runs[1]?.finish(RETRY);
    assert.deepEqual(timings, [
      { waitedMs: 0, ranMs: 30, end: 'done' },
      { waitedMs: 30, ranMs: 50, end: 'retry' },
    ]);
  });
});

const KEYS = ['a', 'b', 'c'];
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      key: fc.constantFrom(...KEYS),
      urgency: fc.constantFrom('normal' as const, 'urgent' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('finish' as const),
      pick: fc.nat(),
      result: fc.constantFrom<RunResult | 'throw'>(DONE, RETRY, { kind: 'retry', afterMs: 2_000 }, 'throw'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 50, 100, 700, 5_000, 70_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const) }) },
);

describe('the queue, after any sequence of additions, ends, failures, pauses and time', () => {
  it('has lost no addition, never ran a key twice at once, kept its bound, and was on time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        async (steps, concurrency) => {
          const { clock, queue, runs } = stage({ concurrency });
          const open: Run[] = [];
          let seen = 0;
          /** Latest addition of each key that no run has started after, and whether it was urgent. */
          const owed = new Map<string, number>();
          let paused = false;

          const observe = () => {
            for (; seen < runs.length; seen++) {
              const run = runs[seen];
              assert.ok(run);
              assert.equal(paused, false, 'nothing starts while it is paused');
              assert.ok(!open.some(({ key }) => key === run.key), `${run.key} runs twice at once`);
              open.push(run);
              assert.ok(open.length <= concurrency, 'the bound is kept');
              owed.delete(run.key);
            }
            assert.equal(queue.running, open.length);
            for (const [key] of owed) assert.ok(queue.has(key), `the addition of ${key} is lost`);
          };

          for (const one of steps) {
            if (one.do === 'add') {
              owed.set(one.key, clock.now());
              queue.add(one.key, one.urgency);
            } else if (one.do === 'advance') {
              await clock.advance(one.ms);
            } else if (one.do === 'finish') {
              const [run] = open.splice(one.pick % Math.max(1, open.length), 1);
              if (run === undefined) continue;
              if (one.result === 'throw') await run.fail();
              else await run.finish(one.result);
            } else {
              paused = one.do === 'pause';
              if (one.do === 'pause') queue.pause();
              else queue.resume();
            }
            observe();
          }

          paused = false;
          queue.resume();
          observe();
          for (let rounds = 0; open.length > 0 || KEYS.some((key) => queue.has(key)); rounds++) {
            assert.ok(rounds < 100, 'it comes to rest');
            for (let run = open.shift(); run !== undefined; run = open.shift()) {
              await run.finish();
              observe();
            }
            // Longer than any window or back-off that has built up here.
            await clock.advance(70_000);
            observe();
          }
          assert.equal(owed.size, 0, 'every addition has had a run that began after it');
          await assertForgotten(queue, clock);
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** A key that nothing is to be remembered of starts at once, as if it had never been. */
async function assertForgotten(queue: WorkQueue, clock: { advance(ms: number): Promise<void> }): Promise<void> {
  await clock.advance(20_000);
  const before = queue.running;
  for (const key of KEYS.slice(0, queue.concurrency)) queue.add(key);
  assert.equal(queue.running, before + Math.min(KEYS.length, queue.concurrency));
}
