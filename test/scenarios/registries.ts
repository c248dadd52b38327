import { parseClusterRegistry } from '../../src/api/parse.ts';
import { createRegistry } from '../../src/registries/create.ts';
import type { Rules } from './expectation.ts';
import type { Manifest } from './schema.ts';

/** `type` and the block of that type, as they stand in the spec of a Registry or ClusterRegistry. */
export interface RegistrySpec {
  readonly type: string;
  readonly [block: string]: unknown;
}

export const memorySpec: RegistrySpec = { type: 'Memory' };

/** With a prefix, so that no name stands as it was asked for. */
export const consulSpec = (address: string): RegistrySpec => ({
  type: 'Consul',
  consul: { address, prefix: 'of-scenarios-' },
});

export const etcdSpec = (endpoint: string): RegistrySpec => ({ type: 'Etcd', etcd: { endpoints: [endpoint] } });

export const zooKeeperSpec = (connectString: string, rootPath = '/services'): RegistrySpec => ({
  type: 'ZooKeeper',
  zookeeper: { connectString, rootPath },
});

export const nacosSpec = (address: string, protocol: 'Auto' | 'Grpc' | 'Http' = 'Auto'): RegistrySpec => ({
  type: 'Nacos',
  nacos: { addresses: [address], protocol },
});

export const isRegistry = (kind: string): boolean => kind === 'Registry' || kind === 'ClusterRegistry';

/** Of a registry that a scenario makes, its type and where its server is; any other object as it is. */
export const completed = (manifest: Manifest, spec: RegistrySpec): Manifest =>
  isRegistry(manifest.kind)
    ? { ...manifest, spec: { deletionGuard: OFF, ...(manifest['spec'] as object), ...spec, audit: SELDOM } }
    : manifest;

/** Many scenarios remove at once, from one server, what each of them means to remove. One about the guard gives its own. */
const OFF = { maxPercent: 100 };

/** Nobody but Roster writes there: an audit could only hide what went wrong. */
const SELDOM = { intervalSeconds: 86_400 };

/** What every scenario finds as `registry`, unless it makes one of that name. It admits each namespace without the label `closed`. */
export const sharedRegistry = (name: string, spec: RegistrySpec): Manifest =>
  completed(
    {
      apiVersion: 'roster.dev/v1alpha1',
      kind: 'ClusterRegistry',
      metadata: { name },
      spec: { allowedNamespaces: { selector: { matchExpressions: [{ key: 'closed', operator: 'DoesNotExist' }] } } },
    },
    spec,
  );

/** What the adapter says of itself. Nothing is connected for it. */
export async function rulesOf(spec: RegistrySpec): Promise<Rules> {
  const parsed = parseClusterRegistry({
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ClusterRegistry',
    metadata: { name: 'any' },
    spec: { ...spec, allowedNamespaces: { all: true } },
  });
  if (!parsed.ok) throw new Error(parsed.errors.map(({ path, message }) => `${path} ${message}`).join('; '));
  const { normalise, capabilities, close } = createRegistry(parsed.value.spec);
  await close();
  return { normalise, capabilities };
}
