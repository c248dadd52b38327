import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAbsenceProof } from '../../src/operator/cluster/absence.ts';
import { virtualClock } from '../virtual-clock.ts';

type Answer = 'absent' | 'present' | 'unknown';

function stage(answers: (Answer | Promise<Answer>)[] = []) {
  const clock = virtualClock();
  const asked: string[] = [];
  const proved: string[] = [];
  const cached = new Set<string>();
  const proof = createAbsenceProof({
    clock,
    waitMs: 30_000,
    async ask(kind, key) {
      asked.push(`${kind} ${key}`);
      return answers.shift() ?? 'absent';
    },
    isCached: (kind, key) => cached.has(`${kind} ${key}`),
    onProved: (kind, key) => proved.push(`${kind} ${key}`),
  });
  return { clock, asked, proved, cached, miss: (key = 'shop/web', kind = 'Service') => proof.missed(kind, key) };
}

describe('the absence of an object that was never cached', () => {
  it('is proved by two looks thirty seconds apart and a live read', async () => {
    const { clock, asked, proved, miss } = stage();
    await miss();
    await clock.advance(29_999);
    await miss();
    assert.deepEqual([asked, proved], [[], []]);
    await clock.advance(1);
    await miss();
    assert.deepEqual([asked, proved], [['Service shop/web'], ['Service shop/web']]);
  });

  it('is not proved while the cluster cannot say, and asked for at each further look', async () => {
    const { clock, asked, proved, miss } = stage(['unknown', 'unknown', 'absent']);
    await miss();
    await clock.advance(30_000);
    await miss();
    await miss();
    assert.equal(asked.length, 2);
    assert.deepEqual(proved, []);
    await miss();
    assert.equal(proved.length, 1);
  });

  it('begins anew when the cluster has the object after all', async () => {
    const { clock, asked, proved, miss } = stage(['present', 'absent']);
    await miss();
    await clock.advance(30_000);
    await miss();
    await miss();
    await clock.advance(29_000);
    await miss();
    assert.deepEqual([asked.length, proved], [1, []]);
    await clock.advance(1_000);
    await miss();
    assert.equal(proved.length, 1);
  });

  it('is not proved by an answer that an object has overtaken', async () => {
    const answer = Promise.withResolvers<Answer>();
    const { clock, proved, cached, miss } = stage([answer.promise]);
    await miss();
    await clock.advance(30_000);
    const asking = miss();
    cached.add('Service shop/web');
    answer.resolve('absent');
    await asking;
    assert.deepEqual(proved, []);
  });

  it('is a matter of each object: kinds and keys are not mixed up', async () => {
    const { clock, proved, miss } = stage();
    await miss('shop/web', 'Service');
    await clock.advance(30_000);
    await miss('shop/web', 'ServiceRegistration');
    await miss('shop/api', 'Service');
    assert.deepEqual(proved, []);
    await miss('shop/web', 'Service');
    assert.deepEqual(proved, ['Service shop/web']);
  });
});
