import type { RegistryConfig, RegistrySettings } from '../api/kinds.generated.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Instance } from '../mirror/instance.ts';
import type { AddressRule } from './address-rule.ts';
import { openConsulRegistry } from './consul/consul.ts';
import { RegistryError } from './error.ts';
import { openEtcdRegistry } from './etcd/etcd.ts';
import { withLayers } from './layers/layers.ts';
import type { Observation } from './layers/metrics.ts';
import { withRotation } from './layers/rotation.ts';
import { openMemory } from './memory.ts';
import { openNacosRegistry } from './nacos/nacos.ts';
import type { ServiceRegistry } from './registry.ts';
import { blockName, type CustomRegistryConfig, customType, isBuiltIn } from './registry-types.ts';
import { followSecrets, hasFiles, readSecrets, type SecretSources, type Secrets } from './secrets.ts';
import { consulSettings, etcdSettings, memorySettings, nacosSettings, zooKeeperSettings } from './settings.ts';
import { openZooKeeperRegistry } from './zookeeper/zookeeper.ts';

export interface CreateOptions {
  readonly clock?: Clock;
  /** 0 up to, not including, 1. Default: Math.random. */
  readonly random?: () => number;
  /** Stands in the context of every error. */
  readonly name?: string;
  /** False for callers that try again themselves. Default: true. */
  readonly retry?: boolean;
  /** Calls in flight at once while the registry is quick. Default: 16. */
  readonly maxInFlight?: number;
  /** Which addresses may be connected to, asked after names were resolved; others are `not-allowed`. Default: all. */
  readonly mayConnect?: AddressRule;
  /** Called once for each finished operation, and for each hint of a watch. */
  readonly observe?: (observation: Observation) => void;
}

/** `snapshot` is there when the registry is in this process (Memory): everything it holds, whoever wrote it. */
export type OpenRegistry = ServiceRegistry & { readonly snapshot?: () => readonly Instance[] };

/**
 * The registry of a config, inside its layers, and nothing connected yet: the first operation does that. Secrets in files are followed: changed ones
 * make a new client under the same registry. Throws a RegistryError `invalid` for a config that cannot be used.
 */
export function createRegistry(
  config: RegistryConfig | CustomRegistryConfig,
  secrets: SecretSources = {},
  options: CreateOptions = {},
): OpenRegistry {
  const { clock = systemClock, random = Math.random, name, retry = true, maxInFlight = 16, observe } = options;
  return withLayers(openFollowing(config, secrets, { clock, mayConnect: options.mayConnect }), {
    clock,
    deadlines: deadlines(config),
    context: { type: config.type, ...(name !== undefined && { name }) },
    retry: retry ? random : undefined,
    maxInFlight,
    observe,
  });
}

interface Surroundings {
  readonly clock: Clock;
  readonly mayConnect: AddressRule | undefined;
}

function openFollowing(
  config: RegistryConfig | CustomRegistryConfig,
  sources: SecretSources,
  surroundings: Surroundings,
): OpenRegistry {
  const { clock } = surroundings;
  const first = readSecrets(sources);
  const bare = openBare(config, first, surroundings);
  // Memory takes no credentials, and another client of it would be another registry.
  if (!hasFiles(sources) || config.type === 'Memory') return bare;
  const { registry, rotate } = withRotation(bare);
  const ending = new AbortController();
  const following = followSecrets(sources, first, {
    clock,
    signal: ending.signal,
    onChange: (secrets) => rotate(openBare(config, secrets, surroundings)),
  });
  return {
    ...registry,
    async close() {
      ending.abort();
      await following;
      await registry.close();
    },
  };
}

function openBare(
  config: RegistryConfig | CustomRegistryConfig,
  secrets: Secrets,
  { clock, mayConnect }: Surroundings,
): OpenRegistry {
  if (!isBuiltIn(config)) return openCustom(config, secrets, clock);
  switch (config.type) {
    case 'Memory':
      return openMemory(memorySettings(config.memory ?? { ttlSeconds: 0 }, clock));
    case 'Consul':
      return openConsulRegistry({ ...consulSettings(config.consul, config.timeouts, secrets), mayConnect });
    case 'Etcd':
      return openEtcdRegistry({ ...etcdSettings(config.etcd, config.timeouts, secrets), mayConnect });
    case 'ZooKeeper':
      return openZooKeeperRegistry({ ...zooKeeperSettings(config.zookeeper, config.timeouts, secrets), mayConnect });
    case 'Nacos':
      return openNacosRegistry({ ...nacosSettings(config.nacos, config.timeouts, secrets), mayConnect });
  }
}

function openCustom(config: CustomRegistryConfig, secrets: Secrets, clock: Clock): ServiceRegistry {
  const factory = customType(config.type);
  if (factory === undefined) {
    throw new RegistryError('invalid', `there is no registry type ${config.type}; add it with registerRegistryType`);
  }
  return factory({ config: config[blockName(config.type)], secrets, timeouts: config.timeouts, clock });
}

/** A list is hundreds of requests on a large Consul; an operation of one request may also wait for its connection. */
function deadlines({ timeouts }: RegistrySettings) {
  const requestMs = (timeouts.connectSeconds + timeouts.requestSeconds) * 1_000;
  return { batchMs: 3 * requestMs, listMs: 6 * requestMs, discoverMs: requestMs, checkMs: 2 * requestMs };
}
