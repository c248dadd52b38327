import { type KubeObject, objectKey } from '../../api/core.ts';
import type { RegistryObject } from '../../api/kinds.generated.ts';
import type { Clock } from '../../clock.ts';
import { type KubeClient, KubeError } from '../../kubernetes/client.ts';
import type { Malformed } from '../../kubernetes/intake.ts';
import { type Delta, reflect } from '../../kubernetes/reflector.ts';
import type { Resource } from '../../kubernetes/resources.ts';
import * as resources from '../../kubernetes/resources.ts';
import { sameJson } from '../../kubernetes/same-json.ts';
import type { StoreWriter } from '../../kubernetes/store.ts';
import { registryId } from '../../mirror/selection.ts';
import type { Log } from '../../telemetry/log.ts';
import type { CacheWriters } from './caches.ts';
import type { Triggers } from './triggers.ts';

export type EndpointsSource = 'Auto' | 'EndpointSlice' | 'Endpoints';

export interface WatchOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly source: EndpointsSource;
  readonly writers: CacheWriters;
  readonly triggers: Triggers;
  onRegistry(id: string): void;
  onMalformed(resource: Resource, object: Malformed): void;
  /** An object was read or is gone. */
  onSettled(resource: Resource, id: string): void;
  onRead(resource: Resource, what: string): void;
  readonly signal: AbortSignal;
}

/** Keeps the caches equal to the cluster and tells the triggers what changed. Resolves when every reflector has ended. */
export async function watchCluster(options: WatchOptions): Promise<void> {
  const { client, clock, random, log, writers, triggers, signal } = options;
  const follow = <T extends KubeObject>(
    resource: Resource<T>,
    writer: StoreWriter<T>,
    onDelta: (delta: Delta<T>) => void,
  ) =>
    reflect({
      client,
      resource,
      writer,
      clock,
      random,
      log,
      signal,
      onDelta(delta) {
        options.onSettled(resource, `${resource.kind}/${objectKey(delta.object.metadata)}`);
        onDelta(delta);
      },
      onMalformed: (object) => options.onMalformed(resource, object),
      onRead: (what) => options.onRead(resource, what),
    });
  // Our own status writes come back as events, and change nothing about the registry. Annotations ask for a release.
  const onRegistry = (delta: Delta<RegistryObject>) => {
    const { object } = delta;
    const before = delta.type === 'applied' ? delta.previous : undefined;
    const { uid, generation, annotations } = object.metadata;
    if (
      before?.metadata.uid !== uid ||
      before.metadata.generation !== generation ||
      !sameJson(before.metadata.annotations, annotations)
    )
      options.onRegistry(registryId(object));
  };

  await Promise.all([
    follow(resources.namespaces, writers.namespaces, triggers.onNamespace),
    follow(resources.services, writers.services, triggers.onService),
    follow(resources.serviceRegistrations, writers.serviceRegistrations, triggers.onRegistration),
    follow(resources.clusterServiceRegistrations, writers.clusterServiceRegistrations, triggers.onRegistration),
    follow(resources.registries, writers.registries, onRegistry),
    follow(resources.clusterRegistries, writers.clusterRegistries, onRegistry),
    slicesOf(options).then((resource) => follow(resource, writers.slices, triggers.onSlice)),
  ]);
}

/** `Auto` asks the API server once whether it serves slices; only its own "not found" makes it take v1 Endpoints. */
async function slicesOf({ client, source, log, signal }: WatchOptions) {
  if (source !== 'Auto') return source === 'Endpoints' ? resources.endpoints : resources.endpointSlices;
  try {
    await client.request({ method: 'GET', path: '/apis/discovery.k8s.io/v1', signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) {
      log.warn(
        {},
        'the API server does not serve EndpointSlices: reading v1 Endpoints, which do not say whether Pods were told to end; ' +
          'the deletion guard holds larger scale-downs back that were meant',
      );
      return resources.endpoints;
    }
  }
  return resources.endpointSlices;
}
