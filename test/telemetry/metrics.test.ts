import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const fresh = () => createMetrics({ version: '1.2.3', defaults: false });
const lines = async (metrics: ReturnType<typeof fresh>): Promise<readonly string[]> =>
  (await metrics.scrape()).body.split('\n');

async function expectLines(metrics: ReturnType<typeof fresh>, expected: readonly string[]): Promise<void> {
  const found = await lines(metrics);
  for (const line of expected) assert.ok(found.includes(line), `${line}\nis not in\n${found.join('\n')}`);
}

// Spelled out once more on purpose: dashboards of others depend on these.
const NAMES: readonly (readonly [name: string, type: string])[] = [
  ['controller_runtime_reconcile_total', 'counter'],
  ['controller_runtime_reconcile_errors_total', 'counter'],
  ['controller_runtime_reconcile_time_seconds', 'histogram'],
  ['controller_runtime_max_concurrent_reconciles', 'gauge'],
  ['controller_runtime_active_workers', 'gauge'],
  ['workqueue_depth', 'gauge'],
  ['workqueue_adds_total', 'counter'],
  ['workqueue_queue_duration_seconds', 'histogram'],
  ['workqueue_work_duration_seconds', 'histogram'],
  ['workqueue_unfinished_work_seconds', 'gauge'],
  ['workqueue_longest_running_processor_seconds', 'gauge'],
  ['workqueue_retries_total', 'counter'],
  ['rest_client_requests_total', 'counter'],
  ['roster_registry_writes_total', 'counter'],
  ['roster_deregistrations_total', 'counter'],
  ['roster_held_removals', 'gauge'],
  ['roster_registry_batch_size', 'histogram'],
  ['roster_registry_request_duration_seconds', 'histogram'],
  ['roster_registry_hints_total', 'counter'],
  ['roster_registry_watch_restarts_total', 'counter'],
  ['roster_propagation_seconds', 'histogram'],
  ['roster_instances', 'gauge'],
  ['roster_registry_up', 'gauge'],
  ['leader_election_master_status', 'gauge'],
  ['roster_status_writes_total', 'counter'],
  ['roster_reflector_lists_total', 'counter'],
  ['roster_reflector_watch_restarts_total', 'counter'],
  ['roster_build_info', 'gauge'],
];

test('every metric is there from the first scrape on, under its exact name and type', async () => {
  await expectLines(
    fresh(),
    NAMES.map(([name, type]) => `# TYPE ${name} ${type}`),
  );
});

test('there are no metrics beside those of the list', async () => {
  const types = (await lines(fresh())).filter((line) => line.startsWith('# TYPE '));
  assert.equal(types.length, NAMES.length);
});

test('the text is the Prometheus exposition format 0.0.4', async () => {
  const { contentType } = await fresh().scrape();
  assert.equal(contentType, 'text/plain; version=0.0.4; charset=utf-8');
});

test('a failed reconciliation counts as a result and as an error', async () => {
  const metrics = fresh();
  metrics.observeReconcile('consul', 'error', 12);
  metrics.observeReconcile('consul', 'success', 3);
  await expectLines(metrics, [
    'controller_runtime_reconcile_total{controller="consul",result="error"} 1',
    'controller_runtime_reconcile_total{controller="consul",result="success"} 1',
    'controller_runtime_reconcile_errors_total{controller="consul"} 1',
    'controller_runtime_reconcile_time_seconds_sum{controller="consul"} 0.015',
    'controller_runtime_reconcile_time_seconds_bucket{le="0.01",controller="consul"} 1',
  ]);
});

test('a queue is read at the scrape, with both labels of controller-runtime', async () => {
  const metrics = fresh();
  let depth = 1;
  const untrack = metrics.trackQueue('consul', () => ({
    depth,
    unfinishedWorkMs: 1500,
    longestRunningMs: 1000,
    activeWorkers: 2,
    maxConcurrent: 8,
  }));
  metrics.observeQueueAdd('consul');
  metrics.observeQueueRetry('consul');
  metrics.observeQueueWait('consul', 20);
  metrics.observeQueueWork('consul', 20);
  depth = 7;
  await expectLines(metrics, [
    'workqueue_depth{name="consul",controller="consul"} 7',
    'workqueue_unfinished_work_seconds{name="consul",controller="consul"} 1.5',
    'workqueue_longest_running_processor_seconds{name="consul",controller="consul"} 1',
    'workqueue_adds_total{name="consul",controller="consul"} 1',
    'workqueue_retries_total{name="consul",controller="consul"} 1',
    'workqueue_queue_duration_seconds_bucket{le="0.1",name="consul",controller="consul"} 1',
    'workqueue_work_duration_seconds_bucket{le="0.01",name="consul",controller="consul"} 0',
    'controller_runtime_active_workers{controller="consul"} 2',
    'controller_runtime_max_concurrent_reconciles{controller="consul"} 8',
  ]);
  untrack();
  assert.ok(!(await lines(metrics)).some((line) => line.startsWith('workqueue_depth{')));
});

test('of a registry that another replica leads nothing is said but that', async () => {
  const metrics = fresh();
  metrics.trackRegistry('consul', () => ({ leading: false, up: false, desired: 0, registered: 0, held: 0, owned: 0 }));
  metrics.trackLeases(() => [
    { lease: 'roster-prod', registry: '', leading: true },
    { lease: 'roster-prod-1a2b3c4d', registry: 'consul', leading: false },
  ]);
  await expectLines(metrics, [
    'leader_election_master_status{name="roster-prod",registry=""} 1',
    'leader_election_master_status{name="roster-prod-1a2b3c4d",registry="consul"} 0',
  ]);
  assert.ok(!(await lines(metrics)).some((line) => /^roster_(registry_up|instances)\{/.test(line)));
});

test('a registry is read at the scrape and leaves nothing behind when it goes', async () => {
  const metrics = fresh();
  const untrack = metrics.trackRegistry('shop/own', () => ({
    leading: true,
    up: false,
    desired: 3,
    registered: 2,
    held: 4,
    owned: 4,
  }));
  await expectLines(metrics, [
    'roster_registry_up{registry="shop/own"} 0',
    'roster_held_removals{registry="shop/own"} 4',
    'roster_instances{registry="shop/own",state="desired"} 3',
    'roster_instances{registry="shop/own",state="registered"} 2',
    'roster_instances{registry="shop/own",state="owned"} 4',
  ]);
  untrack();
  assert.ok(!(await lines(metrics)).some((line) => line.includes('shop/own')));
});

test('writes, batches, requests and propagation are labelled by registry and by nothing that grows with the cluster', async () => {
  const metrics = fresh();
  metrics.observeWrite('consul', 'register', 'success');
  metrics.observeWrite('consul', 'deregister', 'forbidden');
  metrics.observeDeregistration('consul', 'NewerVersion');
  metrics.observeBatch('consul', 128);
  metrics.observeRegistryRequest('consul', 'apply', 4);
  metrics.observeHint('consul');
  metrics.observeRegistryWatchRestart('consul', 'unreachable');
  metrics.observePropagation('consul', 'watch', 30);
  metrics.observePropagation('consul', 'trigger-annotation', -5);
  await expectLines(metrics, [
    'roster_registry_writes_total{registry="consul",operation="register",result="success"} 1',
    'roster_registry_writes_total{registry="consul",operation="deregister",result="forbidden"} 1',
    'roster_deregistrations_total{registry="consul",evidence="NewerVersion"} 1',
    'roster_registry_batch_size_bucket{le="64",registry="consul"} 0',
    'roster_registry_batch_size_bucket{le="128",registry="consul"} 1',
    'roster_registry_request_duration_seconds_bucket{le="0.005",registry="consul",operation="apply"} 1',
    'roster_registry_hints_total{registry="consul"} 1',
    'roster_registry_watch_restarts_total{registry="consul",reason="unreachable"} 1',
    'roster_propagation_seconds_sum{registry="consul",source="watch"} 0.03',
    'roster_propagation_seconds_sum{registry="consul",source="trigger-annotation"} 0',
  ]);
});

test('requests to the API server count by code, and as <error> without an answer', async () => {
  const metrics = fresh();
  metrics.observeKubeRequest('get', '127.0.0.1:6443', 200);
  metrics.observeKubeRequest('PATCH', '127.0.0.1:6443', 0);
  metrics.observeStatusWrite('ServiceRegistration');
  metrics.observeList('endpointslices');
  metrics.observeWatchRestart('endpointslices', 'expired');
  await expectLines(metrics, [
    'rest_client_requests_total{code="200",method="GET",host="127.0.0.1:6443"} 1',
    'rest_client_requests_total{code="<error>",method="PATCH",host="127.0.0.1:6443"} 1',
    'roster_status_writes_total{kind="ServiceRegistration"} 1',
    'roster_reflector_lists_total{resource="endpointslices"} 1',
    'roster_reflector_watch_restarts_total{resource="endpointslices",reason="expired"} 1',
    `roster_build_info{version="1.2.3",node="${process.version}"} 1`,
  ]);
});

test('the metrics of the process and of Node are there unless left out', async () => {
  const found = (await createMetrics({ version: '1' }).scrape()).body;
  assert.match(found, /^process_resident_memory_bytes /m);
  assert.match(found, /^nodejs_eventloop_lag_seconds /m);
});
