// The manifests of deploy/samples, made to fit the place where the demo runs.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

const folder = join(import.meta.dirname, '..', '..', 'deploy', 'samples');

export type Place = {
  readonly namespace: string;
  /** Name of the ClusterRegistry and of the ClusterServiceRegistration: of the whole cluster, so they must not meet others. */
  readonly name: string;
  /** Absent: the Memory registry. */
  readonly consulAddress?: string;
};

// biome-ignore lint/suspicious/noExplicitAny: manifests of any kind.
type Manifest = any;

/** Namespace, Deployment, two Services, ClusterRegistry, and a registration of either kind. */
export async function sampleManifests({ namespace, name, consulAddress }: Place): Promise<readonly Manifest[]> {
  const registryFile = consulAddress === undefined ? 'cluster-registry-memory.yaml' : 'cluster-registry-consul.yaml';
  const workload = await read('demo.yaml');
  const [registry] = await read(registryFile);
  const [registration] = await read('service-registration.yaml');
  const [automatic] = await read('cluster-service-registration.yaml');

  for (const manifest of [...workload, registration]) {
    if (manifest.kind === 'Namespace') manifest.metadata.name = namespace;
    else manifest.metadata.namespace = namespace;
  }
  for (const manifest of [registry, automatic]) manifest.metadata.name = name;
  registry.spec.allowedNamespaces = { names: [namespace] };
  if (consulAddress !== undefined) {
    registry.spec.consul.address = consulAddress;
    // The demo's own Consul asks for none.
    delete registry.spec.consul.tokenSecretRef;
  }
  automatic.spec.namespaceSelector.matchLabels['kubernetes.io/metadata.name'] = namespace;
  for (const manifest of [registration, automatic]) manifest.spec.registryRef.name = name;
  return [...workload, registry, registration, automatic];
}

async function read(file: string): Promise<readonly Manifest[]> {
  return parseAllDocuments(await readFile(join(folder, file), 'utf8')).map((document) => document.toJS());
}
