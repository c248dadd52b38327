import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Outcome } from '../../src/mirror/status.ts';
import { createOutcomes } from '../../src/operator/reporting/outcomes.ts';
import { readyEvents } from '../../src/operator/reporting/ready-events.ts';
import { condition } from '../mirror/objects.ts';

const outcome = (desired: number, standing = desired): Outcome => ({
  uid: 'u',
  generation: 1,
  desired,
  standing,
  names: [],
  notes: [],
  refused: [],
  withheld: 0,
});
const [A, B] = ['ServiceRegistration/shop/a', 'ServiceRegistration/shop/b'];

describe('the outcomes of reconciles', () => {
  it('are found by registration and Service, and name all that they concern', () => {
    const outcomes = createOutcomes();
    const first = outcome(3);
    assert.deepEqual(outcomes.set('consul', 'shop/web', new Map([[A, first]])), [A]);
    assert.equal(outcomes.get(A, 'shop/web'), first);
    assert.equal(outcomes.get(A, 'shop/api'), undefined);
    assert.deepEqual([...outcomes.set('consul', 'shop/web', new Map([[B, outcome(1)]]))].sort(), [A, B]);
    assert.equal(outcomes.get(A, 'shop/web'), undefined);
  });

  it('are totals of each registry', () => {
    const outcomes = createOutcomes();
    outcomes.set(
      'consul',
      'shop/web',
      new Map([
        [A, outcome(3, 2)],
        [B, outcome(1)],
      ]),
    );
    outcomes.set('consul', 'shop/api', new Map([[A, outcome(2)]]));
    outcomes.set('second', 'shop/web', new Map([[A, outcome(5)]]));
    assert.deepEqual(outcomes.totals('consul'), { desired: 6, standing: 5 });
    outcomes.set('consul', 'shop/web', new Map([[A, outcome(1)]]));
    assert.deepEqual(outcomes.totals('consul'), { desired: 3, standing: 3 });
    outcomes.set('consul', 'shop/web', new Map());
    outcomes.set('consul', 'shop/api', new Map());
    assert.deepEqual(outcomes.totals('consul'), { desired: 0, standing: 0 });
    assert.deepEqual(outcomes.totals('second'), { desired: 5, standing: 5 });
  });

  it('of a registration made anew for another registry outlive what the old registry forgets', () => {
    const outcomes = createOutcomes();
    outcomes.set('consul', 'shop/web', new Map([[A, outcome(3)]]));
    const anew = outcome(3);
    outcomes.set('second', 'shop/web', new Map([[A, anew]]));
    outcomes.set('consul', 'shop/web', new Map());
    assert.equal(outcomes.get(A, 'shop/web'), anew);
  });
});

describe('the events of a status', () => {
  const status = (reason: string, state: 'True' | 'False' | 'Unknown' = 'True', message = 'm') => ({
    conditions: [condition('Accepted'), condition('Ready', { reason, status: state, message })],
  });
  const rows: readonly [name: string, before: unknown, after: Record<string, unknown>, events: readonly string[]][] = [
    ['the first status', undefined, status('Synced'), ['Normal Synced']],
    ['a first status of trouble', undefined, status('PortNotFound', 'False'), ['Warning PortNotFound']],
    ['no change', status('Synced'), status('Synced'), []],
    ['another text only', status('Synced', 'True', 'a'), status('Synced', 'True', 'b'), []],
    ['another reason', status('Synced'), status('Suspended'), ['Normal Suspended']],
    ['another status', status('Progressing', 'Unknown'), status('Progressing', 'True'), ['Normal Progressing']],
    [
      'a registry that does not answer',
      status('Synced'),
      status('RegistryUnreachable', 'Unknown'),
      ['Warning RegistryUnreachable'],
    ],
    ['its return', status('RegistryUnreachable', 'Unknown'), status('Synced'), ['Normal Synced']],
    ['a status without Ready', status('Synced'), { conditions: [] }, []],
    ['a status without conditions', 'nonsense', status('Synced'), ['Normal Synced']],
  ];
  for (const [name, current, after, events] of rows) {
    it(`are ${events.length === 0 ? 'none' : 'told'} for ${name}`, () => {
      assert.deepEqual(
        readyEvents({ current, status: after }).map(({ type, reason }) => `${type} ${reason}`),
        events,
      );
    });
  }
});
