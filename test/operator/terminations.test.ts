import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTerminations } from '../../src/operator/cluster/terminations.ts';
import { endpoint, slice } from '../mirror/objects.ts';

test('an address that terminates is remembered until it is seen to do something else', () => {
  const { note, seen } = createTerminations();
  note('shop/web', slice([endpoint('10.0.0.1', { terminating: true }), endpoint('10.0.0.2')]));
  note('shop/web', slice([]));
  assert.deepEqual(
    ['10.0.0.1', '10.0.0.2'].map((address) => seen('shop/web', address)),
    [true, false],
  );
  assert.equal(seen('shop/api', '10.0.0.1'), false, 'of this Service alone');
  note('shop/web', slice([endpoint('10.0.0.1')]));
  assert.equal(seen('shop/web', '10.0.0.1'), false, 'another Pod has the address');
});

test('what is remembered is bounded, the oldest goes first', () => {
  const { note, seen } = createTerminations();
  for (let n = 0; n <= 20_000; n++) note(`shop/s${n}`, slice([endpoint('10.0.0.1', { terminating: true })]));
  assert.deepEqual(
    [0, 1, 20_000].map((n) => seen(`shop/s${n}`, '10.0.0.1')),
    [false, true, true],
  );
});
