import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Change } from '../../src/mirror/change.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { endlessTerms } from '../../src/operator/leading/terms.ts';
import { openRegistryWorker, type RegistryWorkerOptions } from '../../src/operator/registry/registry-worker.ts';
import type { RunResult } from '../../src/operator/registry/work-queue.ts';
import { RegistryError, type RegistryErrorCode } from '../../src/registries/error.ts';
import type { ChangeResult } from '../../src/registries/registry.ts';
import { instance } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';
import { scriptedRegistry } from './scripted-registry.ts';

const DONE: RunResult = { kind: 'done' };
const entry = instance('10.0.0.1');
const change: Change = { action: 'register', instance: entry, reason: 'EndpointAdded' };
const error = (code: RegistryErrorCode, ambiguous = false) => new RegistryError(code, `it is ${code}`, { ambiguous });

/** `auditMs` is long, unless a test is about audits. */
function stage(options: Partial<RegistryWorkerOptions> = {}) {
  const clock = virtualClock();
  const registry = scriptedRegistry(clock);
  const told: string[] = [];
  const runs: string[] = [];
  const worker = openRegistryWorker({
    id: 'ClusterRegistry/consul',
    cluster: 'prod',
    registry,
    clock,
    random: () => 1,
    terms: endlessTerms(),
    claimant: { seat: 'consul', owner: () => 'uid/roster-system', adopt: () => undefined },
    auditMs: () => 1_000_000,
    onTerm: () => {},
    onFenced: (_, disputed) => told.push(disputed ? 'disputed' : 'fenced'),
    async reconcile(owner) {
      runs.push(owner);
      return DONE;
    },
    onListed: (owners) => told.push(`listed ${owners ?? 'all'}`),
    onLink: (link) => told.push(link.state === 'down' ? `down ${link.error.code}` : link.state),
    onBlind: ({ code }) => told.push(`blind ${code}`),
    onWritten: ({ action }, result) => told.push(`${action} ${result.ok ? 'ok' : result.error.code}`),
    onBatch: () => {},
    onClosed: () => told.push('closed'),
    timing: {},
    ...options,
  });
  const listOnce = async (instances: readonly Instance[] = []) => {
    await registry.only('check').answer();
    await registry.only('list').answer(instances);
  };
  return { clock, registry, worker, told, runs, listOnce };
}

describe('a registry at work', () => {
  it('decides nothing before it was asked and completely listed', async () => {
    const { clock, registry, worker, runs, told } = stage();
    worker.queue.add('shop/web');
    await clock.advance(60_000);
    assert.deepEqual([runs, worker.link.state], [[], 'opening']);
    await registry.only('check').answer();
    await clock.advance(60_000);
    assert.deepEqual([runs, worker.ledger.loaded], [[], false]);
    await registry.only('list').answer([entry]);
    assert.deepEqual([runs, worker.ledger.loaded, worker.link], [['shop/web'], true, { state: 'up', version: '1' }]);
    assert.deepEqual(worker.ledger.owned('shop/web'), [entry]);
    assert.deepEqual(told, ['listed all', 'up']);
  });

  it('is looked at as a whole before the first Service that waits, so that claims on names are known', async () => {
    const order: string[] = [];
    const { worker, listOnce } = stage({
      onListed: () => order.push('look at all'),
      async reconcile() {
        order.push('reconcile');
        return DONE;
      },
    });
    worker.queue.add('shop/web');
    await listOnce();
    assert.deepEqual(order, ['look at all', 'reconcile']);
  });

  it('that does not answer is asked once a second, and not listed', async () => {
    const { clock, registry, worker, told } = stage();
    for (let second = 0; second < 10; second++) {
      await registry.only('check').fail(error('unreachable'));
      assert.equal(worker.link.state, 'down');
      await clock.advance(999);
      assert.equal(registry.open('check').length, 0);
      await clock.advance(1);
    }
    assert.deepEqual(
      registry.calls.map(({ operation }) => operation),
      Array(11).fill('check'),
    );
    assert.deepEqual(told, ['down unreachable']);
  });

  it('tells when the reason why it is down changes', async () => {
    const { clock, registry, told } = stage();
    for (const code of ['unreachable', 'unreachable', 'unauthorized'] as const) {
      await registry.only('check').fail(error(code));
      await clock.advance(1_000);
    }
    assert.deepEqual(told, ['down unreachable', 'down unauthorized']);
  });

  it('that answers and cannot be listed is down: nothing is decided', async () => {
    const { clock, registry, worker, runs } = stage();
    worker.queue.add('shop/web');
    await registry.only('check').answer();
    await registry.only('list').fail(error('timeout'));
    await clock.advance(999);
    assert.deepEqual([runs, worker.link.state, worker.ledger.loaded], [[], 'down', false]);
  });

  it('that fails by something unknown is down, not forgotten', async () => {
    const { clock, registry, worker, listOnce } = stage();
    await registry.only('check').fail(new TypeError('a defect'));
    assert.equal(worker.link.state, 'down');
    await clock.advance(1_000);
    await listOnce();
    assert.equal(worker.link.state, 'up');
  });
});

describe('a registry that goes down and comes back', () => {
  it('is listed again before anything is decided, and then looked at as a whole', async () => {
    const { clock, registry, worker, told, runs, listOnce } = stage();
    await listOnce([entry]);
    worker.report(error('unreachable'));
    assert.equal(worker.link.state, 'down');
    worker.queue.add('shop/web');
    await clock.advance(0);
    await registry.only('check').fail(error('unreachable'));
    await clock.advance(1_000);
    await registry.only('check').answer();
    await clock.advance(5_000);
    assert.deepEqual(runs, []);
    await registry.only('list').answer([entry]);
    assert.deepEqual(runs, ['shop/web']);
    assert.deepEqual(told, ['listed all', 'up', 'down unreachable', 'listed all', 'up']);
  });

  it('keeps what it held, in our books, while it is away', async () => {
    const { clock, registry, worker, listOnce } = stage();
    await listOnce([entry]);
    worker.report(error('timeout', true));
    await clock.advance(0);
    await registry.only('check').fail(error('timeout'));
    await clock.advance(600);
    assert.deepEqual(worker.ledger.owned('shop/web'), [entry]);
  });

  for (const code of ['unreachable', 'timeout', 'unavailable', 'protocol'] as const) {
    it(`is down by ${code} of any operation`, async () => {
      const { worker, listOnce } = stage();
      await listOnce();
      worker.report(error(code));
      assert.equal(worker.link.state, 'down');
    });
  }

  for (const code of ['invalid', 'forbidden', 'too-large', 'rate-limited', 'conflict', 'not-found'] as const) {
    it(`is not down by ${code} of one change, and goes on with the others`, async () => {
      const { worker, listOnce, runs } = stage();
      await listOnce();
      worker.report(error(code));
      assert.equal(worker.link.state, 'up');
      worker.queue.add('shop/web');
      assert.deepEqual(runs, ['shop/web']);
    });
  }
});

describe('a write whose answer got lost', () => {
  it('stops all decisions until the registry was listed anew', async () => {
    const { clock, registry, worker, runs, listOnce } = stage();
    await listOnce();
    worker.report(error('aborted', true));
    worker.queue.add('shop/web');
    await clock.advance(0);
    assert.deepEqual(runs, []);
    await registry.only('check').answer();
    await clock.advance(10_000);
    assert.deepEqual(runs, []);
    await registry.only('list').answer([entry]);
    assert.deepEqual(runs, ['shop/web']);
    assert.deepEqual(worker.ledger.owned('shop/web'), [entry]);
  });

  it('tells which Services differ from what was known', async () => {
    const { clock, registry, worker, told, listOnce } = stage();
    await listOnce();
    told.length = 0;
    worker.report(error('aborted', true));
    await clock.advance(0);
    await listOnce([entry, instance('10.0.0.1', {}, 'shop/api')]);
    assert.deepEqual(told, ['listed shop/web,shop/api']);
    assert.equal(registry.open('check').length, 0);
  });

  it('during a list makes that list count for nothing: another one follows', async () => {
    const { clock, registry, worker, runs, listOnce } = stage();
    await listOnce();
    worker.report(error('aborted', true));
    await clock.advance(0);
    await registry.only('check').answer();
    worker.report(error('aborted', true));
    worker.queue.add('shop/web');
    await registry.only('list').answer([]);
    assert.deepEqual(runs, []);
    await listOnce([entry]);
    assert.deepEqual(runs, ['shop/web']);
  });

  it('is not asked for more often than once a second when lists fail too', async () => {
    const { clock, registry, worker, listOnce } = stage();
    await listOnce();
    worker.report(error('timeout', true));
    await clock.advance(0);
    const before = registry.calls.length;
    for (let second = 0; second < 5; second++) {
      await registry.only('check').answer();
      await registry.only('list').fail(error('timeout'));
      assert.equal(registry.open('check').length, 0);
      await clock.advance(1_000);
    }
    assert.equal(registry.calls.length - before, 10);
  });
});

describe('a stranger’s entry under one of our ids', () => {
  it('does not keep the others waiting for one list after the other', async () => {
    const { clock, registry, worker, runs, listOnce } = stage();
    await listOnce();
    for (let second = 0; second < 60; second++) {
      worker.report(error('conflict'));
      worker.queue.add(`shop/s${second}`);
      await clock.advance(1_000);
      for (const operation of ['check', 'list'] as const)
        for (const call of registry.open(operation)) await call.answer();
      assert.equal(runs.length, second + 1);
    }
    const lists = registry.calls.filter(({ operation }) => operation === 'list').length;
    assert.ok(lists >= 2 && lists <= 7, `${lists} lists`);
  });
});

describe('the audit', () => {
  it('comes after its interval, a little earlier by chance, and tells what drifted', async () => {
    const { clock, registry, worker, told, listOnce } = stage({ auditMs: () => 60_000, random: () => 0 });
    await listOnce([entry]);
    told.length = 0;
    await clock.advance(53_999);
    assert.equal(registry.open('check').length, 0);
    await clock.advance(1);
    await listOnce([]);
    assert.deepEqual(told, ['listed shop/web']);
    assert.deepEqual(worker.ledger.owned('shop/web'), []);
  });

  it('says nothing when nothing drifted, and comes again', async () => {
    const { clock, registry, told, listOnce } = stage({ auditMs: () => 60_000 });
    await listOnce([entry]);
    told.length = 0;
    for (let i = 0; i < 3; i++) {
      await clock.advance(60_000);
      await listOnce([entry]);
    }
    assert.deepEqual(told, []);
    assert.equal(registry.open('check').length, 0);
  });

  it('does not hold up decisions while it is going on', async () => {
    const { clock, registry, worker, runs, listOnce } = stage({ auditMs: () => 60_000 });
    await listOnce();
    await clock.advance(60_000);
    worker.queue.add('shop/web');
    assert.deepEqual(runs, ['shop/web']);
    await registry.only('check').answer();
    worker.queue.add('shop/api');
    assert.deepEqual(runs, ['shop/web', 'shop/api']);
  });

  it('takes its interval anew each time', async () => {
    let interval = 60_000;
    const { clock, registry, listOnce } = stage({ auditMs: () => interval });
    await listOnce();
    interval = 10_000;
    await clock.advance(60_000);
    await listOnce();
    await clock.advance(10_000);
    assert.equal(registry.open('check').length, 1);
  });
});

describe('what is written', () => {
  const submit = async (results?: readonly ChangeResult[]) => {
    const all = stage();
    await all.listOnce();
    const submitted = all.worker.writer.submit([change]);
    await all.clock.advance(0);
    await all.registry.only('apply').answer(results);
    await submitted;
    return all;
  };

  it('is in the ledger as soon as it is acknowledged', async () => {
    const { worker, told } = await submit();
    assert.deepEqual(worker.ledger.owned('shop/web'), [entry]);
    assert.equal(told.at(-1), 'register ok');
  });

  it('is not in the ledger when it was refused', async () => {
    const { worker, told } = await submit([{ ok: false, error: error('invalid') }]);
    assert.deepEqual(worker.ledger.owned('shop/web'), []);
    assert.equal(told.at(-1), 'register invalid');
  });
});

describe('the end of a registry at work', () => {
  it('waits for what is in flight, and starts nothing more', async () => {
    const { clock, registry, worker, runs, listOnce } = stage();
    await listOnce();
    void worker.writer.submit([change]);
    await clock.advance(0);
    let drained = false;
    const draining = worker.drain(new AbortController().signal).then(() => {
      drained = true;
    });
    worker.queue.add('shop/web');
    await clock.advance(1_000);
    assert.deepEqual([drained, runs], [false, []]);
    await registry.only('apply').answer();
    await draining;
    assert.deepEqual(worker.ledger.owned('shop/web'), [entry]);
  });

  it('does not wait longer than it may', async () => {
    const { clock, worker, listOnce } = stage();
    await listOnce();
    void worker.writer.submit([change]);
    await clock.advance(0);
    const deadline = new AbortController();
    const draining = worker.drain(deadline.signal);
    deadline.abort();
    await draining;
    await worker.drain(AbortSignal.abort());
  });

  it('closes the registry, removes nothing, and asks nothing more, in whatever state it was', async () => {
    const states: readonly ((all: ReturnType<typeof stage>) => Promise<unknown>)[] = [
      async () => {},
      async ({ registry }) => registry.only('check').answer(),
      async ({ listOnce }) => listOnce([entry]),
      async ({ registry }) => registry.only('check').fail(error('unreachable')),
    ];
    for (const reach of states) {
      const all = stage();
      await reach(all);
      await all.worker.close();
      const before = all.registry.calls.length;
      await all.clock.advance(10_000_000);
      assert.equal(all.registry.closed, true);
      assert.equal(all.told.at(-1), 'closed');
      assert.equal(all.registry.calls.length, before);
      assert.ok(!all.registry.calls.some(({ operation }) => operation === 'apply'));
    }
  });
});
