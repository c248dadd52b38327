// What the restarts are judged by would see what must not happen.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Instance } from '../../src/mirror/instance.ts';
import { sampleOf } from '../conformance/samples.ts';
import type { Churn } from './churn.ts';
import { createObserver } from './observer.ts';
import type { Seen, Truth } from './truths.ts';

const KEPT = '10.0.0.1';
const GONE = '10.0.0.2';

/** Of two entries that stood, the second one was taken away by users. */
function opened(lateMs = 0) {
  let standing = new Map<string, Seen>();
  const truth = { name: 'any', lateMs, read: async () => standing } as unknown as Truth;
  const churn = {
    wanted: () => new Map([[KEPT, 'web healthy']]),
    wasRemoved: (address: string) => address === GONE,
  } as unknown as Churn;
  const observer = createObserver([truth], churn, 'test');
  const set = (...entries: readonly (readonly [string, Partial<Seen> & { readonly instance?: Instance }])[]) => {
    standing = new Map(
      entries.map(([address, over]) => [
        address,
        { instance: sampleOf('test', { address, service: 'web' }), born: '1', written: '1', ...over },
      ]),
    );
  };
  return { observer, set };
}

describe('the observer of restarts', () => {
  test('has nothing against entries that are written, and go when they should', async () => {
    const { observer, set } = opened();
    set([KEPT, {}], [GONE, {}]);
    await observer.look();
    set([KEPT, { written: '2' }]);
    await observer.look();
    observer.removed('any', GONE);
    assert.deepEqual(observer.wrong(), []);
    assert.equal(await observer.missing(true), undefined);
  });

  test('sees an entry that is absent though it is wanted', async () => {
    const { observer, set } = opened();
    set([KEPT, {}]);
    await observer.look();
    set();
    await observer.look();
    assert.deepEqual(observer.wrong(), [`any: ${KEPT} was wanted, had stood, and is absent`]);
    assert.match((await observer.missing()) ?? '', /nothing/);
  });

  test('gives a registry its time whose views go back, and no more', async () => {
    const { observer, set } = opened(20);
    set([KEPT, {}]);
    await observer.look();
    set();
    await observer.look();
    set([KEPT, {}]);
    await observer.look();
    assert.deepEqual(observer.wrong(), []);
    set();
    await observer.look();
    await delay(25);
    await observer.look();
    assert.deepEqual(observer.wrong(), [`any: ${KEPT} was wanted, had stood, and is absent`]);
  });

  test('sees an entry that was gone between two looks', async () => {
    const { observer, set } = opened();
    set([KEPT, {}]);
    await observer.look();
    set([KEPT, { born: '2' }]);
    await observer.look();
    assert.deepEqual(observer.wrong(), [`any: ${KEPT} was gone for a moment`]);
  });

  test('sees a deregistration that the registry tells of', () => {
    const { observer } = opened();
    observer.removed('any', KEPT);
    assert.deepEqual(observer.wrong(), [`any: ${KEPT} was wanted, and was deregistered`]);
  });

  test('sees a write of what stood already, and what stands too long', async () => {
    const { observer, set } = opened();
    set([KEPT, {}]);
    const before = await observer.stamps();
    set([KEPT, { written: '2' }], [GONE, {}]);
    assert.notDeepEqual(await observer.stamps(), before);
    assert.equal(await observer.missing(false), undefined);
    assert.match((await observer.missing(true)) ?? '', /is not wanted/);
  });
});
