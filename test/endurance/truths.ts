// What stands in each real registry, by its own protocol, with what it keeps of the past of an entry.
import { createHash } from 'node:crypto';
import type { Instance } from '../../src/mirror/instance.ts';
import { consulHarness } from '../conformance/consul-harness.ts';
import { rawEtcd } from '../conformance/etcd-harness.ts';
import { layoutBooks as etcdLayouts } from '../conformance/etcd-layouts.ts';
import { layoutBooks as zooKeeperLayouts } from '../conformance/zookeeper-layouts.ts';
import { rawZooKeeper } from '../conformance/zookeeper-raw.ts';
import { entriesInNacos } from '../scenarios/nacos-truth.ts';
import { consulSpec, etcdSpec, nacosSpec, type RegistrySpec, zooKeeperSpec } from '../scenarios/registries.ts';
import { openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { openNacosRecorder } from './nacos-recorder.ts';

export interface Seen {
  readonly instance: Instance;
  /** Differs when the entry was gone in between; undefined where the registry does not keep it. */
  readonly born: string | undefined;
  /** Differs after each write of it. */
  readonly written: string;
}

export interface Truth {
  readonly name: string;
  readonly port: number;
  /** Further ports that it serves, by their distances from the first one. */
  readonly beside: readonly number[];
  /** As it is reached at that port, or through something in front of it. */
  specAt(port: number): RegistrySpec;
  /** The server compares the claims of writers. */
  readonly compares: boolean;
  /** What it shows may be older than what it showed before: what it does not show for so long is absent. Milliseconds. */
  readonly lateMs: number;
  /** By address, of which each entry of these tests has one of its own. */
  read(cluster: string): Promise<ReadonlyMap<string, Seen>>;
  /** Writes of any kind to the server so far; of entries only in Nacos. */
  writes(): Promise<string>;
  stop(): Promise<void>;
}

/** `onRemoval`: an entry goes, at the moment when the registry tells it. */
type OnRemoval = (address: string) => void;

export async function openTruths(onRemoval: (registry: string, address: string) => void): Promise<readonly Truth[]> {
  const removals =
    (name: string): OnRemoval =>
    (address) =>
      onRemoval(name, address);
  return Promise.all([
    openEtcdTruth(removals('etcd')),
    openConsulTruth(),
    openZooKeeperTruth(),
    openNacosTruth(removals('nacos')),
  ]);
}

const byAddress = (seen: readonly Seen[]) => new Map(seen.map((one) => [one.instance.address, one]));

async function openEtcdTruth(onRemoval: OnRemoval): Promise<Truth> {
  const server = await openEtcd({ fsync: false });
  const raw = rawEtcd(server.address);
  const book = etcdLayouts.Roster;
  const watcher = await raw.client.watch().prefix('/services/').create();
  watcher.on('delete', ({ key }) => {
    const [, address] = /([\d.]+):\d+$/.exec(decodeURIComponent(key.toString())) ?? [];
    if (address !== undefined) onRemoval(address);
  });
  return {
    name: 'etcd',
    port: portOf(server.address),
    beside: [],
    specAt: (port) => etcdSpec(`http://127.0.0.1:${port}`),
    compares: true,
    lateMs: 0,
    async read(cluster) {
      const { kvs } = await raw.client.getAll().prefix('/services/').exec();
      const found = new Map(kvs.map((kv) => [kv.key.toString(), kv]));
      const texts = new Map(kvs.map(({ key, value }) => [key.toString(), value.toString()]));
      const seen = book.read(texts, cluster).map((instance) => {
        const kv = found.get(book.keyOf(instance));
        return { instance, born: kv?.create_revision, written: kv?.mod_revision ?? '' };
      });
      return byAddress(seen);
    },
    writes: async () => (await raw.client.getAll().prefix('/services/').limit(1).exec()).header.revision,
    async stop() {
      await watcher.cancel();
      raw.close();
      await server.stop();
    },
  };
}

async function openConsulTruth(): Promise<Truth> {
  const server = await openConsul();
  const { peek } = await consulHarness(server);
  const get = async (path: string) => (await server.request('GET', `/v1${path}`)).body;
  return {
    name: 'consul',
    port: portOf(server.address),
    beside: [],
    specAt: (port) => consulSpec(`http://127.0.0.1:${port}`),
    compares: true,
    lateMs: 0,
    async read(cluster) {
      const ours = `consistent&node-meta=managed-by:roster&node-meta=roster-cluster:${cluster}`;
      const seen: Seen[] = [];
      const instances = new Map((await peek(cluster)).map((instance) => [instance.id, instance]));
      const checks = new Map<string, number>();
      for (const { ServiceID, ModifyIndex } of await get(`/health/state/any?${ours}`))
        checks.set(ServiceID, ModifyIndex);
      for (const { Node } of await get(`/catalog/nodes?${ours}`)) {
        // biome-ignore lint/suspicious/noExplicitAny: answers of Consul, as they are.
        const services = Object.values<any>((await get(`/catalog/node/${Node}?consistent`)).Services);
        for (const { ID, CreateIndex, ModifyIndex } of services) {
          const instance = instances.get(ID);
          // It came after the first question.
          if (instance === undefined) continue;
          seen.push({ instance, born: String(CreateIndex), written: `${ModifyIndex} ${checks.get(ID)}` });
        }
      }
      return byAddress(seen);
    },
    writes: async () => String(await server.raftIndex()),
    stop: server.stop,
  };
}

async function openZooKeeperTruth(): Promise<Truth> {
  const server = await openZooKeeper({ fsync: false });
  const raw = rawZooKeeper(server.address);
  const hex = (stat: object, field: string) => (Reflect.get(stat, field) as Buffer).toString('hex');
  return {
    name: 'zookeeper',
    port: portOf(`http://${server.address}`),
    beside: [],
    specAt: (port) => zooKeeperSpec(`127.0.0.1:${port}`),
    compares: true,
    lateMs: 0,
    async read(cluster) {
      const seen = (await raw.entries('/services')).flatMap(({ text, stat, service, name }): Seen[] => {
        const json = text.startsWith('{') ? JSON.parse(text) : {};
        const instance = zooKeeperLayouts.Curator.read(json, { service, name, liveness: 'persistent' });
        if (instance?.marks.cluster !== cluster) return [];
        return [{ instance, born: hex(stat, 'czxid'), written: hex(stat, 'mzxid') }];
      });
      return byAddress(seen);
    },
    // Not by the transactions of the server: that the session of a process ended which was killed long ago is one too.
    async writes() {
      const entries = await raw.entries('/services');
      const services = [...new Set(entries.map(({ service }) => service))];
      const directories = await Promise.all(services.map((service) => raw.get(`/services/${service}`)));
      const nodes = [...entries, ...directories.filter((one) => one !== undefined)];
      const stamps = nodes.map(({ path, stat }) => `${path} ${hex(stat, 'mzxid')} ${hex(stat, 'pzxid')}`).sort();
      return createHash('sha256').update(stamps.join()).digest('hex').slice(0, 12);
    },
    async stop() {
      await raw.close();
      await server.stop();
    },
  };
}

async function openNacosTruth(onRemoval: OnRemoval): Promise<Truth> {
  const server = await openNacos();
  let writes = 0;
  const recorder = await openNacosRecorder(server.address, ({ action, address }) => {
    writes++;
    if (action === 'remove') onRemoval(address);
  });
  return {
    name: 'nacos',
    port: portOf(recorder.address),
    beside: [1_000],
    specAt: (port) => nacosSpec(`http://127.0.0.1:${port}`),
    compares: false,
    lateMs: 3_000,
    async read(cluster) {
      const instances = await entriesInNacos(server, cluster);
      return byAddress(instances.map((instance) => ({ instance, born: undefined, written: JSON.stringify(instance) })));
    },
    writes: async () => String(writes),
    async stop() {
      recorder.close();
      await server.stop();
    },
  };
}

const portOf = (url: string): number => Number(new URL(url).port);
