import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../api/core.ts';
import { isFields } from '../../api/metadata.ts';
import { systemClock } from '../../clock.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import { createIntake } from '../../kubernetes/intake.ts';
import { listAll } from '../../kubernetes/list.ts';
import type { Resource } from '../../kubernetes/resources.ts';
import * as resources from '../../kubernetes/resources.ts';
import type { StoreWriter } from '../../kubernetes/store.ts';
import type { CacheWriters } from '../cluster/caches.ts';

/** The caches filled once, for commands that look and do not stay. */

const PAGE = 500;

/** One complete list of each kind. */
export async function cachesFromCluster(client: KubeClient, writers: CacheWriters, signal: AbortSignal): Promise<void> {
  const load = async <T extends KubeObject>(resource: Resource<T>, writer: StoreWriter<T>) => {
    const intake = createIntake({ resource, writer, emit: () => {}, malformed: () => {}, confirmMs: 0 });
    intake.takeList(
      await listAll({
        client,
        resource,
        namespace: undefined,
        pageSize: PAGE,
        clock: systemClock,
        read: intake.read,
        signal,
      }),
    );
  };
  await Promise.all([
    load(resources.namespaces, writers.namespaces),
    load(resources.services, writers.services),
    load(resources.endpointSlices, writers.slices),
    load(resources.serviceRegistrations, writers.serviceRegistrations),
    load(resources.clusterServiceRegistrations, writers.clusterServiceRegistrations),
    load(resources.registries, writers.registries),
    load(resources.clusterRegistries, writers.clusterRegistries),
  ]);
}

/** An error in a manifest, with the file and what is wrong. */
class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/** The manifests of a YAML file, or of all in a folder and those below it. Kinds that Roster does not read are passed over. */
export function cachesFromFiles(path: string, writers: CacheWriters): void {
  for (const file of manifestFiles(path)) {
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
      const [error] = document.errors;
      if (error !== undefined) throw new ManifestError(`${file}: ${error.message}`);
      for (const object of itemsOf(document.toJS())) take(file, object, writers);
    }
  }
  addNamespaces(writers);
}

function manifestFiles(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

const itemsOf = (value: unknown): readonly unknown[] =>
  isFields(value) && value['kind'] === 'List' && Array.isArray(value['items']) ? value['items'] : [value];

function take(file: string, value: unknown, writers: CacheWriters): void {
  if (!isFields(value)) return;
  const put = <T extends KubeObject>(resource: Resource<T>, writer: StoreWriter<T>): void => {
    if (value['kind'] !== resource.kind) return;
    try {
      const object = resource.parse(asStored(value, resource));
      if (object !== undefined) writer.put(object);
    } catch (error) {
      const metadata = isFields(value['metadata']) ? value['metadata'] : {};
      const message = error instanceof Error ? error.message : String(error);
      throw new ManifestError(`${file}: ${resource.kind} ${String(metadata['name'])}: ${message}`);
    }
  };
  put(resources.namespaces, writers.namespaces);
  put(resources.services, writers.services);
  put(resources.endpointSlices, writers.slices);
  put(resources.serviceRegistrations, writers.serviceRegistrations);
  put(resources.clusterServiceRegistrations, writers.clusterServiceRegistrations);
  put(resources.registries, writers.registries);
  put(resources.clusterRegistries, writers.clusterRegistries);
}

/** Manifests often leave their namespaces to others; those bear the one label that every namespace has. */
function addNamespaces({ services, namespaces }: CacheWriters): void {
  for (const { metadata } of services.reader.all()) {
    const name = metadata.namespace ?? '';
    if (namespaces.reader.get(name) !== undefined) continue;
    const object = { kind: 'Namespace', metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } };
    const parsed = resources.namespaces.parse(asStored(object, resources.namespaces));
    if (parsed !== undefined) namespaces.put(parsed);
  }
}

/** What an API server would add on storing. The same time for all: among manifests none is older. */
function asStored(value: Readonly<Record<string, unknown>>, resource: Resource): unknown {
  const metadata = isFields(value['metadata']) ? value['metadata'] : {};
  const stored = { uid: 'not-stored', resourceVersion: '1', generation: 1, creationTimestamp: '1970-01-01T00:00:00Z' };
  const namespace = resource.namespaced ? { namespace: 'default' } : {};
  return { ...value, metadata: { ...stored, ...namespace, ...metadata } };
}
