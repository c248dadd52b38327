import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { RegistryErrorCode } from '../../src/registries/error.ts';
import { RETRIED, withRetry } from '../../src/registries/layers/retry.ts';
import type { ChangeResult } from '../../src/registries/registry.ts';
import { register, samplesOf } from '../conformance/samples.ts';
import { virtualClock } from '../virtual-clock.ts';
import { answeringRegistry, failedWith, failing, outcome } from './answering-registry.ts';

const never = new AbortController().signal;
const CODES = Object.keys(RETRIED) as RegistryErrorCode[];

for (const code of CODES) {
  const retried = RETRIED[code] !== false;
  it(`a read that fails with ${code} is ${retried ? 'tried two times more' : 'not tried again'}`, async () => {
    const clock = virtualClock();
    const bare = answeringRegistry(() => {
      throw failing(code);
    });
    const registry = withRetry(bare, { clock, random: () => 0.5 });
    for (const call of [
      () => registry.list('prod', never),
      () => registry.discover('web', never),
      () => registry.kv.get('web', 'key', never),
    ]) {
      const before = bare.asked.length;
      const end = outcome(call());
      await clock.advance(60_000);
      assert.equal(await end, code);
      assert.equal(bare.asked.length - before, retried ? 3 : 1);
    }
  });
}

it('the second wait is twice the first, and a registry that names a longer one gets it', async () => {
  const clock = virtualClock();
  const at: number[] = [];
  let retryAfterMs: number | undefined;
  const bare = answeringRegistry(() => {
    at.push(clock.now());
    throw failing('unreachable', retryAfterMs === undefined ? {} : { retryAfterMs });
  });
  const registry = withRetry(bare, { clock, random: () => 0 });
  const first = outcome(registry.list('prod', never));
  await clock.advance(10_000);
  await first;
  assert.deepEqual(at.splice(0), [0, 50, 150]);
  retryAfterMs = 3_000;
  const second = outcome(registry.list('prod', never));
  await clock.advance(10_000);
  await second;
  assert.deepEqual(at.splice(0), [10_000, 13_000, 16_000]);
  retryAfterMs = 60_000;
  assert.equal(await outcome(registry.list('prod', never)), 'unreachable');
  assert.equal(at.length, 1);
});

it('waiting for another try ends with the signal', async () => {
  const clock = virtualClock();
  const bare = answeringRegistry(({ operation }) => {
    if (operation === 'apply') return [failedWith('unavailable')];
    throw failing('unavailable');
  });
  const registry = withRetry(bare, { clock, random: () => 0.5 });
  const abort = new AbortController();
  const read = outcome(registry.list('prod', abort.signal));
  const write = registry.apply(samplesOf('prod', 1).map(register), abort.signal);
  await clock.advance(0);
  abort.abort();
  assert.equal(await read, 'aborted');
  const [result] = await write;
  assert.ok(result !== undefined && !result.ok && result.error.code === 'unavailable', 'what is known is told');
  assert.equal(bare.asked.length, 2);
});

it('a claim is tried again when certainly nothing was claimed, and never when its answer was lost', async () => {
  for (const [ambiguous, times] of [
    [false, 3],
    [true, 1],
  ] as const) {
    const clock = virtualClock();
    const bare = answeringRegistry(() => {
      throw failing('unreachable', { ambiguous });
    });
    const end = outcome(withRetry(bare, { clock, random: () => 0.5 }).claim({ cluster: 'prod', owner: 'us' }, never));
    await clock.advance(60_000);
    assert.deepEqual([await end, bare.asked.length], ['unreachable', times]);
  }
});

it('changes are not tried again once something has been claimed since they were asked for', async () => {
  const clock = virtualClock();
  const bare = answeringRegistry(({ operation, changes }) =>
    operation === 'apply' ? changes.map(() => failedWith('unavailable')) : undefined,
  );
  const registry = withRetry(bare, { clock, random: () => 0.5 });
  const asked = registry.apply(samplesOf('prod', 2).map(register), never);
  await registry.claim({ cluster: 'prod', owner: 'us' }, never);
  await clock.advance(60_000);
  assert.deepEqual(
    (await asked).map((result) => !result.ok && result.error.code),
    ['unavailable', 'unavailable'],
  );
  assert.deepEqual(
    bare.asked.map(({ operation }) => operation),
    ['apply', 'claim'],
  );
});

it('a check and a watch are not repeated', async () => {
  const bare = answeringRegistry(() => {
    throw failing('unreachable');
  });
  const registry = withRetry(bare, { clock: virtualClock(), random: () => 0.5 });
  assert.equal(await outcome(registry.check(never)), 'unreachable');
  assert.equal(await outcome(registry.watch({ service: 'web' }, () => {}, never)), 'unreachable');
  assert.equal(bare.asked.length, 2);
});

it('of an apply only what is known not to be written is repeated, and every change has its own last result', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.array(
          fc.record({ code: fc.constantFrom<RegistryErrorCode | 'ok'>('ok', ...CODES), ambiguous: fc.boolean() }),
          { minLength: 3, maxLength: 3 },
        ),
        { minLength: 1, maxLength: 8 },
      ),
      async (scripts) => {
        const clock = virtualClock();
        const changes = samplesOf('prod', scripts.length).map(register);
        const tries = changes.map(() => 0);
        const told: (ChangeResult | undefined)[] = changes.map(() => undefined);
        const bare = answeringRegistry(({ changes: given }) =>
          given.map((change) => {
            const index = changes.findIndex(({ instance }) => instance.id === change.instance.id);
            const before = told[index];
            const step = scripts[index]?.[tries[index] ?? 0] ?? assert.fail('tried a fourth time');
            if (before !== undefined) {
              assert.ok(!before.ok && !before.error.ambiguous && RETRIED[before.error.code] !== false);
            }
            tries[index] = (tries[index] ?? 0) + 1;
            const result: ChangeResult =
              step.code === 'ok' ? { ok: true } : failedWith(step.code, { ambiguous: step.ambiguous });
            told[index] = result;
            return result;
          }),
        );
        const results = withRetry(bare, { clock, random: () => 0.5 }).apply(changes, never);
        await clock.advance(60_000);
        assert.deepEqual(await results, told);
        for (const [index, result] of (await results).entries()) {
          const more = !result.ok && !result.error.ambiguous && RETRIED[result.error.code] !== false;
          if (more) assert.equal(tries[index], 3);
        }
      },
    ),
  ));
