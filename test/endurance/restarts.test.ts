// Few of the restarts that `make faults` counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playRestarts, toldRestarts } from './restarts.ts';

test('an operator that is ended at random moments lets nothing go that is wanted, and rewrites nothing', async (t) => {
  const size = { services: 12, endpoints: 4, deletions: false };
  const tally = await playRestarts({ seed: 1, restarts: 6, handovers: 1, crashes: 0, ...size });
  t.diagnostic(toldRestarts(tally));
  assert.deepEqual(tally.wrong, []);
  assert.ok(tally.silent > 0 && tally.ends.SIGKILL > 0 && tally.ends.SIGTERM > 0);
});
