import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import { parseClusterRegistry } from '../../src/api/parse.ts';
import { createRegistry } from '../../src/registries/create.ts';
import type { Capabilities, ServiceRegistry } from '../../src/registries/registry.ts';

/** A registry as the virtual laboratory plays it. */
export interface RegistryType {
  readonly name: string;
  /** Of a ClusterRegistry. */
  readonly spec: object;
  readonly rules: {
    readonly normalise: ServiceRegistry['normalise'];
    readonly capabilities: Capabilities;
    /** Each change of a batch is a write of its own; elsewhere the server takes a batch whole or not at all. */
    readonly oneByOne: boolean;
  };
}

const SPECS: Readonly<Record<string, object>> = {
  Memory: { type: 'Memory' },
  Etcd: { type: 'Etcd', etcd: { endpoints: ['127.0.0.1:1'] } },
  Consul: { type: 'Consul', consul: { address: 'http://127.0.0.1:1' } },
  Nacos: { type: 'Nacos', nacos: { addresses: ['http://127.0.0.1:1'] } },
  ZooKeeper: { type: 'ZooKeeper', zookeeper: { connectString: '127.0.0.1:1' } },
};

/** What the adapters say of themselves. Nothing is connected for it. */
export async function registryTypes(): Promise<readonly RegistryType[]> {
  return Promise.all(
    Object.entries(SPECS).map(async ([name, type]) => {
      // Often enough for an audit while a workload is under way.
      const spec = { ...type, allowedNamespaces: { all: true }, audit: { intervalSeconds: 20 } };
      const { normalise, capabilities, close } = createRegistry(configOf(spec));
      await close();
      return { name, spec, rules: { normalise, capabilities, oneByOne: name === 'Nacos' } };
    }),
  );
}

function configOf(spec: object): RegistryConfig {
  const manifest = { apiVersion: 'roster.dev/v1alpha1', kind: 'ClusterRegistry', metadata: { name: 'any' }, spec };
  const parsed = parseClusterRegistry(manifest);
  if (!parsed.ok) throw new Error(parsed.errors.map(({ path, message }) => `${path} ${message}`).join('; '));
  return parsed.value.spec;
}
