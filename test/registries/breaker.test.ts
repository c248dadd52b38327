import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { RegistryError } from '../../src/registries/error.ts';
import { withBreaker } from '../../src/registries/layers/breaker.ts';
import { register, samplesOf } from '../conformance/samples.ts';
import { virtualClock } from '../virtual-clock.ts';
import { answeringRegistry, failedWith, failing, outcome } from './answering-registry.ts';

const never = new AbortController().signal;

function stage() {
  const clock = virtualClock();
  const server = { away: true, asked: [] as { operation: string; at: number }[] };
  const bare = answeringRegistry(({ operation, changes }) => {
    server.asked.push({ operation, at: clock.now() });
    if (!server.away) return undefined;
    if (operation === 'apply') return changes.map(() => failedWith('unreachable', { ambiguous: true }));
    throw failing('unreachable');
  });
  const registry = withBreaker(bare, clock);
  const open = async () => {
    for (let n = 0; n < 3; n++) await outcome(registry.list('prod', never));
    server.asked.length = 0;
  };
  return { clock, server, bare, registry, open };
}

it('after three failures in a row that mean unreachable, everything fails at once with the last of them', async () => {
  const { server, registry, open } = stage();
  await open();
  const changes = samplesOf('prod', 2).map(register);
  const results = await registry.apply(changes, never);
  assert.equal(results.length, 2);
  for (const result of results) {
    assert.ok(!result.ok);
    assert.deepEqual([result.error.code, result.error.ambiguous], ['unreachable', false]);
    assert.match(result.error.message, /probed/);
  }
  for (const call of [
    registry.list('prod', never),
    registry.discover('web', never),
    registry.check(never),
    registry.watch({ service: 'web' }, () => {}, never),
    registry.kv.get('web', 'key', never),
    registry.kv.put('web', 'key', 'value', never),
  ]) {
    assert.equal(await outcome(call), 'unreachable');
  }
  assert.deepEqual(server.asked, []);
});

it('an answer between failures, even a refusal, keeps it closed', async () => {
  const { server, registry } = stage();
  const bare = answeringRegistry(() => {
    throw failing(server.away ? 'unavailable' : 'forbidden');
  });
  const guarded = withBreaker(bare, virtualClock());
  for (const away of [true, true, false, true, true, false]) {
    server.away = away;
    await outcome(guarded.list('prod', never));
  }
  assert.equal(bare.asked.length, 6);
  void registry;
});

it('an apply whose changes all could not be sent is a failure, one of which some were written is none', async () => {
  let partly = true;
  const bare = answeringRegistry(({ changes }) =>
    changes.map((_, index) => (partly && index === 0 ? { ok: true } : failedWith('timeout', { ambiguous: true }))),
  );
  const registry = withBreaker(bare, virtualClock());
  const changes = samplesOf('prod', 2).map(register);
  for (let n = 0; n < 5; n++) await registry.apply(changes, never);
  assert.equal(bare.asked.length, 5);
  partly = false;
  for (let n = 0; n < 5; n++) await registry.apply(changes, never);
  assert.equal(bare.asked.length, 8);
});

it('after a second a call asks first whether the registry is back, and goes on when it is', async () => {
  const { clock, server, registry, open } = stage();
  await open();
  await clock.advance(1_000);
  assert.equal(await outcome(registry.list('prod', never)), 'unreachable');
  await clock.advance(1_000);
  server.away = false;
  assert.equal(await outcome(registry.list('prod', never)), 'ok');
  assert.equal(await outcome(registry.discover('web', never)), 'ok');
  assert.deepEqual(
    server.asked.map(({ operation, at }) => `${operation} ${at}`),
    ['check 1000', 'check 2000', 'list 2000', 'discover 2000'],
  );
});

it('a registry that has lost what was claimed is back, and a claim reaches it', async () => {
  const { clock, server } = stage();
  let claimed = false;
  const bare = answeringRegistry(({ operation }) => {
    if (server.away) throw failing('unreachable');
    if (operation === 'claim') claimed = true;
    if (operation === 'check' && !claimed) throw failing('fenced');
    return undefined;
  });
  const registry = withBreaker(bare, clock);
  for (let n = 0; n < 3; n++) assert.equal(await outcome(registry.list('prod', never)), 'unreachable');
  assert.equal(await outcome(registry.claim({ cluster: 'prod', owner: 'us' }, never)), 'unreachable');
  server.away = false;
  await clock.advance(1_000);
  assert.equal(await outcome(registry.claim({ cluster: 'prod', owner: 'us' }, never)), 'ok');
  assert.equal(await outcome(registry.check(never)), 'ok');
});

it('owned and fenced are answers of a registry that is there', async () => {
  for (const code of ['owned', 'fenced'] as const) {
    const bare = answeringRegistry(({ operation, changes }) => {
      if (operation === 'apply') return changes.map(() => failedWith(code));
      throw failing(code);
    });
    const registry = withBreaker(bare, virtualClock());
    for (let n = 0; n < 4; n++) {
      assert.equal(await outcome(registry.claim({ cluster: 'prod', owner: 'us' }, never)), code);
      assert.equal(await outcome(registry.check(never)), code);
      await registry.apply(samplesOf('prod', 1).map(register), never);
    }
    assert.equal(bare.asked.length, 12);
  }
});

it('a check once a second, as a caller makes that waits for the registry, is never kept waiting longer', async () => {
  const { clock, server, registry, open } = stage();
  await open();
  for (let n = 0; n < 5; n++) {
    await clock.advance(1_000);
    await outcome(registry.check(never));
  }
  assert.deepEqual(
    server.asked.map(({ operation, at }) => `${operation} ${at}`),
    [1, 2, 3, 4, 5].map((second) => `check ${second * 1_000}`),
  );
  server.away = false;
  await clock.advance(1_000);
  assert.equal(await outcome(registry.check(never)), 'ok');
});

it('nothing is asked when nobody calls, and a cancelled probe decides nothing', async () => {
  const { clock, server, registry, open } = stage();
  await open();
  await clock.advance(60_000);
  assert.deepEqual(server.asked, []);
  const bare = answeringRegistry(({ operation }) => {
    if (operation === 'check') throw new RegistryError('aborted', 'check was cancelled');
    throw failing('unreachable');
  });
  const guarded = withBreaker(bare, clock);
  for (let n = 0; n < 3; n++) await outcome(guarded.list('prod', never));
  await clock.advance(1_000);
  assert.equal(await outcome(guarded.list('prod', never)), 'aborted');
  assert.equal(await outcome(guarded.list('prod', never)), 'unreachable');
  assert.equal(bare.asked.length, 4);
  void registry;
});

it('after close, the registry below says that it is closed', async () => {
  const { registry, open, bare } = stage();
  await open();
  await registry.close();
  assert.ok(bare.isClosed());
  const before = bare.asked.length;
  await outcome(registry.list('prod', never));
  assert.equal(bare.asked.length, before + 1);
});

it('however calls fall, the registry is asked at most once a second while it is away', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(700), fc.constantFrom('apply', 'list', 'check', 'watch', 'kv')), { maxLength: 60 }),
      async (calls) => {
        const { clock, server, registry, open } = stage();
        await open();
        for (const [ms, operation] of calls) {
          await clock.advance(ms);
          if (operation === 'apply') await registry.apply(samplesOf('prod', 1).map(register), never);
          if (operation === 'list') await outcome(registry.list('prod', never));
          if (operation === 'check') await outcome(registry.check(never));
          if (operation === 'watch') await outcome(registry.watch({ cluster: 'prod' }, () => {}, never));
          if (operation === 'kv') await outcome(registry.kv.get('web', 'key', never));
        }
        const times = server.asked.map(({ at }) => at);
        assert.ok(server.asked.every(({ operation }) => operation === 'check'));
        for (const [index, at] of times.entries()) {
          const before = times[index - 1];
          assert.ok(before === undefined || at - before >= 1_000, `${before} and ${at}`);
        }
      },
    ),
    { numRuns: 60 },
  ));
