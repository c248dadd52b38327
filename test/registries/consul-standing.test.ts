import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createStanding, type Known } from '../../src/registries/consul/standing.ts';

const at = (index: number): Known => ({ node: 'roster-prod-001', index, checked: false });

it('a reading replaces what was known, but not what was set or forgotten while it went on', async () => {
  const standing = createStanding();
  for (const id of ['gone', 'read', 'set', 'forgotten']) standing.set(id, at(1));
  standing.nodes.add('roster-prod-009');

  await standing.refresh(async () => {
    standing.set('set', at(5));
    standing.set('new', at(6));
    standing.forget('forgotten');
    const entries = new Map([
      ['read', at(2)],
      ['set', at(3)],
      ['forgotten', at(4)],
    ]);
    return { nodes: ['roster-prod-001'], entries };
  });

  const indexes = ['gone', 'read', 'set', 'new', 'forgotten'].map((id) => standing.get(id)?.index);
  assert.deepEqual(indexes, [undefined, 2, 5, 6, undefined]);
  assert.deepEqual([...standing.nodes], ['roster-prod-001']);
});

it('a reading that fails changes nothing, and what comes after it counts as before', async () => {
  const standing = createStanding();
  standing.set('kept', at(1));
  await assert.rejects(standing.refresh(() => Promise.reject(new Error('no answer'))));
  assert.equal(standing.get('kept')?.index, 1);
  standing.set('kept', at(2));
  await standing.refresh(async () => ({ nodes: [], entries: new Map([['kept', at(3)]]) }));
  assert.equal(standing.get('kept')?.index, 3);
});

it('of two readings at once each keeps what was set since it began', async () => {
  const standing = createStanding();
  let finishFirst = () => {};
  const first = standing.refresh(async () => {
    await new Promise<void>((resolve) => {
      finishFirst = resolve;
    });
    return { nodes: [], entries: new Map([['a', at(1)]]) };
  });
  standing.set('a', at(2));
  await standing.refresh(async () => ({ nodes: [], entries: new Map([['a', at(2)]]) }));
  finishFirst();
  await first;
  assert.equal(standing.get('a')?.index, 2);
});

const entries = (...known: readonly (readonly [string, Known])[]) => ({ nodes: [], entries: new Map(known) });

function listening(standing: ReturnType<typeof createStanding>) {
  const seen = { foreign: 0 };
  standing.onForeign(() => seen.foreign++);
  return seen;
}

it('a reading that differs from the last one and from own writes tells of somebody else', async () => {
  const standing = createStanding();
  const seen = listening(standing);
  await standing.refresh(async () => entries(['a', at(1)]));
  assert.equal(seen.foreign, 0, 'there was nothing to compare the first one with');
  standing.set('b', { ...at(2), state: 'persistent' });
  standing.remove('a');
  await standing.refresh(async () => entries(['b', { ...at(2), state: 'persistent' }]));
  assert.equal(seen.foreign, 0);
  const others: readonly (readonly [string, Known])[] = [
    ['b', { ...at(3), state: 'persistent' }],
    ['b', { ...at(3), state: 'persistent critical' }],
    ['b', { ...at(3), node: 'roster-prod-002', state: 'persistent critical' }],
    ['c', at(3)],
  ];
  for (const [n, other] of others.entries()) {
    await standing.refresh(async () => entries(other));
    assert.equal(seen.foreign, n + 1);
    await standing.refresh(async () => entries(other));
    assert.equal(seen.foreign, n + 1, 'the same reading again is no news');
  }
});

it('what is being written, was written meanwhile or may have been, is no news of somebody else', async () => {
  const standing = createStanding();
  const seen = listening(standing);
  await standing.refresh(async () => entries(['before', at(1)], ['during', at(1)], ['doubtful', at(1)]));
  const written = standing.writing(['before']);
  standing.forget('doubtful');
  await standing.refresh(async () => {
    written();
    standing.writing(['during'])();
    return entries(['before', at(2)], ['during', at(2)], ['doubtful', at(2)]);
  });
  assert.equal(seen.foreign, 0);
  assert.ok(!standing.isDoubtful('doubtful'));
  await standing.refresh(async () => entries(['before', at(3)], ['during', at(2)], ['doubtful', at(2)]));
  assert.equal(seen.foreign, 1);
});
