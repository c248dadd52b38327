import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RegistryError } from '../../src/registries/error.ts';
import { withContext } from '../../src/registries/layers/context.ts';
import { withLayers } from '../../src/registries/layers/layers.ts';
import { type Observation, withMetrics } from '../../src/registries/layers/metrics.ts';
import { type Deadlines, withTimeout } from '../../src/registries/layers/timeout.ts';
import { openMemory } from '../../src/registries/memory.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { noKeyValue, noWatch } from '../../src/registries/unclaimed.ts';
import { register, sampleOf, samplesOf } from '../conformance/samples.ts';
import { virtualClock } from '../virtual-clock.ts';
import { answeringRegistry, failedWith } from './answering-registry.ts';

const never = new AbortController().signal;
const deadlines: Deadlines = { batchMs: 10_000, listMs: 60_000, discoverMs: 5_000, checkMs: 20_000 };

/** Never answers and hears no signal; keeps the signals that it was given. */
function deafRegistry(batchSize = 100): ServiceRegistry & { readonly signals: AbortSignal[] } {
  const signals: AbortSignal[] = [];
  const wait = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise<never>(() => {});
  };
  return {
    signals,
    capabilities: { batchSize, leased: false, watch: false, kv: false, fenced: false },
    normalise: (instance) => ({ ok: true, instance }),
    apply: (_, signal) => wait(signal),
    list: (_, signal) => wait(signal),
    discover: (_, signal) => wait(signal),
    claim: (_, signal) => wait(signal),
    check: wait,
    watch: noWatch('it'),
    kv: noKeyValue('it'),
    close: async () => {},
  };
}

const rejection = (call: Promise<unknown>): Promise<RegistryError> =>
  call.then(
    () => assert.fail('the call resolved'),
    (error) => (error instanceof RegistryError ? error : assert.fail(String(error))),
  );

it('each operation of a registry that hears nothing ends by its deadline, not before, and its signal is aborted', async () => {
  const operations = [
    ['list', 60_000],
    ['discover', 5_000],
    ['check', 20_000],
  ] as const;
  for (const [operation, ms] of operations) {
    const clock = virtualClock();
    const deaf = deafRegistry();
    const registry = withTimeout(deaf, deadlines, clock);
    const call = operation === 'check' ? registry.check(never) : registry[operation]('x', never);
    let ended = false;
    const failure = rejection(call).finally(() => {
      ended = true;
    });
    await clock.advance(ms - 1);
    assert.equal(ended, false);
    await clock.advance(1);
    assert.equal(ended, true);
    const { code, ambiguous, message } = await failure;
    assert.deepEqual([code, ambiguous], ['timeout', false]);
    assert.match(message, /spec\.timeouts/);
    assert.ok(deaf.signals[0]?.aborted);
  }
});

it('an apply that does not end by its deadline, longer the more batches it takes, gives an ambiguous result for each change', async () => {
  for (const [changes, ms] of [
    [3, 10_000],
    [100, 10_000],
    [101, 20_000],
  ] as const) {
    const clock = virtualClock();
    const registry = withTimeout(deafRegistry(100), deadlines, clock);
    let ended = false;
    const results = registry.apply(samplesOf('prod', changes).map(register), never).finally(() => {
      ended = true;
    });
    await clock.advance(ms - 1);
    assert.equal(ended, false);
    await clock.advance(1);
    const all = await results;
    assert.equal(all.length, changes);
    assert.ok(all.every((result) => !result.ok && result.error.code === 'timeout' && result.error.ambiguous));
  }
});

it('a registry that hears nothing is left at once when the caller aborts', async () => {
  const deaf = deafRegistry();
  const registry = withTimeout(deaf, deadlines, virtualClock());
  const abort = new AbortController();
  const calls = [registry.apply([register(sampleOf('prod'))], abort.signal), registry.list('prod', abort.signal)];
  abort.abort();
  const [apply, list] = await Promise.all(calls.map(rejection));
  assert.deepEqual([apply?.code, apply?.ambiguous, list?.code, list?.ambiguous], ['aborted', true, 'aborted', false]);
  assert.ok(deaf.signals.every(({ aborted }) => aborted));
});

it('what ends in time leaves no timer and no listener', async () => {
  let timers = 0;
  const clock = {
    now: () => 0,
    setTimer: () => {
      timers++;
      return () => {
        timers--;
      };
    },
  };
  const listeners = { added: 0, removed: 0 };
  const signal = new AbortController().signal;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners.added++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners.removed++;
    remove(...args);
  };
  const registry = withTimeout(openMemory(), deadlines, clock);
  await registry.list('prod', signal);
  await registry.close();
  await rejection(registry.list('prod', signal));
  assert.equal(timers, 0);
  assert.deepEqual(listeners, { added: 2, removed: 2 });
});

it('every finished operation is observed once, with its outcome, duration and size', async () => {
  const clock = virtualClock();
  const seen: Observation[] = [];
  const slow = openMemory({ capacity: 2 });
  const registry = withMetrics(
    {
      ...slow,
      list: async (cluster, signal) => {
        await new Promise<void>((resolve) => clock.setTimer(250, resolve));
        return slow.list(cluster, signal);
      },
    },
    (observation) => seen.push(observation),
    clock,
  );
  await registry.apply(samplesOf('prod', 2).map(register), never);
  await registry.apply([register(sampleOf('prod', { number: 3 }))], never);
  const list = registry.list('prod', never);
  await clock.advance(250);
  await list;
  await registry.discover('prod-web', never);
  await registry.claim({ cluster: 'prod', owner: 'us' }, never);
  await rejection(registry.claim({ cluster: 'prod', owner: 'them' }, never));
  await registry.check(never);
  await rejection(registry.check(AbortSignal.abort()));
  await registry.close();
  await rejection(registry.apply([], never));
  assert.deepEqual(seen, [
    { operation: 'apply', outcome: 'ok', size: 2, durationMs: 0 },
    { operation: 'apply', outcome: 'too-large', size: 1, durationMs: 0 },
    { operation: 'list', outcome: 'ok', size: 2, durationMs: 250 },
    { operation: 'discover', outcome: 'ok', size: 2, durationMs: 0 },
    { operation: 'claim', outcome: 'ok', size: 0, durationMs: 0 },
    { operation: 'claim', outcome: 'owned', size: 0, durationMs: 0 },
    { operation: 'check', outcome: 'ok', size: 0, durationMs: 0 },
    { operation: 'check', outcome: 'aborted', size: 0, durationMs: 0 },
    { operation: 'apply', outcome: 'closed', size: 0, durationMs: 0 },
  ]);
});

it('a watch has no deadline, a claim and a key-value operation have that of one request, and a claim or put that is late is ambiguous', async () => {
  const clock = virtualClock();
  const bare = answeringRegistry(() => new Promise(() => {}));
  const registry = withTimeout(bare, deadlines, clock);
  let ended = 0;
  const watches = [
    registry.watch({ service: 'web' }, () => {}, never),
    registry.kv.watch('web', 'key', () => {}, never),
  ];
  for (const watch of watches) void watch.catch(() => {}).finally(() => ended++);
  const get = rejection(registry.kv.get('web', 'key', never));
  const put = rejection(registry.kv.put('web', 'key', 'value', never));
  const claim = rejection(registry.claim({ cluster: 'prod', owner: 'us' }, never));
  await clock.advance(5_000);
  assert.deepEqual(
    (await Promise.all([get, put, claim])).map(({ code, ambiguous }) => [code, ambiguous]),
    [
      ['timeout', false],
      ['timeout', true],
      ['timeout', true],
    ],
  );
  await clock.advance(10_000_000);
  assert.equal(ended, 0);
});

it('each hint of a watch and its failure are observed', async () => {
  const clock = virtualClock();
  const seen: Observation[] = [];
  const memory = openMemory();
  const registry = withMetrics(memory, (observation) => seen.push(observation), clock);
  let hints = 0;
  const watch = rejection(registry.watch({ service: 'prod-web' }, () => hints++, never));
  const pair = rejection(registry.kv.watch('prod-web', 'key', () => {}, never));
  await clock.advance(250);
  assert.equal(hints, 1);
  await memory.close();
  await Promise.all([watch, pair]);
  assert.deepEqual(
    seen.map(({ operation, outcome, durationMs }) => [operation, outcome, durationMs]),
    [
      ['watch', 'ok', 0],
      ['kv.watch', 'ok', 0],
      ['watch', 'closed', 250],
      ['kv.watch', 'closed', 250],
    ],
  );
});

it('errors say in which operation of which registry they happened, and for which instance; what they said already stays', async () => {
  const cause = new Error('ECONNRESET');
  const known = new RegistryError('conflict', 'it is there', { operation: 'normalise', context: { key: '/a' } });
  const bare = answeringRegistry(({ operation, changes }) => {
    if (operation === 'check') throw new TypeError('a defect');
    if (operation === 'discover') throw known;
    if (operation === 'apply') return changes.map(() => failedWith('rate-limited', { retryAfterMs: 7 }));
    throw new RegistryError('unreachable', 'there is no connection', {
      cause,
      ambiguous: true,
      context: { host: 'a' },
    });
  });
  const registry = withContext(bare, { type: 'Consul', name: 'main' });
  const list = await rejection(registry.list('prod', never));
  assert.deepEqual(
    [list.code, list.message, list.cause, list.ambiguous, list.operation, list.context],
    ['unreachable', 'there is no connection', cause, true, 'list', { type: 'Consul', name: 'main', host: 'a' }],
  );
  assert.equal((await rejection(registry.check(never))).code, 'protocol');
  assert.equal(await rejection(registry.discover('web', never)), known);
  const [result] = await registry.apply([register(sampleOf('prod'))], never);
  assert.ok(result !== undefined && !result.ok);
  const { operation, context, retryAfterMs } = result.error;
  assert.deepEqual([operation, retryAfterMs], ['apply', 7]);
  assert.deepEqual(context, { type: 'Consul', name: 'main', id: sampleOf('prod').id });
});

it('an apply is retried inside one observation, and its error leaves all layers with its context', async () => {
  const clock = virtualClock();
  const seen: Observation[] = [];
  const bare = answeringRegistry(() => [failedWith('unavailable')]);
  const options = { clock, deadlines, context: { type: 'Consul' }, maxInFlight: 4 };
  const registry = withLayers(bare, { ...options, retry: () => 0.5, observe: (one) => seen.push(one) });
  const results = registry.apply([register(sampleOf('prod'))], never);
  await clock.advance(10_000);
  const [result] = await results;
  assert.ok(result !== undefined && !result.ok && result.error.operation === 'apply');
  assert.equal(bare.asked.length, 3);
  assert.deepEqual(
    seen.map(({ outcome }) => outcome),
    ['unavailable'],
  );
});
