import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observeRequests } from '../../src/operator/registry/observe-worker.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

test('a watch is counted by its hints and its ends, and is no request', async () => {
  const metrics = createMetrics({ version: '1.2.3', defaults: false });
  const observe = observeRequests('consul', metrics);
  for (const outcome of ['ok', 'ok', 'unreachable', 'aborted', 'closed', 'unsupported'] as const)
    observe({ operation: 'watch', outcome, size: 0, durationMs: 70_000 });
  observe({ operation: 'list', outcome: 'ok', size: 2, durationMs: 5 });
  const { body } = await metrics.scrape();
  const told = body.split('\n').filter((line) => /^roster_registry_(hints|watch|request_\w+_count)/.test(line));
  assert.deepEqual(told, [
    'roster_registry_request_duration_seconds_count{registry="consul",operation="list"} 1',
    'roster_registry_hints_total{registry="consul"} 2',
    'roster_registry_watch_restarts_total{registry="consul",reason="unreachable"} 1',
  ]);
});
