import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import type { Etcd3 } from 'etcd3';
import fc from 'fast-check';
import { RegistryError } from '../../src/registries/error.ts';
import type { Call, EtcdClient } from '../../src/registries/etcd/client.ts';
import { createEntries } from '../../src/registries/etcd/entries.ts';
import { itemOf, settle } from '../../src/registries/etcd/item.ts';
import { rosterLayout } from '../../src/registries/etcd/layouts/roster.ts';
import { openLeases } from '../../src/registries/etcd/leases.ts';
import { livenessOf } from '../../src/registries/etcd/liveness.ts';
import { createOwnWrites } from '../../src/registries/etcd/own-writes.ts';
import { createPlaces } from '../../src/registries/etcd/places.ts';
import { createStanding } from '../../src/registries/etcd/standing.ts';
import { sampleOf, update } from '../conformance/samples.ts';

const never = new AbortController().signal;

/** A server that grants leases with the ids 1, 2, …, and answers renewals by this function: the time that is left, or an error. */
function serverWith(ttlOf: (id: string) => number | Error = () => 60) {
  let granted = 0;
  const renewed: string[] = [];
  const leaseClient = {
    leaseGrant: async () => ({ ID: String(++granted) }),
    async leaseKeepAlive() {
      const stream = new EventEmitter();
      const write = ({ ID }: { ID: string }) => {
        const TTL = ttlOf(ID);
        renewed.push(ID);
        queueMicrotask(() =>
          TTL instanceof Error ? stream.emit('error', TTL) : stream.emit('data', { ID, TTL: String(TTL) }),
        );
      };
      return Object.assign(stream, { write, end: () => stream.emit('end') });
    },
  };
  const client: EtcdClient = {
    call: <T>(call: Call<T>) => call.send({ leaseClient } as unknown as Etcd3, {}),
    assertUsable: () => {},
    close: () => {},
  };
  return { client, granted: () => granted, renewed };
}

/** Lets everything happen that waits for nothing but promises. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the places of leases', () => {
  it('are at most a thousand in each, all keys of an entry have theirs in one, and what is free is used first', async () => {
    const step = fc.record({ entry: fc.nat(3_000), away: fc.boolean() });
    const run = fc.array(step, { minLength: 1_500, maxLength: 4_000, size: 'max' });
    await fc.assert(
      fc.asyncProperty(run, fc.constantFrom(1, 2, 3), async (steps, width) => {
        const { client, granted } = serverWith();
        const leases = openLeases(client, 60_000);
        const placed = new Map<number, string>();
        let most = 0;
        for (const { entry, away } of steps) {
          const keys = Array.from({ length: width }, (_, n) => `${entry}/${n}`);
          if (away) {
            leases.release(keys);
            placed.delete(entry);
            continue;
          }
          let lease = leases.place(keys);
          while (lease === undefined) {
            await leases.grow(never);
            lease = leases.place(keys);
          }
          // Whoever has his place keeps it.
          assert.equal(placed.get(entry) ?? lease, lease);
          placed.set(entry, lease);
          most = Math.max(most, placed.size);
        }
        const loads = new Map<string, number>();
        for (const lease of placed.values()) loads.set(lease, (loads.get(lease) ?? 0) + width);
        for (const [lease, load] of loads) {
          assert.ok(load <= 1_000);
          assert.ok(leases.isHeld(lease));
        }
        assert.equal(granted(), Math.ceil(most / Math.floor(1_000 / width)));
        leases.close();
      }),
      { numRuns: 20 },
    );
  });

  it('are of another lease when theirs was lost, and a lease is granted once for all who wait for it', async () => {
    const { client, granted } = serverWith((id) => (id === '1' ? 0 : 60));
    const leases = openLeases(client, 60_000);
    await Promise.all([1, 2, 3].map(() => leases.grow(never)));
    assert.equal(granted(), 1);
    assert.equal(leases.place(['a', 'b']), '1');
    await leases.verify(never);
    assert.deepEqual([leases.isHeld('1'), leases.place(['a', 'b'])], [false, undefined]);
    await leases.grow(never);
    assert.equal(leases.place(['a', 'b']), '2');
    await leases.verify(never);
    assert.ok(leases.isHeld('2'));
    leases.close();
  });

  it('are waited for until the signal', async () => {
    const { client } = serverWith();
    const leases = openLeases({ ...client, call: () => new Promise(() => {}) }, 60_000);
    const abort = new AbortController();
    const waiting = leases.grow(abort.signal);
    abort.abort();
    await assert.rejects(waiting, (error) => error instanceof RegistryError && error.code === 'aborted');
    leases.close();
  });
});

describe('the places of a change', () => {
  const entries = createEntries('/services', rosterLayout('/services'));
  const failed = new RegistryError('unreachable', 'nothing was sent');
  const cases = [
    ['that failed stay when it is not known what stands', undefined, failed, true],
    ['that failed stay when it stands under our lease', '1', failed, true],
    ['that failed are free when nothing of it stands', 'nothing', failed, false],
    ['that failed are free when it stands under another lease', '9', failed, false],
    [
      'that may have been written stay',
      'nothing',
      new RegistryError('timeout', 'no answer', { ambiguous: true }),
      true,
    ],
  ] as const;
  for (const [name, standsUnder, error, stays] of cases) {
    it(name, async () => {
      const leases = openLeases(serverWith().client, 60_000);
      const places = createPlaces(entries, leases);
      const standing = createStanding();
      const instance = sampleOf('prod', { liveness: 'leased' });
      const item = itemOf(update(instance, instance), standing, undefined);
      await places.take([item], never);
      assert.equal(item.lease, '1');
      const [{ key }] = entries.empty(instance) as [{ key: string }];
      if (standsUnder === 'nothing') standing.set(instance.id, []);
      else if (standsUnder !== undefined)
        standing.set(instance.id, [{ key, revision: '5', digest: '', lease: standsUnder }]);
      settle(item, error);
      places.settled(item);
      // A lease without places is dropped.
      await leases.verify(never);
      assert.equal(leases.isHeld('1'), stays);
      leases.close();
    });
  }
});

describe('leases are renewed', () => {
  it('three times in their TTL, and again soon where that failed; without keys they are not', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let fails = false;
    const { client, renewed } = serverWith(() => (fails ? new Error('no answer') : 60));
    const leases = openLeases(client, 60_000);
    const after = async (ms: number) => {
      t.mock.timers.tick(ms);
      await settled();
      return renewed.splice(0);
    };
    await leases.grow(never);
    leases.place(['a']);
    assert.deepEqual(await after(19_999), []);
    assert.deepEqual(await after(1), ['1']);
    assert.deepEqual(await after(20_000), ['1']);
    fails = true;
    assert.deepEqual(await after(20_000), ['1']);
    assert.deepEqual(await after(4_999), []);
    assert.deepEqual(await after(1), ['1']);
    assert.deepEqual(await after(5_000), ['1']);
    fails = false;
    assert.deepEqual(await after(5_000), ['1']);
    assert.deepEqual(await after(19_999), []);
    assert.deepEqual(await after(1), ['1']);
    leases.release(['a']);
    assert.deepEqual(await after(20_000), []);
    assert.equal(leases.isHeld('1'), false);

    await leases.grow(never);
    leases.place(['b']);
    assert.deepEqual(await after(20_000), ['2']);
    leases.close();
    assert.deepEqual(await after(600_000), []);
  });
});

describe('own writes', () => {
  const told = () => {
    const own = createOwnWrites();
    const foreign: string[] = [];
    return { own, foreign, event: (revision: string) => own.unlessOwn(revision, () => foreign.push(revision)) };
  };

  it('are known by the revision of their answer, whichever comes first', async () => {
    const { own, foreign, event } = told();
    let answer = (_: string | undefined) => {};
    const write = () => new Promise<string | undefined>((resolve) => (answer = resolve));
    const writing = own.during(write, (revision) => revision);
    event('7');
    event('8');
    await settled();
    assert.deepEqual(foreign, []);
    answer('7');
    await writing;
    await settled();
    assert.deepEqual(foreign, ['8']);
    event('7');
    event('9');
    assert.deepEqual(foreign, ['8', '9']);
  });

  it('that failed, or wrote nothing, are as if they were somebody else’s', async () => {
    const { own, foreign, event } = told();
    const failing = own.during(
      () => Promise.reject(new Error('no answer')),
      () => '7',
    );
    const empty = own.during(
      async () => 'nothing',
      () => undefined,
    );
    event('7');
    await assert.rejects(failing);
    await empty;
    await settled();
    assert.deepEqual(foreign, ['7']);
  });

  it('of a history that is no more are forgotten, those of this one are not', async () => {
    const { own, foreign, event } = told();
    const wrote = (revision: string) =>
      own.during(
        async () => {},
        () => revision,
      );
    for (const revision of ['9', '10', '11']) await wrote(revision);
    const stands = own.opening();
    await wrote('12');
    stands('9');
    for (const revision of ['9', '10', '11', '12']) event(revision);
    await settled();
    assert.deepEqual(foreign, ['10', '11']);
  });

  it('are forgotten when they are many', async () => {
    const { own, foreign, event } = told();
    for (let n = 1; n <= 10_001; n++) {
      await own.during(
        async () => {},
        () => String(n),
      );
    }
    event('1');
    event('2');
    await settled();
    assert.deepEqual(foreign, ['1']);
  });
});

it('an entry is leased when all its keys are under a lease of ours, and persistent when none is', () => {
  const isHeld = (lease: string) => lease === '7' || lease === '8';
  const cases = [
    [['0'], 'persistent'],
    [['0', '0'], 'persistent'],
    [['7', '7'], 'leased'],
    [['9', '9'], 'lapsing'],
    [['7', '0'], 'lapsing'],
    [['0', '7'], 'lapsing'],
    [['7', '8'], 'lapsing'],
  ] as const;
  for (const [leases, liveness] of cases) assert.equal(livenessOf(leases, isHeld), liveness);
});
