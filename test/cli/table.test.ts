import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age } from '../../src/cli/table.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

for (const [seconds, shown] of [
  [-5, '0s'],
  [0, '0s'],
  [119, '119s'],
  [2 * MINUTE, '2m'],
  [5 * MINUTE + 30, '5m30s'],
  [10 * MINUTE + 59, '10m'],
  [3 * HOUR - 1, '179m'],
  [3 * HOUR + 20 * MINUTE, '3h20m'],
  [8 * HOUR + 20 * MINUTE, '8h'],
  [2 * DAY + 3 * HOUR, '2d3h'],
  [8 * DAY + 3 * HOUR, '8d'],
  [2 * 365 * DAY + 5 * DAY, '2y5d'],
] as const) {
  test(`an age of ${seconds} s is shown as ${shown}, as kubectl would`, () => {
    assert.equal(age(seconds * 1000), shown);
  });
}
