import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { withLimit } from '../../src/registries/layers/limit.ts';
import { createWindow } from '../../src/registries/window.ts';
import { virtualClock } from '../virtual-clock.ts';
import { answeringRegistry, outcome } from './answering-registry.ts';

const never = new AbortController().signal;

/** Calls last as long as `tookMs` says when they begin. */
function stage(maxInFlight: number, tookMs: () => number) {
  const clock = virtualClock();
  let inFlight = 0;
  let most = 0;
  const bare = answeringRegistry(async () => {
    most = Math.max(most, ++inFlight);
    await new Promise<void>((resolve) => clock.setTimer(tookMs(), resolve));
    inFlight--;
  });
  return {
    clock,
    bare,
    registry: withLimit(bare, { clock, maxInFlight }),
    mostSince: () => {
      const seen = most;
      most = inFlight;
      return seen;
    },
  };
}

it('the window halves with a slow call of a kind, grows by one with each other, and stays between one and its bound', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 32 }), fc.array(fc.nat(10_000)), (bound, times) => {
      const window = createWindow(bound);
      for (const ms of times) {
        const before = window.size;
        window.judge(ms);
        assert.ok(window.size >= 1 && window.size <= bound);
        assert.ok([Math.max(1, Math.floor(before / 2)), Math.min(bound, before + 1)].includes(window.size));
      }
    }),
  ));

it('a call is compared with calls of its own kind only', () => {
  const window = createWindow(8);
  window.judge(1, 'check');
  window.judge(1_000, 'list');
  assert.equal(window.size, 8);
  window.judge(4, 'check');
  assert.equal(window.size, 4);
});

it('no more calls than the bound are in flight, and all of them come to their turn in the order of their coming', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.nat(500), { minLength: 1, maxLength: 30 }),
      async (bound, times) => {
        let next = 0;
        const { clock, bare, registry, mostSince } = stage(bound, () => times[next++] ?? 0);
        const order: string[] = [];
        bare.asked.length = 0;
        const calls = times.map((_, index) =>
          registry.discover(`service-${index}`, never).then(() => order.push('done')),
        );
        await clock.advance(1_000_000);
        await Promise.all(calls);
        assert.equal(order.length, times.length);
        assert.ok(mostSince() <= bound);
      },
    ),
    { numRuns: 50 },
  );
});

it('calls begin in the order in which they were made', async () => {
  const begun: string[] = [];
  const clock = virtualClock();
  const bare = answeringRegistry(() => new Promise<void>((resolve) => clock.setTimer(10, resolve)));
  const discover: typeof bare.discover = (service, signal) => {
    begun.push(service);
    return bare.discover(service, signal);
  };
  const registry = withLimit({ ...bare, discover }, { clock, maxInFlight: 2 });
  const names = Array.from({ length: 9 }, (_, index) => `s${index}`);
  const calls = names.map((name) => registry.discover(name, never));
  await clock.advance(1_000);
  await Promise.all(calls);
  assert.deepEqual(begun, names);
});

it('a registry that slows gets fewer calls at once, and more again when it is quick', async () => {
  let ms = 10;
  const { clock, registry, mostSince } = stage(8, () => ms);
  const burst = async () => {
    mostSince();
    const calls = Array.from({ length: 24 }, () => registry.discover('web', never));
    await clock.advance(1_000_000);
    await Promise.all(calls);
  };
  await burst();
  assert.equal(mostSince(), 8);
  ms = 1_000;
  const slow = Array.from({ length: 8 }, () => registry.discover('web', never));
  await clock.advance(1_000);
  await Promise.all(slow);
  const calls = Array.from({ length: 8 }, () => registry.discover('web', never));
  mostSince();
  await clock.advance(0);
  assert.ok(mostSince() < 8);
  await clock.advance(1_000_000);
  await Promise.all(calls);
  ms = 10;
  await burst();
  await burst();
  assert.equal(mostSince(), 8);
});

it('whoever waits for a place is let go by its signal, and takes nothing from those behind', async () => {
  const { clock, bare, registry } = stage(1, () => 100);
  const abort = new AbortController();
  const first = outcome(registry.list('prod', never));
  const second = outcome(registry.list('prod', abort.signal));
  const third = outcome(registry.list('prod', never));
  abort.abort();
  assert.equal(await second, 'aborted');
  assert.equal(await outcome(registry.list('prod', AbortSignal.abort())), 'aborted');
  await clock.advance(1_000);
  assert.deepEqual([await first, await third, bare.asked.length], ['ok', 'ok', 2]);
});

it('checks and watches wait for no place', async () => {
  const { clock, bare, registry } = stage(1, () => 1_000);
  void registry.list('prod', never);
  void registry.watch({ service: 'web' }, () => {}, never);
  void registry.check(never);
  void registry.list('prod', never);
  await clock.advance(0);
  assert.deepEqual(bare.asked.map(({ operation }) => operation).sort(), ['check', 'list', 'watch']);
  await clock.advance(10_000);
});
