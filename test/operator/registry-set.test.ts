import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClusterRegistry } from '../../src/api/kinds.generated.ts';
import type { Credentials } from '../../src/operator/registry/credentials.ts';
import { createRegistrySet } from '../../src/operator/registry/registry-set.ts';
import type { RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { clusterRegistry } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';

const ID = 'ClusterRegistry/consul';
const NO_SECRETS: Credentials = { ok: true, secrets: {} };

/** Workers are only named here: `worker 1`, `worker 2` … */
function stage() {
  const clock = virtualClock();
  const ending = new AbortController();
  const told: string[] = [];
  const state: {
    object: ClusterRegistry | undefined;
    credentials: () => Promise<Credentials>;
    create: () => void;
    close: () => Promise<void>;
  } = {
    object: clusterRegistry(),
    credentials: async () => NO_SECRETS,
    create: () => {},
    close: async () => {},
  };
  const names = new Map<RegistryWorker, string>();
  const set = createRegistrySet({
    clock,
    signal: ending.signal,
    find: (id) => (id === ID ? state.object : undefined),
    credentials: () => state.credentials(),
    create() {
      state.create();
      return openMemory();
    },
    open() {
      const name = `worker ${names.size + 1}`;
      told.push(`open ${name}`);
      const worker = {
        async close() {
          told.push(`close ${name}`);
          await state.close();
        },
      } as RegistryWorker;
      names.set(worker, name);
      return worker;
    },
    onChange: () => {},
    onReconfigured: (worker) => told.push(`reconfigured ${names.get(worker)}`),
    onError: (_, error) => told.push(`error ${error instanceof Error ? error.message : error}`),
  });
  const nameOf = () => {
    const worker = set.get(ID)?.worker;
    return worker === undefined ? undefined : names.get(worker);
  };
  return { clock, ending, told, state, set, nameOf, sync: () => set.sync(ID) };
}

describe('the set of registries', () => {
  it('opens one worker for a registry, however often it is looked at', async () => {
    const { told, sync, set, nameOf } = stage();
    await Promise.all([sync(), sync(), sync()]);
    assert.deepEqual(told, ['open worker 1']);
    assert.equal(nameOf(), 'worker 1');
    assert.deepEqual([...set.ids()], [ID]);
    assert.equal(set.workers().length, 1);
  });

  it('keeps the connection when only its rules change, and says so', async () => {
    const { told, state, sync } = stage();
    await sync();
    const changes = [
      { allowedNamespaces: { names: ['shop'] } },
      { allowUnmanagedEndpoints: true },
      { audit: { intervalSeconds: 5 } },
    ];
    for (const [index, change] of changes.entries()) {
      state.object = clusterRegistry(change, { generation: 2 + index });
      await sync();
    }
    assert.deepEqual(told, ['open worker 1', ...changes.map(() => 'reconfigured worker 1')]);
  });

  it('says nothing when nothing of the spec changed', async () => {
    const { told, state, sync } = stage();
    await sync();
    state.object = clusterRegistry({}, { resourceVersion: '2', labels: { a: 'b' } });
    await sync();
    assert.deepEqual(told, ['open worker 1']);
  });

  it('opens a new worker after the old one is closed when the connection or a secret changes', async () => {
    const { told, state, sync, nameOf } = stage();
    await sync();
    state.credentials = async () => ({ ok: true, secrets: { token: 'new' } });
    await sync();
    await sync();
    assert.deepEqual(told, ['open worker 1', 'close worker 1', 'open worker 2']);
    assert.equal(nameOf(), 'worker 2');
  });

  it('leaves the worker at work when its configuration cannot be used any more, and tells why', async () => {
    const { told, state, set, sync, nameOf } = stage();
    await sync();
    state.credentials = async () => ({ ok: false, reason: 'SecretNotFound', message: 'create it' });
    await sync();
    assert.deepEqual(told, ['open worker 1']);
    assert.equal(nameOf(), 'worker 1');
    assert.equal(set.get(ID)?.problem?.reason, 'SecretNotFound');
    state.credentials = async () => NO_SECRETS;
    await sync();
    assert.equal(set.get(ID)?.problem, undefined);
    assert.equal(nameOf(), 'worker 1');
  });

  it('looks at everything again when it can be used once more: its rules may have changed meanwhile', async () => {
    const { told, state, sync } = stage();
    await sync();
    state.object = clusterRegistry({ allowUnmanagedEndpoints: true }, { generation: 2 });
    state.credentials = async () => ({ ok: false, reason: 'SecretNotFound', message: 'create it' });
    await sync();
    state.credentials = async () => NO_SECRETS;
    await sync();
    assert.deepEqual(told, ['open worker 1', 'reconfigured worker 1']);
  });

  it('opens none for what an adapter refuses, and tells why', async () => {
    const { told, state, set, sync } = stage();
    state.create = () => {
      throw new RegistryError('invalid', 'the address is none');
    };
    await sync();
    assert.deepEqual(set.get(ID)?.problem, { reason: 'InvalidSpec', message: 'the address is none' });
    assert.deepEqual([told, set.workers()], [[], []]);
  });

  it('does not give up a worker for a configuration that the adapter refuses', async () => {
    const { told, state, sync, nameOf } = stage();
    await sync();
    state.credentials = async () => ({ ok: true, secrets: { ca: 'garbage' } });
    state.create = () => {
      throw new RegistryError('invalid', 'that is no certificate');
    };
    await sync();
    assert.deepEqual(told, ['open worker 1']);
    assert.equal(nameOf(), 'worker 1');
  });

  it('goes on when an old worker cannot be closed', async () => {
    const { told, state, sync, nameOf } = stage();
    await sync();
    state.close = async () => {
      throw new Error('it hangs on');
    };
    state.credentials = async () => ({ ok: true, secrets: { token: 'new' } });
    await sync();
    assert.deepEqual(told, ['open worker 1', 'close worker 1', 'error it hangs on', 'open worker 2']);
    assert.equal(nameOf(), 'worker 2');
  });

  it('tells an error and can be asked again', async () => {
    const { told, state, sync } = stage();
    state.credentials = async () => {
      throw new Error('no route');
    };
    await sync();
    state.credentials = async () => NO_SECRETS;
    await sync();
    assert.deepEqual(told, ['error no route', 'open worker 1']);
  });

  it('looks at one registry once at a time, and at its newest object', async () => {
    const { told, state, sync } = stage();
    const slow = Promise.withResolvers<Credentials>();
    state.credentials = () => slow.promise;
    const first = sync();
    await new Promise((resolve) => setImmediate(resolve));
    state.credentials = async () => ({ ok: true, secrets: { token: 'newer' } });
    const second = sync();
    slow.resolve(NO_SECRETS);
    await Promise.all([first, second]);
    assert.deepEqual(told, ['open worker 1', 'close worker 1', 'open worker 2']);
  });
});

describe('a registry whose object is gone', () => {
  it('stays open for a minute, for what goes with it to be removed, and is closed then', async () => {
    const { clock, told, state, set, sync, nameOf } = stage();
    await sync();
    state.object = undefined;
    await sync();
    await clock.advance(59_999);
    assert.equal(nameOf(), 'worker 1');
    await clock.advance(1);
    assert.deepEqual(told, ['open worker 1', 'close worker 1']);
    assert.equal(set.get(ID), undefined);
  });

  it('stays open when the object comes back', async () => {
    const { clock, told, state, sync, nameOf } = stage();
    await sync();
    state.object = undefined;
    await sync();
    await clock.advance(30_000);
    state.object = clusterRegistry();
    await sync();
    await clock.advance(100_000);
    assert.deepEqual(told, ['open worker 1']);
    assert.equal(nameOf(), 'worker 1');
  });

  it('is looked at as a whole when another object of its name comes', async () => {
    const { told, state, sync } = stage();
    await sync();
    state.object = undefined;
    await sync();
    state.object = clusterRegistry({ allowedNamespaces: { names: ['shop'] } }, { uid: 'another' });
    await sync();
    assert.deepEqual(told, ['open worker 1', 'reconfigured worker 1']);
  });

  it('gets its full minute each time', async () => {
    const { clock, state, sync, nameOf } = stage();
    await sync();
    state.object = undefined;
    await sync();
    await clock.advance(50_000);
    state.object = clusterRegistry();
    await sync();
    state.object = undefined;
    await sync();
    await clock.advance(50_000);
    assert.equal(nameOf(), 'worker 1');
    await clock.advance(10_000);
    assert.equal(nameOf(), undefined);
  });

  it('is closed once, and never while its object is being opened', async () => {
    const { clock, told, state, sync, nameOf } = stage();
    await sync();
    state.object = undefined;
    await sync();
    await sync();
    const slow = Promise.withResolvers<Credentials>();
    state.credentials = () => slow.promise;
    await clock.advance(59_000);
    state.object = clusterRegistry();
    const back = sync();
    await clock.advance(10_000);
    slow.resolve(NO_SECRETS);
    await back;
    await clock.advance(100_000);
    assert.deepEqual(told, ['open worker 1']);
    assert.equal(nameOf(), 'worker 1');
  });

  it('that was never open is no matter', async () => {
    const { state, set, sync } = stage();
    state.object = undefined;
    await sync();
    assert.equal(set.get(ID), undefined);
  });
});

describe('the end of the set', () => {
  it('opens no worker for what was being prepared, which nobody would close', async () => {
    const { ending, told, state, set, sync } = stage();
    const slow = Promise.withResolvers<Credentials>();
    state.credentials = () => slow.promise;
    const opening = sync();
    await new Promise((resolve) => setImmediate(resolve));
    ending.abort();
    await set.close();
    slow.resolve(NO_SECRETS);
    await opening;
    assert.deepEqual([told, set.workers()], [[], []]);
  });

  it('opens no worker in the place of one that is just being closed', async () => {
    const { ending, told, state, set, sync } = stage();
    await sync();
    const closing = Promise.withResolvers<void>();
    state.close = () => closing.promise;
    state.credentials = async () => ({ ok: true, secrets: { token: 'new' } });
    const replacing = sync();
    await new Promise((resolve) => setImmediate(resolve));
    ending.abort();
    const ended = set.close();
    closing.resolve();
    await Promise.all([replacing, ended]);
    assert.ok(!told.includes('open worker 2'));
  });

  it('closes every worker once and opens none any more', async () => {
    const { clock, ending, told, state, set, sync } = stage();
    await sync();
    state.object = undefined;
    await sync();
    ending.abort();
    await set.close();
    state.object = clusterRegistry({}, { generation: 2 });
    await sync();
    await clock.advance(100_000);
    assert.deepEqual(told, ['open worker 1', 'close worker 1']);
  });
});
