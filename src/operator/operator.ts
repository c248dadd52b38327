import type { RegistryObject } from '../api/kinds.generated.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import { createEventRecorder } from '../kubernetes/events.ts';
import { createStatusWriter } from '../kubernetes/status-writer.ts';
import type { Instance } from '../mirror/instance.ts';
import { registryId } from '../mirror/selection.ts';
import { registrationId } from '../mirror/view.ts';
import { createRegistry } from '../registries/create.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { proofsFor } from './cluster/absence.ts';
import { allRegistrations, createCaches, findOurs, findRegistry, registrationsOf } from './cluster/caches.ts';
import { watchCluster } from './cluster/cluster.ts';
import { createTriggers } from './cluster/triggers.ts';
import { createUnreadable } from './cluster/unreadable.ts';
import { createDeletionGuards } from './deletion-guards.ts';
import { openFinalization } from './finalizers.ts';
import type { Surroundings } from './gather.ts';
import { NO_REGISTRY } from './leading/leadership.ts';
import { claimantOf, openLeadership } from './leading/replicas.ts';
import { createReconciler } from './reconciler.ts';
import { readCredentials } from './registry/credentials.ts';
import { makeRegistry } from './registry/make-registry.ts';
import { observeGuards, observeWorker } from './registry/observe-worker.ts';
import { createPropagation } from './registry/propagation.ts';
import { createRegistrySet } from './registry/registry-set.ts';
import { openRegistryWorker, type RegistryWorker } from './registry/registry-worker.ts';
import { rereadSecrets } from './registry/secrets.ts';
import { createOutcomes } from './reporting/outcomes.ts';
import { type Summary, shortId, shortName, snapshotOf, summarise } from './reporting/overview.ts';
import { reportWrites } from './reporting/ready-events.ts';
import { createStatuses } from './reporting/statuses.ts';

export interface OperatorOptions {
  readonly config: Omit<Config, 'kubeconfig' | 'context' | 'httpAddress' | 'logLevel'>;
  readonly client: KubeClient;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  readonly wallClock?: () => Date;
  /** How a registry is made of its object: those of tests live in a server that outlives the operator. */
  readonly create?: typeof createRegistry;
}

export interface Operator {
  /** The caches are complete. A registry that is down changes nothing about it. */
  ready(): boolean;
  /** No reconcile is stuck. */
  live(): boolean;
  /** Of a Memory registry: `name` of a ClusterRegistry, `namespace/name` of a Registry. What another replica leads is held there alone. */
  registrySnapshot(name: string): readonly Instance[] | { readonly leader: string | undefined } | undefined;
  summary(): Summary;
  /** Resolves after the signal aborted and what was in flight has its answer, or DRAIN_MS later. Deregisters nothing. */
  run(signal: AbortSignal): Promise<void>;
}

const DRAIN_MS = 9_000;
const RESIGN_MS = 800;
/** Longer than any registry may take by its time-outs (300 s at most). */
const STUCK_MS = 900_000;

/** The four verbs strung together: caches → triggers → queue → reconcile → writer → status. */
export function openOperator(options: OperatorOptions): Operator {
  const { config, client, log, metrics, clock, random, create = createRegistry } = options;
  const { clusterName: cluster } = config;
  const { caches, writers } = createCaches();
  const surroundings: Surroundings = {
    cluster,
    caches,
    reservedNamespaces: new Set(['kube-system', config.operatorNamespace]),
    isUnreadable: (id) => unreadable.has(id),
  };
  const now = () => new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const unreadable = createUnreadable(now);
  const outcomes = createOutcomes();
  const propagation = createPropagation({
    clock,
    wallNow: Date.now,
    observe: (id, source, lagMs) => metrics.observePropagation(shortId(id), source, lagMs),
  });
  const watching = new AbortController();
  const writing = new AbortController();
  let started = false;

  const sources = {
    client,
    ...(config.credentialsDirectory !== undefined && { directory: config.credentialsDirectory }),
  };
  const making = { create, clock, metrics, tenantNetworks: config.tenantRegistryNetworks };
  const registries = createRegistrySet({
    clock,
    signal: watching.signal,
    find: (id) => findRegistry(caches, id),
    credentials: (object, signal) => readCredentials(sources, object, signal),
    create: (object, secrets) => makeRegistry(making, object, secrets),
    open: openWorker,
    onChange(id) {
      if (registries.get(id) === undefined) leadership.withdraw(id);
      else leadership.stand(id);
      touchRegistry(id);
    },
    onReconfigured: (worker) => reconciler.lookAtAll(worker),
    onError: (id, err) => log.error({ registry: id, err }, 'the registry could not be brought in line with its object'),
  });

  const guards = createDeletionGuards({
    clock,
    find: (id) => findOurs(caches, id),
    isCatchingUp: (id) => reconciler.isCatchingUp(id),
    look: (id, owner) => registries.get(id)?.worker?.queue.add(owner),
    touch: (id) => touch(id),
    onResumed: touchRegistry,
    ...observeGuards(log),
  });
  const leadership = openLeadership({ ...options, onTerm });
  const leads = (registry: string | undefined) => leadership.leads(registry ?? NO_REGISTRY);
  const statuses = createStatuses({
    surroundings,
    registries,
    outcomes,
    leads,
    isCatchingUp: (id) => reconciler.isCatchingUp(id),
    guards,
    unreadable,
    now,
  });
  const events = createEventRecorder({ client, clock, log, instance: `roster-${cluster}` });
  const statusWriter = createStatusWriter({
    client,
    clock,
    log,
    random,
    desired: statuses.desired,
    onWrite: reportWrites(metrics, events),
  });
  const touch = (id: string) => {
    if (!started) return;
    guards.heed(id);
    statusWriter.mark(id);
  };
  const signal = writing.signal;
  const finalization = openFinalization({ client, clock, log, caches, registries, guards, events, leads, signal });
  const triggers = createTriggers({
    caches,
    emptied: writers.emptied,
    terminations: writers.terminations,
    propagation,
    workers: () => (started ? registries.workers() : []),
    touch(id) {
      touch(id);
      if (started) finalization.look(id);
    },
  });
  const reconciler = createReconciler({
    surroundings,
    registries,
    outcomes,
    propagation,
    guards,
    absences: proofsFor({ client, clock, log, caches, writers, signal: writing.signal }),
    touch,
    touchRegistry,
    finalize: (id) => finalization.look(id),
  });

  function touchRegistry(id: string): void {
    touch(id);
    for (const registration of registrationsOf(caches, id)) {
      touch(registrationId(registration));
      if (started && registration.metadata.deletionTimestamp !== undefined)
        finalization.look(registrationId(registration));
    }
  }

  /** What other replicas have told until now is ours to tell. */
  function onTerm(id: string): void {
    touchRegistry(id);
    for (const unread of unreadable.ids()) touch(unread);
    const registrations = id === NO_REGISTRY ? allRegistrations(caches) : registrationsOf(caches, id);
    for (const registration of registrations) {
      touch(registrationId(registration));
      if (started) finalization.look(registrationId(registration));
    }
  }

  function openWorker(object: RegistryObject, registry: ReturnType<typeof createRegistry>): RegistryWorker {
    const id = registryId(object);
    const observer = observeWorker({ id: shortName(object), log, metrics });
    const worker = openRegistryWorker({
      id,
      cluster,
      registry,
      clock,
      random,
      terms: leadership.terms(id),
      claimant: claimantOf(caches, id, config.operatorNamespace),
      onTerm() {
        reconciler.startOver(id);
        propagation.forget(id);
      },
      onFenced: observer.onFenced,
      auditMs: () => (findRegistry(caches, id) ?? object).spec.audit.intervalSeconds * 1_000,
      reconcile: (owner) => reconciler.reconcile(worker, owner),
      onListed(owners) {
        if (owners === undefined) reconciler.lookAtAll(worker);
        for (const owner of owners ?? []) worker.queue.add(owner);
        if (owners !== undefined && owners.length > 0)
          log.info({ registry: shortName(object), services: owners.length }, 'entries changed behind our back');
        touch(id);
      },
      onLink(link) {
        observer.onLink(link);
        touchRegistry(id);
      },
      onBlind: observer.onBlind,
      onWritten: observer.onWritten,
      onBatch: observer.onBatch,
      onClosed: () => endObserving(),
      timing: observer.timing,
    });
    const endObserving = observer.track(worker, () => ({ ...outcomes.totals(id), held: guards.total(id) }));
    return worker;
  }

  async function run(signal: AbortSignal): Promise<void> {
    const reflectors = watchCluster({
      client,
      clock,
      random,
      log,
      writers,
      triggers,
      source: config.endpointsSource,
      onMalformed(resource, object) {
        if (unreadable.note(resource, object)) touch(`${resource.kind}/${object.key}`);
      },
      onSettled({ group }, id) {
        unreadable.clear(id);
        // What its status should be was compared with an older one while the cache was behind, and perhaps not written.
        if (group === 'roster.dev') touch(id);
      },
      onRead(resource, what) {
        if (what === 'list') metrics.observeList(resource.name);
        else metrics.observeWatchRestart(resource.name, what);
      },
      onRegistry: (id) => void (started && registries.sync(id)),
      signal: watching.signal,
    });
    try {
      await start(signal);
      await rereadSecrets(registries, clock, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await stop();
      await reflectors;
    }
  }

  async function start(signal: AbortSignal): Promise<void> {
    const { emptied: _, terminations: __, ...stores } = caches;
    await Promise.all(Object.values(stores).map((store) => store.whenSynced(signal)));
    started = true;
    leadership.stand(NO_REGISTRY);
    log.info({ services: caches.services.size, slices: caches.slices.size }, 'the caches are complete');
    const objects: RegistryObject[] = [...caches.clusterRegistries.all(), ...caches.registries.all()];
    for (const registration of allRegistrations(caches)) {
      touch(registrationId(registration));
      finalization.look(registrationId(registration));
    }
    await Promise.all(objects.map((object) => registries.sync(registryId(object))));
  }

  async function stop(): Promise<void> {
    finalization.stop();
    const expiry = new AbortController();
    const cancelExpiry = clock.setTimer(DRAIN_MS, () => expiry.abort());
    await registries.drain(expiry.signal);
    watching.abort();
    await statusWriter.drain(expiry.signal);
    await events.drain(expiry.signal);
    cancelExpiry();
    statusWriter.stop();
    writing.abort();
    const isClean = (id: string) => (registries.get(id)?.worker?.writer.pending ?? 0) === 0;
    await leadership.resign(isClean, AbortSignal.timeout(RESIGN_MS));
    await registries.close();
  }

  return {
    ready: () => started,
    live: () => registries.workers().every(({ queue }) => queue.unfinishedMs().every((ms) => ms < STUCK_MS)),
    registrySnapshot: (name) => snapshotOf(registries, leadership, name),
    summary: () => summarise(caches, registries, outcomes),
    run,
  };
}
