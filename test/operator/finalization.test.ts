import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Registration, RegistrationSpec } from '../../src/api/kinds.generated.ts';
import { FINALIZER } from '../../src/kubernetes/finalizer.ts';
import { createFinalization } from '../../src/operator/finalization.ts';
import { createLedger } from '../../src/operator/registry/ledger.ts';
import type { RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { instance, registration } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';

const ID = 'ServiceRegistration/shop/web';
const DELETED = '2026-01-02T00:00:00Z';

/** The caches, the API server and one registry, as far as a registration's end has to do with them. */
function stage(options: { hold?: () => Promise<void>; release?: () => Promise<void> } = {}) {
  const clock = virtualClock();
  const ledger = createLedger();
  const told: string[] = [];
  const state: {
    object: Registration | undefined;
    exists: boolean;
    open: boolean;
    up: boolean;
    guarded: boolean;
    leads: boolean;
  } = {
    object: undefined,
    exists: true,
    open: true,
    up: true,
    guarded: false,
    leads: true,
  };
  const finalization = createFinalization({
    clock,
    find: () => state.object,
    isHeld: () => state.guarded,
    leads: () => state.leads,
    registryOf: () => ({
      exists: state.exists,
      worker: state.open
        ? ({ ledger, link: state.up ? { state: 'up', version: '1' } : { state: 'opening' } } as RegistryWorker)
        : undefined,
    }),
    async hold() {
      told.push('hold');
      await options.hold?.();
    },
    async release() {
      told.push('release');
      await options.release?.();
    },
    onAbandoned: (_, entries, why) => told.push(`abandon ${entries}: ${why}`),
    onError: () => told.push('error'),
  });
  return {
    clock,
    ledger,
    told,
    state,
    load: (...instances: Parameters<ReturnType<typeof ledger.beginList>>[0]) => ledger.beginList()(instances),
    exists(spec: Partial<RegistrationSpec> = {}, held = true) {
      state.object = registration(spec, { finalizers: held ? [FINALIZER] : [] });
    },
    deleted(spec: Partial<RegistrationSpec> = {}) {
      state.object = registration(spec, { finalizers: [FINALIZER, 'example.com/other'], deletionTimestamp: DELETED });
    },
    async look() {
      finalization.look(ID);
      await clock.advance(0);
    },
    finalization,
  };
}

const entry = instance('10.0.0.1');
const gone = { action: 'deregister', instance: entry, reason: 'RegistrationDeleted' } as const;

describe('a registration', () => {
  it('is held by our finalizer as soon as it is seen, once', async () => {
    const { exists, look, told } = stage();
    exists({}, false);
    await look();
    assert.deepEqual(told, ['hold']);
    exists({}, true);
    await look();
    assert.deepEqual(told, ['hold']);
  });

  it('is not touched when it is being deleted without our finalizer, or is not there', async () => {
    const { look, told, state } = stage();
    await look();
    state.object = registration({}, { deletionTimestamp: DELETED, finalizers: ['example.com/other'] });
    await look();
    assert.deepEqual(told, []);
  });
});

describe('a deleted registration', () => {
  it('is let go at once when nothing stands for it', async () => {
    const { load, deleted, look, told } = stage();
    load(instance('10.0.0.1', {}, 'shop/other'));
    deleted();
    await look();
    assert.deepEqual(told, ['release']);
  });

  it('waits for its entries to be removed', async () => {
    const { clock, ledger, load, deleted, look, told } = stage();
    load(entry);
    deleted();
    await look();
    await clock.advance(30_000);
    assert.deepEqual(told, []);
    ledger.acknowledge(gone);
    await clock.advance(1_000);
    assert.deepEqual(told, ['release']);
  });

  it('waits for a registry that was not read yet: it may hold entries', async () => {
    const { clock, load, deleted, look, told } = stage();
    deleted();
    await look();
    await clock.advance(10_000);
    assert.deepEqual(told, []);
    load();
    await clock.advance(1_000);
    assert.deepEqual(told, ['release']);
  });

  it('is not let go on the word of a ledger whose registry is down', async () => {
    const { clock, load, deleted, look, told, state } = stage();
    load();
    state.up = false;
    deleted();
    await look();
    await clock.advance(10_000);
    assert.deepEqual(told, []);
    state.up = true;
    await clock.advance(1_000);
    assert.deepEqual(told, ['release']);
  });

  it('does not block its namespace for ever: a minute is all that a registry gets, and what is left is told', async () => {
    const { clock, load, deleted, look, told, state } = stage();
    load(entry);
    state.up = false;
    deleted();
    await look();
    await clock.advance(58_000);
    assert.deepEqual(told, []);
    await clock.advance(3_000);
    assert.deepEqual(told, ['abandon 1: its registry did not take the changes in time', 'release']);
  });

  it('is let go after a minute while the deletion guard holds its entries, and that is told', async () => {
    const { clock, load, deleted, look, told, state } = stage();
    load(entry);
    state.guarded = true;
    deleted();
    await look();
    await clock.advance(61_000);
    assert.deepEqual(told, [
      'abandon 1: the deletion guard holds its entries back (roster release --registry consul)',
      'release',
    ]);
  });

  it('is let go at once when its registry does not exist, and that is told', async () => {
    const { deleted, look, told, state } = stage();
    Object.assign(state, { exists: false, open: false });
    deleted();
    await look();
    assert.deepEqual(told, ['abandon 0: its registry does not exist', 'release']);
  });

  it('waits for a registry that exists and is not open', async () => {
    const { clock, deleted, look, told, state } = stage();
    state.open = false;
    deleted();
    await look();
    await clock.advance(59_000);
    assert.deepEqual(told, []);
    await clock.advance(2_000);
    assert.equal(told.at(-1), 'release');
  });

  it('gets its full minute, though one of the same name was forced away before', async () => {
    const { clock, load, deleted, look, told, state } = stage();
    load(entry);
    state.up = false;
    deleted();
    await look();
    await clock.advance(50_000);
    state.object = undefined;
    await clock.advance(20_000);
    deleted();
    await look();
    await clock.advance(50_000);
    assert.deepEqual(told, []);
  });

  it('is asked for again when letting it go failed', async () => {
    const failures = [new Error('conflict')];
    const { clock, load, deleted, look, told } = stage({
      release: async () => {
        const error = failures.pop();
        if (error) throw error;
      },
    });
    load();
    deleted();
    await look();
    assert.deepEqual(told, ['release', 'error']);
    await clock.advance(1_000);
    assert.deepEqual(told, ['release', 'error', 'release']);
  });

  it('is seen even when it was deleted while the finalizer was on its way', async () => {
    const held = Promise.withResolvers<void>();
    const { load, exists, deleted, look, told, clock } = stage({ hold: () => held.promise });
    load();
    exists({}, false);
    await look();
    deleted();
    await look();
    assert.deepEqual(told, ['hold']);
    held.resolve();
    await clock.advance(0);
    assert.deepEqual(told, ['hold', 'release']);
  });

  it('asks for nothing after the end', async () => {
    const { clock, load, deleted, look, told, finalization, ledger } = stage();
    load(entry);
    deleted();
    await look();
    finalization.stop();
    ledger.acknowledge(gone);
    await clock.advance(10_000);
    finalization.look(ID);
    await clock.advance(10_000);
    assert.deepEqual(told, []);
  });
});

describe('a deleted registration with deletionPolicy Retain', () => {
  const left = instance('10.0.0.1', { marks: { retained: true } });

  it('is let go at once when its entries say that they stay, even while the registry is down', async () => {
    const { load, deleted, look, told, state } = stage();
    load(left);
    state.up = false;
    deleted({ deletionPolicy: 'Retain' });
    await look();
    assert.deepEqual(told, ['release']);
  });

  it('waits until its entries say so: later nobody could tell them from leftovers', async () => {
    const { clock, ledger, load, deleted, look, told } = stage();
    load(entry);
    deleted({ deletionPolicy: 'Retain' });
    await look();
    await clock.advance(5_000);
    assert.deepEqual(told, []);
    ledger.acknowledge({ action: 'update', instance: left, previous: entry, reason: 'RegistrationDeleted' });
    await clock.advance(1_000);
    assert.deepEqual(told, ['release']);
  });

  it('waits for a registry that was not read yet', async () => {
    const { clock, load, deleted, look, told } = stage();
    deleted({ deletionPolicy: 'Retain' });
    await look();
    await clock.advance(5_000);
    assert.deepEqual(told, []);
    load(left);
    await clock.advance(1_000);
    assert.deepEqual(told, ['release']);
  });

  it('needs no registry that does not exist', async () => {
    const { deleted, look, told, state } = stage();
    Object.assign(state, { exists: false, open: false });
    deleted({ deletionPolicy: 'Retain' });
    await look();
    assert.deepEqual(told, ['release']);
  });
});

describe('a registration whose registry another replica leads', () => {
  it('is neither held nor let go here, until this one leads', async () => {
    const all = stage();
    all.load();
    all.state.leads = false;
    all.exists({}, false);
    await all.look();
    all.deleted();
    await all.look();
    await all.clock.advance(600_000);
    assert.deepEqual(all.told, []);
    all.state.leads = true;
    await all.look();
    assert.deepEqual(all.told, ['release']);
  });
});
