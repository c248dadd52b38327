/** What each adapter is told: its block of the config in milliseconds and with its credentials, and nothing of the others. */
import type {
  ConsulRegistry,
  EtcdRegistry,
  MemoryRegistry as MemoryConfig,
  NacosRegistry,
  RegistryTimeouts,
  ZooKeeperRegistry,
} from '../api/kinds.generated.ts';
import type { Clock } from '../clock.ts';
import type { ConsulSettings } from './consul/consul.ts';
import type { EtcdSettings } from './etcd/etcd.ts';
import type { MemorySettings } from './memory.ts';
import type { NacosSettings } from './nacos/settings.ts';
import type { Secrets } from './secrets.ts';
import type { ZooKeeperSettings } from './zookeeper/zookeeper.ts';

export function consulSettings(consul: ConsulRegistry, timeouts: RegistryTimeouts, secrets: Secrets): ConsulSettings {
  const { address, addresses = [], datacenter, namespace, partition, prefix, healthChecks, ttlSeconds, tls } = consul;
  const { token, ca, cert, key } = secrets;
  return {
    addresses: address === undefined ? addresses : [address, ...addresses],
    datacenter,
    namespace,
    partition,
    token,
    tls: { ca, cert, key, serverName: tls?.serverName },
    prefix,
    healthChecks,
    ...leasing(ttlSeconds),
    connectMs: timeouts.connectSeconds * 1_000,
    requestMs: timeouts.requestSeconds * 1_000,
  };
}

export function etcdSettings(etcd: EtcdRegistry, timeouts: RegistryTimeouts, secrets: Secrets): EtcdSettings {
  const { endpoints, prefix, layout, ttlSeconds, tls } = etcd;
  const { username, password, ca, cert, key } = secrets;
  return {
    endpoints,
    username,
    password,
    tls: tls === undefined ? undefined : { ca, cert, key, serverName: tls.serverName },
    prefix,
    layout,
    ...leasing(ttlSeconds),
    connectMs: timeouts.connectSeconds * 1_000,
    requestMs: timeouts.requestSeconds * 1_000,
  };
}

export function zooKeeperSettings(
  { connectString, rootPath, layout, sessionTimeoutSeconds, tls }: ZooKeeperRegistry,
  timeouts: RegistryTimeouts,
  { digestAuth, ca, cert, key }: Secrets,
): ZooKeeperSettings {
  return {
    connectString,
    rootPath,
    layout,
    sessionTimeoutMs: sessionTimeoutSeconds * 1_000,
    digestAuth,
    tls: tls === undefined ? undefined : { ca, cert, key, serverName: tls.serverName },
    connectMs: timeouts.connectSeconds * 1_000,
    requestMs: timeouts.requestSeconds * 1_000,
  };
}

export function nacosSettings(nacos: NacosRegistry, timeouts: RegistryTimeouts, secrets: Secrets): NacosSettings {
  const { addresses, namespace, group, cluster, protocol, protectThreshold, tls } = nacos;
  const { username, password, ca, cert, key } = secrets;
  return {
    addresses,
    namespace,
    group,
    cluster,
    protocol,
    protectThreshold,
    username,
    password,
    tls: tls === undefined ? undefined : { ca, cert, key, serverName: tls.serverName },
    connectMs: timeouts.connectSeconds * 1_000,
    requestMs: timeouts.requestSeconds * 1_000,
  };
}

export const memorySettings = ({ capacity, ttlSeconds }: MemoryConfig, clock: Clock): MemorySettings => ({
  ...(capacity === undefined ? {} : { capacity }),
  ...leasing(ttlSeconds),
  clock,
});

/** Ten times what a failover takes, see docs/decisions: a restart of the operator must let nothing lapse. */
const DEFAULT_TTL_SECONDS = 180;

/** `ttlSeconds` above 0 makes every entry a leased one; with 0 those that are asked for are. */
const leasing = (ttlSeconds: number) => ({
  ttlMs: (ttlSeconds === 0 ? DEFAULT_TTL_SECONDS : ttlSeconds) * 1_000,
  leasesAll: ttlSeconds > 0,
});
