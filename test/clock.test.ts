import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../src/clock.ts';

test('a deadline that has passed while its timer is set is due at once, and Node has nothing to warn of', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on('warning', note);
  await new Promise<void>((resolve) => systemClock.setTimer(-0.07, resolve));
  await delay(10);
  process.off('warning', note);
  assert.deepEqual(warnings, []);
});
