/**
 * Every metric of ours, once: createMetrics() builds from this table and docs/metrics.md is printed from it.
 * There is no label per service: the number of series must not grow with the cluster.
 */
export interface MetricDescription<Label extends string = string> {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly Label[];
  /** Upper bounds, histograms only. */
  readonly buckets?: readonly number[];
}

const powers = (start: number, factor: number, count: number): number[] =>
  Array.from({ length: count }, (_, power) => Number((start * factor ** power).toPrecision(12)));

// The bounds of controller-runtime, so that its dashboards and recording rules fit.
const RECONCILE_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const WORKQUEUE_SECONDS = powers(1e-8, 10, 12);
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const PROPAGATION_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300];

const queueLabels = ['name', 'controller'] as const;

export const catalog = {
  reconciles: {
    type: 'counter',
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciliations per controller, by result: success, error, requeue or requeue_after.',
    labels: ['controller', 'result'],
  },
  reconcileErrors: {
    type: 'counter',
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciliations per controller that ended in an error.',
    labels: ['controller'],
  },
  reconcileSeconds: {
    type: 'histogram',
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Time of one reconciliation.',
    labels: ['controller'],
    buckets: RECONCILE_SECONDS,
  },
  maxConcurrentReconciles: {
    type: 'gauge',
    name: 'controller_runtime_max_concurrent_reconciles',
    help: 'Upper limit of reconciliations at once per controller.',
    labels: ['controller'],
  },
  activeWorkers: {
    type: 'gauge',
    name: 'controller_runtime_active_workers',
    help: 'Reconciliations that run now per controller.',
    labels: ['controller'],
  },
  queueDepth: {
    type: 'gauge',
    name: 'workqueue_depth',
    help: 'Keys that wait in the work queue.',
    labels: queueLabels,
  },
  queueAdds: {
    type: 'counter',
    name: 'workqueue_adds_total',
    help: 'Keys added to the work queue; keys merged with a waiting one are not counted.',
    labels: queueLabels,
  },
  queueSeconds: {
    type: 'histogram',
    name: 'workqueue_queue_duration_seconds',
    help: 'Time that a key waited in the work queue before its run.',
    labels: queueLabels,
    buckets: WORKQUEUE_SECONDS,
  },
  workSeconds: {
    type: 'histogram',
    name: 'workqueue_work_duration_seconds',
    help: 'Time of one run of a key of the work queue.',
    labels: queueLabels,
    buckets: WORKQUEUE_SECONDS,
  },
  unfinishedWorkSeconds: {
    type: 'gauge',
    name: 'workqueue_unfinished_work_seconds',
    help: 'Sum of the time of all runs in progress; a steady growth means a stuck run.',
    labels: queueLabels,
  },
  longestRunningSeconds: {
    type: 'gauge',
    name: 'workqueue_longest_running_processor_seconds',
    help: 'Time of the longest run in progress.',
    labels: queueLabels,
  },
  queueRetries: {
    type: 'counter',
    name: 'workqueue_retries_total',
    help: 'Keys put back into the work queue after an error.',
    labels: queueLabels,
  },
  kubeRequests: {
    type: 'counter',
    name: 'rest_client_requests_total',
    help: 'Requests to the Kubernetes API server, by HTTP status code, method and host; "<error>" when there was no answer.',
    labels: ['code', 'method', 'host'],
  },
  registryWrites: {
    type: 'counter',
    name: 'roster_registry_writes_total',
    help: 'Changes of instances sent to a registry, by operation (register, update, deregister) and result: success or the error code.',
    labels: ['registry', 'operation', 'result'],
  },
  deregistrations: {
    type: 'counter',
    name: 'roster_deregistrations_total',
    help: 'Entries removed from a registry, by the evidence that they should go: ObjectDeleted, NewerVersion or AbsenceProved.',
    labels: ['registry', 'evidence'],
  },
  heldRemovals: {
    type: 'gauge',
    name: 'roster_held_removals',
    help: 'Removals that the deletion guard of a registry holds back until they are released or not wanted any more.',
    labels: ['registry'],
  },
  registryBatchSize: {
    type: 'histogram',
    name: 'roster_registry_batch_size',
    help: 'Changes of instances in one batch to a registry.',
    labels: ['registry'],
    buckets: powers(1, 2, 11),
  },
  registryRequestSeconds: {
    type: 'histogram',
    name: 'roster_registry_request_duration_seconds',
    help: 'Time of one call of a registry, by operation: apply, list, check or discover.',
    labels: ['registry', 'operation'],
    buckets: REQUEST_SECONDS,
  },
  registryHints: {
    type: 'counter',
    name: 'roster_registry_hints_total',
    help: 'Hints of the watch of a registry that somebody else may have changed entries; each watch that is opened gives one.',
    labels: ['registry'],
  },
  registryWatchRestarts: {
    type: 'counter',
    name: 'roster_registry_watch_restarts_total',
    help: 'Watches of a registry that ended and are opened again, by the code of the error.',
    labels: ['registry', 'reason'],
  },
  propagationSeconds: {
    type: 'histogram',
    name: 'roster_propagation_seconds',
    help: 'Time from a change of endpoints until the registry acknowledged it, counted from the last-change-trigger-time annotation (whole seconds, includes the endpoint controllers) or from the watch event.',
    labels: ['registry', 'source'],
    buckets: PROPAGATION_SECONDS,
  },
  instances: {
    type: 'gauge',
    name: 'roster_instances',
    help: 'Instances per registry: desired, registered (desired and acknowledged), owned (all that bear the mark of this cluster).',
    labels: ['registry', 'state'],
  },
  registryUp: {
    type: 'gauge',
    name: 'roster_registry_up',
    help: '1 while the registry answers and takes the credentials, else 0; told by the replica that leads.',
    labels: ['registry'],
  },
  leader: {
    type: 'gauge',
    name: 'leader_election_master_status',
    help: '1 while this process leads by the Lease of that name, else 0; registry is empty for what belongs to none. Absent without election.',
    labels: ['name', 'registry'],
  },
  statusWrites: {
    type: 'counter',
    name: 'roster_status_writes_total',
    help: 'Writes of the status of an object, by kind.',
    labels: ['kind'],
  },
  reflectorLists: {
    type: 'counter',
    name: 'roster_reflector_lists_total',
    help: 'Complete lists read from the API server, by resource.',
    labels: ['resource'],
  },
  reflectorWatchRestarts: {
    type: 'counter',
    name: 'roster_reflector_watch_restarts_total',
    help: 'Watches opened again, by resource and reason.',
    labels: ['resource', 'reason'],
  },
  buildInfo: {
    type: 'gauge',
    name: 'roster_build_info',
    help: 'Always 1; the labels tell the version of Roster and of Node.js.',
    labels: ['version', 'node'],
  },
} as const satisfies Record<string, MetricDescription>;
