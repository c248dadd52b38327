import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';
import { catalog, type MetricDescription } from './metrics-catalog.ts';

export type ReconcileResult = 'success' | 'error' | 'requeue' | 'requeue_after';

export interface QueueSample {
  readonly depth: number;
  /** Sum over all runs in progress. */
  readonly unfinishedWorkMs: number;
  readonly longestRunningMs: number;
  readonly activeWorkers: number;
  readonly maxConcurrent: number;
}

export interface RegistrySample {
  /** Otherwise another replica leads, and speaks of it. */
  readonly leading: boolean;
  readonly up: boolean;
  readonly desired: number;
  readonly registered: number;
  readonly owned: number;
  /** Removals that the deletion guard holds back. */
  readonly held: number;
}

export interface LeaseSample {
  readonly lease: string;
  /** Empty: what belongs to no registry. */
  readonly registry: string;
  readonly leading: boolean;
}

/** Durations go in as milliseconds and come out as seconds. Nothing here throws or waits. */
export interface Metrics {
  observeReconcile(controller: string, result: ReconcileResult, durationMs: number): void;
  /** Read at each scrape, until the returned function is called. The name of a queue is also its `controller`. */
  trackQueue(name: string, sample: () => QueueSample): () => void;
  observeQueueAdd(name: string): void;
  observeQueueRetry(name: string): void;
  observeQueueWait(name: string, durationMs: number): void;
  observeQueueWork(name: string, durationMs: number): void;
  /** Status 0: no answer. */
  observeKubeRequest(method: string, host: string, status: number): void;
  /** Read at each scrape, until the returned function is called. */
  trackRegistry(registry: string, sample: () => RegistrySample): () => void;
  /** Read at each scrape: names of Leases, and whether we hold them. */
  trackLeases(sample: () => Iterable<LeaseSample>): void;
  /** `result`: `success` or the code of the error. */
  observeWrite(registry: string, operation: string, result: string): void;
  observeDeregistration(registry: string, evidence: string): void;
  observeBatch(registry: string, size: number): void;
  observeRegistryRequest(registry: string, operation: string, durationMs: number): void;
  observeHint(registry: string): void;
  /** `reason`: the code of the error. */
  observeRegistryWatchRestart(registry: string, reason: string): void;
  observePropagation(registry: string, source: 'trigger-annotation' | 'watch', lagMs: number): void;
  observeStatusWrite(kind: string): void;
  observeList(resource: string): void;
  observeWatchRestart(resource: string, reason: string): void;
  /** Prometheus text format 0.0.4. */
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export interface MetricsOptions {
  readonly version: string;
  /** Of the process and of Node; they keep timers, so tests leave them out. */
  readonly defaults?: boolean;
}

const seconds = (ms: number) => Math.max(0, ms) / 1000;

export function createMetrics({ version, defaults = true }: MetricsOptions): Metrics {
  const register = new Registry();
  const queues = new Map<string, () => QueueSample>();
  const registries = new Map<string, () => RegistrySample>();
  let leases: () => Iterable<LeaseSample> = () => [];

  const config = <L extends string>({ name, help, labels }: MetricDescription<L>) => ({
    name,
    help,
    labelNames: labels,
    registers: [register],
  });
  const counter = <L extends string>(described: MetricDescription<L>) => new Counter<L>(config(described));
  const histogram = <L extends string>(described: MetricDescription<L>) =>
    new Histogram<L>({ ...config(described), buckets: [...(described.buckets ?? [])] });
  const gauge = <L extends string>(described: MetricDescription<L>, fill?: (gauge: Gauge<L>) => void) =>
    new Gauge<L>({
      ...config(described),
      collect(this: Gauge<L>) {
        if (!fill) return;
        this.reset();
        fill(this);
      },
    });
  type QueueLabel = (typeof catalog.queueDepth.labels)[number];
  const queueGauge = (described: MetricDescription<QueueLabel>, value: (sample: QueueSample) => number) =>
    gauge(described, (each) => {
      for (const [name, sample] of queues) each.set({ name, controller: name }, value(sample()));
    });
  const workerGauge = (described: MetricDescription<'controller'>, value: (sample: QueueSample) => number) =>
    gauge(described, (each) => {
      for (const [controller, sample] of queues) each.set({ controller }, value(sample()));
    });

  queueGauge(catalog.queueDepth, ({ depth }) => depth);
  queueGauge(catalog.unfinishedWorkSeconds, ({ unfinishedWorkMs }) => seconds(unfinishedWorkMs));
  queueGauge(catalog.longestRunningSeconds, ({ longestRunningMs }) => seconds(longestRunningMs));
  workerGauge(catalog.activeWorkers, ({ activeWorkers }) => activeWorkers);
  workerGauge(catalog.maxConcurrentReconciles, ({ maxConcurrent }) => maxConcurrent);
  gauge(catalog.registryUp, (each) => {
    for (const [registry, sample] of registries) {
      const { leading, up } = sample();
      if (leading) each.set({ registry }, up ? 1 : 0);
    }
  });
  gauge(catalog.heldRemovals, (each) => {
    for (const [registry, sample] of registries) each.set({ registry }, sample().held);
  });
  gauge(catalog.instances, (each) => {
    for (const [registry, sample] of registries) {
      const { leading, desired, registered, owned } = sample();
      if (!leading) continue;
      each.set({ registry, state: 'desired' }, desired);
      each.set({ registry, state: 'registered' }, registered);
      each.set({ registry, state: 'owned' }, owned);
    }
  });
  gauge(catalog.leader, (each) => {
    for (const { lease: name, registry, leading } of leases()) each.set({ name, registry }, leading ? 1 : 0);
  });
  gauge(catalog.buildInfo).set({ version, node: process.version }, 1);

  const reconciles = counter(catalog.reconciles);
  const reconcileErrors = counter(catalog.reconcileErrors);
  const reconcileSeconds = histogram(catalog.reconcileSeconds);
  const queueAdds = counter(catalog.queueAdds);
  const queueRetries = counter(catalog.queueRetries);
  const queueSeconds = histogram(catalog.queueSeconds);
  const workSeconds = histogram(catalog.workSeconds);
  const kubeRequests = counter(catalog.kubeRequests);
  const registryWrites = counter(catalog.registryWrites);
  const deregistrations = counter(catalog.deregistrations);
  const registryBatchSize = histogram(catalog.registryBatchSize);
  const registryRequestSeconds = histogram(catalog.registryRequestSeconds);
  const registryHints = counter(catalog.registryHints);
  const registryWatchRestarts = counter(catalog.registryWatchRestarts);
  const propagationSeconds = histogram(catalog.propagationSeconds);
  const statusWrites = counter(catalog.statusWrites);
  const reflectorLists = counter(catalog.reflectorLists);
  const reflectorWatchRestarts = counter(catalog.reflectorWatchRestarts);

  // Coarser than the library's 10 ms and 100 ms: an idle operator should stay asleep.
  if (defaults)
    collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 50, eventLoopUtilizationTimeout: 1000 });

  return {
    observeReconcile(controller, result, durationMs) {
      reconciles.inc({ controller, result });
      if (result === 'error') reconcileErrors.inc({ controller });
      reconcileSeconds.observe({ controller }, seconds(durationMs));
    },
    trackQueue: (name, sample) => tracked(queues, name, sample),
    observeQueueAdd: (name) => queueAdds.inc({ name, controller: name }),
    observeQueueRetry: (name) => queueRetries.inc({ name, controller: name }),
    observeQueueWait: (name, ms) => queueSeconds.observe({ name, controller: name }, seconds(ms)),
    observeQueueWork: (name, ms) => workSeconds.observe({ name, controller: name }, seconds(ms)),
    observeKubeRequest: (method, host, status) =>
      kubeRequests.inc({ code: status === 0 ? '<error>' : status, method: method.toUpperCase(), host }),
    trackRegistry: (registry, sample) => tracked(registries, registry, sample),
    trackLeases(sample) {
      leases = sample;
    },
    observeWrite: (registry, operation, result) => registryWrites.inc({ registry, operation, result }),
    observeDeregistration: (registry, evidence) => deregistrations.inc({ registry, evidence }),
    observeBatch: (registry, size) => registryBatchSize.observe({ registry }, size),
    observeRegistryRequest: (registry, operation, ms) =>
      registryRequestSeconds.observe({ registry, operation }, seconds(ms)),
    observeHint: (registry) => registryHints.inc({ registry }),
    observeRegistryWatchRestart: (registry, reason) => registryWatchRestarts.inc({ registry, reason }),
    observePropagation: (registry, source, ms) => propagationSeconds.observe({ registry, source }, seconds(ms)),
    observeStatusWrite: (kind) => statusWrites.inc({ kind }),
    observeList: (resource) => reflectorLists.inc({ resource }),
    observeWatchRestart: (resource, reason) => reflectorWatchRestarts.inc({ resource, reason }),
    scrape: async () => ({ contentType: register.contentType, body: await register.metrics() }),
  };
}

function tracked<S>(samples: Map<string, () => S>, name: string, sample: () => S): () => void {
  samples.set(name, sample);
  return () => {
    if (samples.get(name) === sample) samples.delete(name);
  };
}
