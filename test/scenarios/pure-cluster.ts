import assert from 'node:assert/strict';
import type { KubeObject } from '../../src/api/core.ts';
import type { RegistryObject } from '../../src/api/kinds.generated.ts';
import type { Resource } from '../../src/kubernetes/resources.ts';
import * as resources from '../../src/kubernetes/resources.ts';
import type { StoreWriter } from '../../src/kubernetes/store.ts';
import { type Caches, createCaches } from '../../src/operator/cluster/caches.ts';
import { createTriggers } from '../../src/operator/cluster/triggers.ts';
import { createPropagation } from '../../src/operator/registry/propagation.ts';
import type { Json, Target } from '../e2e/kube.ts';
import { virtualClock } from '../virtual-clock.ts';

/** As much of an API server as scenarios need, and the operator's caches of what it holds: no server, no process, no time. */
export interface PureCluster {
  readonly caches: Caches;
  get(target: Target): Json | undefined;
  all(): readonly Json[];
  /** As a user's write is taken: what the object was given before stays, and a spec that differs is a new generation. */
  write(object: Json): void;
  /** RFC 7386. */
  patch(target: Target, change: object): void;
  /** Registrations are marked as deleted only, since they have finalizers. */
  remove(target: Target): void;
  /** As the operator's write of a status is taken. */
  report(object: Json, status: unknown): void;
  /** The object is gone. */
  drop(target: Target): void;
  /** Goes on by a second with every write. */
  now(): string;
}

export function openPureCluster(onRegistry: (object: RegistryObject) => void): PureCluster {
  const { caches, writers } = createCaches();
  const objects = new Map<string, Json>();
  let versions = 0;
  const now = () => new Date(1_780_000_000_000 + versions * 1_000).toISOString().replace('.000', '');
  // Of all that is triggered, nothing but what is known of Services without slices is of interest.
  const { onSlice } = createTriggers({
    caches,
    emptied: writers.emptied,
    terminations: writers.terminations,
    propagation: createPropagation({ clock: virtualClock(), wallNow: () => 0, observe: () => {} }),
    workers: () => [],
    touch: () => {},
  });

  const readers: Readonly<Record<string, (raw: Json) => void>> = {
    Namespace: into(resources.namespaces, writers.namespaces),
    Service: into(resources.services, writers.services),
    EndpointSlice: into(resources.endpointSlices, writers.slices, (object) =>
      onSlice({ type: 'applied', object, previous: undefined }),
    ),
    ServiceRegistration: into(resources.serviceRegistrations, writers.serviceRegistrations),
    ClusterServiceRegistration: into(resources.clusterServiceRegistrations, writers.clusterServiceRegistrations),
    Registry: into(resources.registries, writers.registries, onRegistry),
    ClusterRegistry: into(resources.clusterRegistries, writers.clusterRegistries, onRegistry),
  };
  const removers: Readonly<Record<string, (key: string) => void>> = {
    Service: writers.services.remove,
    EndpointSlice(key) {
      const object = caches.slices.get(key);
      writers.slices.remove(key);
      if (object !== undefined) onSlice({ type: 'deleted', object });
    },
    ServiceRegistration: writers.serviceRegistrations.remove,
    ClusterServiceRegistration: writers.clusterServiceRegistrations.remove,
  };

  const existing = (target: Target): Json => objects.get(keyOf(target)) ?? assert.fail(`there is no ${keyOf(target)}`);

  function store(object: Json): void {
    objects.set(keyOf({ kind: object.kind, ...object.metadata }), object);
    const read = readers[object.kind] ?? assert.fail(`no scenario has a ${object.kind}`);
    read(object);
  }

  function write(object: Json): void {
    const { kind, metadata } = object;
    const before = objects.get(keyOf({ kind, ...metadata }));
    versions++;
    const { uid, creationTimestamp, generation } = before?.metadata ?? {
      uid: `uid-${versions}`,
      creationTimestamp: now(),
      generation: 0,
    };
    const isSame = before !== undefined && JSON.stringify(before.spec) === JSON.stringify(object.spec);
    const named = kind === 'Namespace' ? { 'kubernetes.io/metadata.name': metadata.name } : {};
    store({
      ...object,
      ...(before?.status && { status: before.status }),
      metadata: {
        ...metadata,
        labels: { ...metadata.labels, ...named },
        uid,
        creationTimestamp,
        resourceVersion: String(versions),
        generation: isSame ? generation : generation + 1,
      },
    });
  }

  function drop(target: Target): void {
    const { kind, namespace, name } = target;
    objects.delete(keyOf(target));
    const remove = removers[kind] ?? assert.fail(`no scenario deletes a ${kind} here`);
    remove(namespace === undefined ? name : `${namespace}/${name}`);
  }

  return {
    caches,
    get: (target) => objects.get(keyOf(target)),
    all: () => [...objects.values()],
    write,
    patch: (target, change) => write(merged(existing(target), change)),
    remove(target) {
      const object = existing(target);
      if (!target.kind.endsWith('ServiceRegistration')) return drop(target);
      versions++;
      store({ ...object, metadata: { ...object.metadata, deletionTimestamp: now() } });
    },
    report: (object, status) => store({ ...object, status }),
    drop,
    now,
  };
}

const into =
  <T extends KubeObject>(resource: Resource<T>, writer: StoreWriter<T>, then: (object: T) => void = () => {}) =>
  (raw: Json) => {
    const object = resource.parse(raw);
    if (object === undefined) return;
    writer.put(object);
    then(object);
  };

const keyOf = ({ kind, namespace, name }: Target): string =>
  namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;

function merged(value: Json, change: Json): Json {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change;
  const base = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  const result = { ...base };
  for (const [key, inner] of Object.entries(change)) {
    if (inner === null) delete result[key];
    else result[key] = merged(base[key], inner);
  }
  return result;
}
