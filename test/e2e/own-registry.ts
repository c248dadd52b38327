// Real registries of a test's own, which it may stop, empty and set back; judged by their own protocols.
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { type RawZooKeeper, withRawZooKeeper } from '../conformance/zookeeper-raw.ts';
import { openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { openScratch, type ServerProcess } from '../servers/process.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { answered, base64, call, rangeOf, text } from './etcd-gateway.ts';
import { eventually } from './eventually.ts';
import type { Json } from './kube.ts';
import { clusterRegistry } from './objects.ts';
import { openScenario, type Written } from './scenario.ts';
import type { Stage } from './stage.ts';

export const OWN_TYPES = ['Consul', 'Etcd', 'ZooKeeper', 'Nacos'] as const;
export type OwnType = (typeof OWN_TYPES)[number];

/** An entry as consumers get it. */
export interface Standing {
  readonly service: string;
  readonly address: string;
  readonly healthy: boolean;
  /** What the server tells of it but its health; where the server counts writes, another text after each. */
  readonly shown: string;
  /** Whether it was written once and never again. Undefined where the server does not count. */
  readonly isFirst: boolean | undefined;
}

export interface OwnRegistry {
  readonly type: OwnType;
  readonly port: number;
  /** Of a ClusterRegistry that reaches it at this port. */
  spec(port?: number): object;
  /** All that is there, entries of strangers too. */
  standing(): Promise<readonly Standing[]>;
  /** Puts one that is not ours, at {@link STRANGER}, into a service. */
  addStranger(service: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  restart(): Promise<void>;
  /** Keeps what stands now under this name. */
  backup(name: string): Promise<void>;
  /** Sets it back to a backup; resolves when it serves again. */
  restore(name: string): Promise<void>;
}

export const STRANGER = '192.0.2.9';

/** Call at the top level of a file: it ends after the last test. */
export const openOwn = (type: OwnType): Promise<OwnRegistry> => OPEN[type]();

const OPEN: Readonly<Record<OwnType, () => Promise<OwnRegistry>>> = {
  Consul: ownConsul,
  Etcd: ownEtcd,
  ZooKeeper: ownZooKeeper,
  Nacos: ownNacos,
};

/** A namespace, and a ClusterRegistry that is this server. */
export async function openScenarioOn(stage: Stage, server: OwnRegistry, spec: object = {}) {
  const s = await openScenario(stage, 'Memory');
  const registry = `${server.type.toLowerCase()}-${s.id}`;
  await s.apply(clusterRegistry(registry, { ...server.spec(), ...spec }));
  return { ...s, registry, ...writesTo(stage, registry) };
}

export function writesTo({ operator }: Stage, registry: string) {
  const written = async (): Promise<Written> => {
    const counts = { register: 0, update: 0, deregister: 0 };
    for (const { action, error } of await operator.changes(registry))
      if (error === undefined) counts[action as keyof Written]++;
    return counts;
  };
  return {
    written,
    /** What stands may be seen a moment before its acknowledgement is logged. */
    wrote: (expected: Written) =>
      eventually(`so many were written to ${registry}`, async () => assert.deepEqual(await written(), expected)),
  };
}

/** A backup of it is an image of its disk: the server stands still meanwhile. */
function imagesOf(
  server: ServerProcess,
  directory: string,
): Pick<OwnRegistry, 'kill' | 'restart' | 'backup' | 'restore'> {
  const data = join(directory, 'data');
  const image = (name: string) => join(directory, `image-${name}`);
  return {
    kill: server.kill,
    restart: server.restart,
    async backup(name) {
      server.kill('SIGSTOP');
      await cp(data, image(name), { recursive: true });
      server.kill('SIGCONT');
    },
    async restore(name) {
      server.kill('SIGKILL');
      await server.stop();
      await rm(data, { recursive: true });
      await cp(image(name), data, { recursive: true });
      await server.restart();
    },
  };
}

/** Opens a server in a directory that is there before and after it. */
async function inDirectory<Server extends ServerProcess>(open: (directory: string) => Promise<Server>) {
  const scratch = await openScratch('own');
  after(() => scratch.remove());
  const server = await open(scratch.path);
  after(() => server.stop());
  return { server, images: imagesOf(server, scratch.path) };
}

const portOf = (address: string): number => Number(/:(\d+)$/.exec(address)?.[1]);

/** Its backups are snapshots, which it takes back while it serves. */
async function ownConsul(): Promise<OwnRegistry> {
  const { server } = await inDirectory((directory) => openConsul({ persistent: true, directory }));
  const port = portOf(server.address);
  const snapshots = new Map<string, ArrayBuffer>();
  const ask = async (method: string, path: string, put?: object) => {
    const { status, body } = await server.request(method, path, put);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  return {
    type: 'Consul',
    port,
    spec: (at = port) => ({ type: 'Consul', consul: { address: `http://127.0.0.1:${at}` } }),
    async standing() {
      const critical: readonly Json[] = await ask('GET', '/v1/health/state/critical?consistent');
      const ill = new Set(critical.map(({ Node, ServiceID }) => `${Node} ${ServiceID}`));
      const nodes: readonly Json[] = await ask('GET', '/v1/catalog/nodes?consistent');
      const found = nodes.map(async ({ Node }): Promise<readonly Standing[]> => {
        const listed = await ask('GET', `/v1/catalog/node-services/${Node}?consistent`);
        return (listed?.Services ?? []).map((service: Json) => ({
          service: service.Service,
          address: service.Address,
          healthy: !ill.has(`${Node} ${service.ID}`),
          shown: JSON.stringify(service),
          isFirst: service.CreateIndex === service.ModifyIndex,
        }));
      });
      return (await Promise.all(found)).flat().filter(({ service }) => service !== 'consul');
    },
    async addStranger(service) {
      const theirs = { ID: 'theirs', Service: service, Address: STRANGER, Port: 1, Meta: { owner: 'them' } };
      await ask('PUT', '/v1/catalog/register', { Node: 'elsewhere', Address: '192.0.2.1', Service: theirs });
    },
    kill: server.kill,
    restart: server.restart,
    async backup(name) {
      snapshots.set(name, await (await answered(fetch(`${server.address}/v1/snapshot`))).arrayBuffer());
    },
    async restore(name) {
      const body = snapshots.get(name) ?? assert.fail(name);
      await answered(fetch(`${server.address}/v1/snapshot`, { method: 'PUT', body }));
    },
  };
}

async function ownEtcd(): Promise<OwnRegistry> {
  const { server, images } = await inDirectory((directory) => openEtcd({ fsync: false, directory }));
  const port = portOf(server.address);
  return {
    type: 'Etcd',
    port,
    spec: (at = port) => ({ type: 'Etcd', etcd: { endpoints: [`http://127.0.0.1:${at}`] } }),
    async standing() {
      const { kvs = [] } = await call(server, 'kv/range', rangeOf('/services/'));
      return kvs.flatMap(({ key, value, version, mod_revision }) => {
        const [, , service = ''] = text(key).split('/');
        if (service === '.owner') return [];
        const { address, health = 'healthy' } = JSON.parse(text(value));
        const shown = `${text(key)} ${mod_revision}`;
        return [{ service, address, healthy: health === 'healthy', shown, isFirst: version === '1' }];
      });
    },
    async addStranger(service) {
      const put = { key: base64(`/services/${service}/theirs`), value: base64(JSON.stringify({ address: STRANGER })) };
      await call(server, 'kv/put', put);
    },
    ...images,
  };
}

async function ownZooKeeper(): Promise<OwnRegistry> {
  const { server, images } = await inDirectory((directory) => openZooKeeper({ fsync: false, directory }));
  const port = portOf(server.address);
  const reading = <T>(use: (raw: RawZooKeeper) => Promise<T>) => withRawZooKeeper(server.address, use);
  return {
    type: 'ZooKeeper',
    port,
    spec: (at = port) => ({ type: 'ZooKeeper', zookeeper: { connectString: `127.0.0.1:${at}` } }),
    standing: () =>
      reading(async (raw) =>
        (await raw.entries('/services')).map(({ path, service, text, stat }) => {
          const { address, payload } = JSON.parse(text);
          const [made, changed] = ['czxid', 'mzxid'].map((field) => Reflect.get(stat, field).toString('hex'));
          const healthy = (payload?.metadata?.instance_status ?? 'UP') === 'UP';
          return { service, address, healthy, shown: `${path} ${made} ${changed}`, isFirst: made === changed };
        }),
      ),
    addStranger: (service) =>
      reading((raw) => {
        const theirs = { name: service, id: 'theirs', address: STRANGER, port: 9 };
        return raw.put(`/services/${service}/theirs`, JSON.stringify(theirs));
      }),
    ...images,
  };
}

async function ownNacos(): Promise<OwnRegistry> {
  const { server, images } = await inDirectory((directory) => openNacos({ directory }));
  const port = portOf(server.address);
  const ask = async (method: string, path: string, query: Readonly<Record<string, string>>): Promise<string> => {
    const url = `${server.address}/nacos/v1/ns/${path}?${new URLSearchParams(query)}`;
    return (await answered(fetch(url, { method, signal: AbortSignal.timeout(30_000) }))).text();
  };
  return {
    type: 'Nacos',
    port,
    spec: (at = port) => ({ type: 'Nacos', nacos: { addresses: [`http://127.0.0.1:${at}`] } }),
    async standing() {
      const { doms }: { doms: string[] } = JSON.parse(
        await ask('GET', 'service/list', { pageNo: '1', pageSize: '10000' }),
      );
      const found = doms.map(async (service): Promise<readonly Standing[]> => {
        const { hosts } = JSON.parse(await ask('GET', 'instance/list', { serviceName: service }));
        return hosts.map(({ healthy, ...host }: Json) => ({
          service,
          address: host.ip,
          healthy,
          // Nacos writes the fields in any order.
          shown: JSON.stringify(Object.entries(host).sort()),
          isFirst: undefined,
        }));
      });
      return (await Promise.all(found)).flat();
    },
    async addStranger(serviceName) {
      const place = { serviceName, ip: STRANGER, port: '1', clusterName: 'THEIRS', ephemeral: 'false' };
      await ask('POST', 'instance', { ...place, metadata: JSON.stringify({ owner: 'them' }) });
    },
    ...images,
  };
}
