import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endlessTerms } from '../../src/operator/leading/terms.ts';
import { openRegistryWorker, type RegistryWorkerOptions } from '../../src/operator/registry/registry-worker.ts';
import { RegistryError, type RegistryErrorCode } from '../../src/registries/error.ts';
import { instance } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';
import { scriptedRegistry } from './scripted-registry.ts';

const AUDIT_MS = 600_000;
const entry = instance('10.0.0.1');
const error = (code: RegistryErrorCode, ambiguous = false) => new RegistryError(code, `it is ${code}`, { ambiguous });

function stage({ watch = true, ...options }: Partial<RegistryWorkerOptions> & { readonly watch?: boolean } = {}) {
  const clock = virtualClock();
  const registry = scriptedRegistry(clock, { watch });
  const told: string[] = [];
  const worker = openRegistryWorker({
    id: 'ClusterRegistry/consul',
    cluster: 'prod',
    registry,
    clock,
    random: () => 1,
    terms: endlessTerms(),
    claimant: { seat: 'consul', owner: () => 'uid/roster-system', adopt: () => undefined },
    auditMs: () => AUDIT_MS,
    onTerm: () => {},
    onFenced: () => {},
    reconcile: async () => ({ kind: 'done' }),
    onListed: (owners) => told.push(`listed ${owners ?? 'all'}`),
    onLink: ({ state }) => told.push(state),
    onBlind: ({ code }) => told.push(`blind ${code}`),
    onWritten: () => {},
    onBatch: () => {},
    onClosed: () => {},
    timing: {},
    ...options,
  });
  /** What stands in the registry: each list that is asked for finds it. */
  let standing = [entry];
  const lists = () => registry.calls.filter(({ operation }) => operation === 'list').map(({ at }) => at);
  const answer = async () => {
    for (const call of registry.open('check')) await call.answer();
    for (const call of registry.open('list')) await call.answer(standing);
  };
  const last = () => registry.watches.at(-1) ?? assert.fail('no watch was opened');
  return {
    clock,
    registry,
    worker,
    told,
    lists,
    answer,
    last,
    holds: (...instances: readonly (typeof entry)[]) => {
      standing = [...instances];
    },
    /** Up, with a watch that stands, and listed once. */
    async open() {
      await registry.only('check').answer();
      await last().hint();
      await answer();
      told.length = 0;
    },
    /** Answers what is asked while time goes on. */
    async pass(ms: number, stepMs = 100) {
      for (let passed = 0; passed < ms; passed += stepMs) {
        await clock.advance(stepMs);
        await answer();
      }
    },
  };
}

describe('the watch of a registry', () => {
  it('is opened when the registry answers, for the entries of the cluster, and stands before the first list', async () => {
    const { registry, last, lists, clock } = stage();
    assert.equal(registry.watches.length, 0);
    await registry.only('check').answer();
    assert.deepEqual(
      registry.watches.map(({ scope }) => scope),
      [{ cluster: 'prod' }],
    );
    await clock.advance(500);
    assert.deepEqual(lists(), []);
    await last().hint();
    assert.deepEqual(lists(), [500]);
  });

  it('costs no second list by the hint with which it stands', async () => {
    const { open, pass, lists } = stage();
    await open();
    await pass(AUDIT_MS - 1_000);
    assert.equal(lists().length, 1);
  });

  it('that is slow to stand holds up the first list for 3 s, and has its hint answered when it comes', async () => {
    const { registry, clock, last, answer, lists, pass } = stage();
    await registry.only('check').answer();
    await clock.advance(2_999);
    assert.deepEqual(lists(), []);
    await clock.advance(1);
    assert.deepEqual(lists(), [3_000]);
    await answer();
    await pass(5_000);
    await last().hint();
    await answer();
    assert.deepEqual(lists(), [3_000, 8_000]);
  });

  it('that cannot be opened holds up nothing', async () => {
    const { registry, last, lists, told } = stage();
    await registry.only('check').answer();
    await last().fail(error('forbidden'));
    assert.deepEqual([lists(), told], [[0], ['blind forbidden']]);
  });

  it('is not opened where the registry has none', async () => {
    const { registry, answer, pass, lists } = stage({ watch: false });
    await answer();
    await pass(5_000);
    assert.deepEqual([registry.watches.length, lists()], [0, [0]]);
  });

  it('is opened again after it failed, ever later while it does not last, and says each reason once', async () => {
    const { open, registry, last, pass, told } = stage();
    await open();
    for (const code of ['unreachable', 'unreachable', 'unreachable', 'forbidden', 'forbidden'] as const) {
      await last().fail(error(code));
      const before = registry.watches.length;
      await pass(999, 111);
      assert.equal(registry.watches.length, before, 'not within a second');
      for (let waited = 1; registry.watches.length === before && waited < 70; waited++) await pass(1_000);
      assert.equal(registry.watches.length, before + 1);
    }
    const at = registry.watches.map((watch) => watch.at);
    const gaps = at.slice(2).map((time, index) => time - (at[index + 1] ?? 0));
    assert.ok(
      gaps.every((gap, index) => gap >= (gaps[index - 1] ?? 0) && gap < 62_000),
      `${gaps}`,
    );
    assert.deepEqual(told, ['blind unreachable', 'blind forbidden']);
  });

  it('comes back soon when it had stood for a while', async () => {
    const { open, registry, last, pass } = stage();
    await open();
    for (let n = 0; n < 6; n++) {
      await last().fail(error('unavailable'));
      const before = registry.watches.length;
      await pass(3_100);
      assert.equal(registry.watches.length, before + 1);
      await last().hint();
      await pass(60_000, 1_000);
    }
  });

  it('covers the gap by its first hint: what was changed meanwhile is found', async () => {
    const { open, last, pass, holds, told, lists } = stage();
    await open();
    await pass(10_000);
    await last().fail(error('unreachable'));
    holds();
    await pass(5_000);
    assert.equal(lists().length, 1);
    await last().hint();
    await pass(100);
    assert.deepEqual([lists().length, told], [2, ['blind unreachable', 'listed shop/web']]);
  });

  for (const code of ['unsupported', 'closed'] as const) {
    it(`is not opened again after ${code}`, async () => {
      const { open, registry, last, pass, worker, clock } = stage();
      await open();
      await last().fail(error(code));
      await pass(200_000, 1_000);
      worker.report(error('unreachable'));
      await clock.advance(0);
      await pass(3_000);
      assert.deepEqual([registry.watches.length, worker.link.state], [1, 'up']);
    });
  }

  it('is opened at once when the registry comes back, and that costs one list', async () => {
    const { open, registry, last, answer, worker, clock, lists, pass } = stage();
    await open();
    await pass(10_000);
    await last().fail(error('unreachable'));
    worker.report(error('unreachable'));
    await clock.advance(0);
    await registry.only('check').fail(error('unreachable'));
    await clock.advance(1_000);
    const before = [registry.watches.length, lists().length];
    await registry.only('check').answer();
    await last().hint();
    await answer();
    await pass(60_000, 1_000);
    assert.deepEqual([registry.watches.length, lists().length], [(before[0] ?? 0) + 1, (before[1] ?? 0) + 1]);
  });

  it('ends with the registry, in whatever state it is, and is not opened again', async () => {
    const states: readonly ((all: ReturnType<typeof stage>) => Promise<unknown>)[] = [
      ({ registry }) => registry.only('check').answer(),
      ({ open }) => open(),
      async ({ open, last }) => {
        await open();
        await last().fail(error('unreachable'));
      },
    ];
    for (const reach of states) {
      const all = stage();
      await reach(all);
      await all.worker.close();
      const before = [all.registry.watches.length, all.registry.calls.length];
      await all.clock.advance(1_000_000);
      assert.ok(all.registry.watches.every(({ ended }) => ended));
      assert.deepEqual([all.registry.watches.length, all.registry.calls.length], before);
    }
  });
});

describe('a hint', () => {
  it('brings the audit forward: drift is found at once', async () => {
    const { open, last, pass, answer, holds, lists, told, worker } = stage();
    await open();
    await pass(10_000);
    holds();
    await last().hint();
    await answer();
    assert.deepEqual([lists(), told], [[0, 10_000], ['listed shop/web']]);
    assert.deepEqual(worker.ledger.owned('shop/web'), []);
  });

  it('is answered a second after the list before, and many of them by one list', async () => {
    const { open, last, pass, holds, lists } = stage();
    await open();
    holds();
    for (let n = 0; n < 9; n++) {
      await last().hint();
      await pass(100);
    }
    assert.deepEqual(lists(), [0]);
    await pass(100);
    assert.deepEqual(lists(), [0, 1_000]);
  });

  it('that leads to nothing is answered ever more seldom, down to the audit', async () => {
    const { open, last, pass, lists } = stage({ auditMs: () => 60_000 });
    await open();
    for (let n = 0; n < 3_000; n++) {
      await last().hint();
      await pass(100);
    }
    const gaps = lists().map((at, index, all) => at - (all[index - 1] ?? 0));
    assert.deepEqual(gaps, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('is answered within a second again once one has led to something', async () => {
    const { open, last, pass, holds, lists } = stage();
    await open();
    for (let n = 0; n < 100; n++) {
      await last().hint();
      await pass(100);
    }
    assert.deepEqual(lists(), [0, 1_000, 3_000, 7_000]);
    holds();
    await last().hint();
    await pass(6_000);
    assert.deepEqual(lists(), [0, 1_000, 3_000, 7_000, 15_000]);
    holds(entry);
    await last().hint();
    await pass(1_000);
    assert.deepEqual(lists(), [0, 1_000, 3_000, 7_000, 15_000, 16_100]);
  });

  it('is answered within a second again after an interval without any', async () => {
    const { open, last, pass, lists } = stage({ auditMs: () => 60_000 });
    await open();
    for (let n = 0; n < 400; n++) {
      await last().hint();
      await pass(100);
    }
    await pass(180_000, 1_000);
    const before = lists().length;
    await pass(5_000);
    await last().hint();
    await pass(1_000);
    assert.equal(lists().length, before + 1);
  });

  it('that comes during a list is answered by another one', async () => {
    const { open, registry, last, pass, clock, lists, holds } = stage();
    await open();
    await pass(10_000);
    await last().hint();
    await registry.only('check').answer();
    holds();
    await last().hint();
    await registry.only('list').answer([entry]);
    assert.deepEqual(lists(), [0, 10_000]);
    await clock.advance(2_000);
    assert.deepEqual(registry.open('check').length, 1);
  });

  it('is still owed when the list that it brought could not tell of what was written meanwhile', async () => {
    const { open, registry, last, pass, worker, clock, told, lists, holds } = stage();
    await open();
    await pass(10_000);
    // An intruder removes the first entry while the second one of the same Service is being written.
    const second = instance('10.0.0.2');
    void worker.writer.submit([{ action: 'register', instance: second, reason: 'EndpointAdded' }]);
    await clock.advance(0);
    await last().hint();
    await registry.only('check').answer();
    await registry.only('apply').answer();
    await registry.only('list').answer([second]);
    assert.deepEqual(told, []);
    holds(second);
    await pass(2_000);
    assert.deepEqual([told, lists()], [['listed shop/web'], [0, 10_000, 12_000]]);
  });

  it('does not take a write whose answer is on its way for drift', async () => {
    const second = instance('10.0.0.2');
    const all = stage({
      async reconcile(owner) {
        const known = all.worker.ledger.owned(owner);
        if (known.length > 1) return { kind: 'done' };
        await all.worker.writer.submit([{ action: 'register', instance: second, reason: 'EndpointAdded' }]);
        return { kind: 'done' };
      },
    });
    const { open, registry, last, pass, clock, told, worker } = all;
    await open();
    await pass(10_000);
    worker.queue.add('shop/web');
    await clock.advance(0);
    const written = registry.only('apply');
    await last().hint();
    await registry.only('check').answer();
    await registry.only('list').answer([entry, second]);
    assert.deepEqual(told, ['listed '], 'nothing was changed behind our back');
    await written.answer();
    await pass(10_000);
    assert.equal(registry.calls.filter(({ operation }) => operation === 'apply').length, 1);
    assert.deepEqual(worker.ledger.owned('shop/web').length, 2);
  });
});
