// A registry of each type, and a client of it that can be made to stand still: the real servers over a line, Memory behind a gate.
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { createRegistry } from '../../src/registries/create.ts';
import { openMemory } from '../../src/registries/memory.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { consulHarness } from '../conformance/consul-harness.ts';
import { etcdHarness } from '../conformance/etcd-harness.ts';
import type { Harness } from '../conformance/harness.ts';
import { memoryHarness } from '../conformance/memory-harness.ts';
import { nacosHarness } from '../conformance/nacos-harness.ts';
import { zooKeeperHarness } from '../conformance/zookeeper-harness.ts';
import type { Consul } from '../servers/consul.ts';
import type { Etcd } from '../servers/etcd.ts';
import type { Nacos } from '../servers/nacos.ts';
import type { ZooKeeper } from '../servers/zookeeper.ts';
import { openGate, type Standstill } from './gate.ts';
import { openLine } from './line.ts';

export interface Racer {
  readonly registry: ServiceRegistry;
  readonly line: Standstill;
}

export interface RaceSubject {
  readonly name: string;
  /** The server compares the claims of writers. */
  readonly compared: boolean;
  /** The truth, and somebody else. */
  readonly harness: Pick<Harness, 'peek' | 'revision' | 'intruder' | 'sweep'>;
  /** How many changes more than fit into one request `more than a batch` is. */
  readonly many: number;
  /** A client of the line of this subject: one at a time. */
  openOld(retry: boolean): Racer;
  openNew(): ServiceRegistry;
  close(): Promise<void>;
}

const COMMON = {
  // Longer than any run: what is cut off is cut off by the line.
  timeouts: { connectSeconds: 60, requestSeconds: 60 },
  audit: { intervalSeconds: 60 },
  deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
  allowUnmanagedEndpoints: false,
} as const;

type ConfigAt = (port: number) => RegistryConfig;

interface Remote {
  readonly name: string;
  readonly harness: Harness;
  readonly port: number;
  readonly configAt: ConfigAt;
  readonly beside?: readonly number[];
  readonly many: number;
}

async function remote({ name, harness, port, configAt, beside, many }: Remote): Promise<RaceSubject> {
  const line = await openLine(port, beside);
  return {
    name,
    compared: configAt(port).type !== 'Nacos',
    harness,
    many,
    openOld: (retry) => ({ registry: createRegistry(configAt(line.port), {}, { retry }), line }),
    openNew: () => createRegistry(configAt(port), {}, { retry: false }),
    close: line.close,
  };
}

export async function etcdSubject(server: Pick<Etcd, 'address'>): Promise<RaceSubject> {
  const configAt: ConfigAt = (port) => ({
    ...COMMON,
    type: 'Etcd',
    etcd: { endpoints: [`http://127.0.0.1:${port}`], prefix: '/services', layout: 'Roster', ttlSeconds: 0 },
  });
  const harness = await etcdHarness(server);
  return remote({ name: 'etcd', harness, port: portOf(server.address), configAt, many: 270 });
}

export async function consulSubject(server: Consul): Promise<RaceSubject> {
  const configAt: ConfigAt = (port) => ({
    ...COMMON,
    type: 'Consul',
    consul: { address: `http://127.0.0.1:${port}`, prefix: '', ttlSeconds: 0, healthChecks: true },
  });
  const harness = await consulHarness(server);
  return remote({ name: 'Consul', harness, port: portOf(server.address), configAt, many: 270 });
}

export async function zooKeeperSubject(server: Pick<ZooKeeper, 'address'>): Promise<RaceSubject> {
  const configAt: ConfigAt = (port) => ({
    ...COMMON,
    type: 'ZooKeeper',
    zookeeper: {
      connectString: `127.0.0.1:${port}`,
      // Where the harness reads.
      rootPath: '/curator/services',
      layout: 'Curator',
      sessionTimeoutSeconds: 30,
    },
  });
  const harness = await zooKeeperHarness(server);
  return remote({ name: 'ZooKeeper', harness, port: portOf(`http://${server.address}`), configAt, many: 270 });
}

const GRPC = 1_000;

export async function nacosSubject(server: Nacos): Promise<RaceSubject> {
  const { group, ...harness } = await nacosHarness(server);
  const configAt: ConfigAt = (port) => ({
    ...COMMON,
    type: 'Nacos',
    nacos: { addresses: [`http://127.0.0.1:${port}`], group, cluster: 'DEFAULT', protocol: 'Auto' },
  });
  const port = portOf(server.address);
  // One request for each change.
  return remote({ name: 'Nacos', harness, port, configAt, beside: [GRPC], many: 20 });
}

export function memorySubject(): RaceSubject {
  const entries = new Map<string, Instance>();
  return {
    name: 'Memory',
    compared: true,
    harness: memoryHarness(entries),
    many: 270,
    openOld() {
      const gate = openGate(openMemory({ entries }));
      return { registry: gate.registry, line: gate };
    },
    openNew: () => openMemory({ entries }),
    close: async () => {},
  };
}

const portOf = (url: string): number => Number(new URL(url).port);
