// What consumers of a service get from each registry that has leases, who holds these, and how to take an entry away: by the registry's own API.
import assert from 'node:assert/strict';
import { Etcd3 } from 'etcd3';
import { rawZooKeeper } from '../conformance/zookeeper-raw.ts';
import type { Consul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import type { Json } from './kube.ts';

export interface Standing {
  readonly address: string;
  /** Differs between the clients that leased it. */
  readonly holder: string;
  /** Differs after each write of it, where the registry counts these; else all that is known of it. */
  readonly stamp: string;
}

export interface LeaseTruth {
  readonly type: 'Etcd' | 'Consul' | 'ZooKeeper' | 'Nacos';
  /** False: the connection is the lease, so that nothing outlives the process. */
  readonly outlives: boolean;
  /** Spec of a Registry with a place of its own. */
  spec(place: string, ttlSeconds?: number): object;
  standing(place: string, service: string): Promise<readonly Standing[]>;
  remove(place: string, service: string, address: string): Promise<void>;
  stop(): Promise<void>;
}

const PORT = 8080;

export async function etcdTruth(): Promise<LeaseTruth> {
  const server = await openEtcd({ fsync: false });
  const raw = new Etcd3({ hosts: server.address });
  const read = async (place: string, service: string) =>
    (await raw.getAll().prefix(`/${place}/${service}/`).exec()).kvs.map(({ key, value, lease, mod_revision }) => ({
      key,
      address: JSON.parse(String(value)).address as string,
      holder: lease,
      stamp: mod_revision,
    }));
  return {
    type: 'Etcd',
    outlives: true,
    spec: (place, ttlSeconds = 0) => ({ endpoints: [server.address], prefix: `/${place}`, ttlSeconds }),
    standing: read,
    async remove(place, service, address) {
      const found = (await read(place, service)).find((one) => one.address === address);
      await raw.delete().key(found?.key ?? assert.fail(`${address} does not stand`));
    },
    async stop() {
      raw.close();
      await server.stop();
    },
  };
}

/** On a server that somebody else stops. */
export function consulTruth(server: Consul): LeaseTruth {
  const read = async (service: string): Promise<readonly Json[]> => {
    const { status, body } = await server.request('GET', `/v1/health/service/${service}?passing&consistent`);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  return {
    type: 'Consul',
    outlives: true,
    spec: (_, ttlSeconds = 0) => ({ address: server.address, ttlSeconds }),
    standing: async (_, service) =>
      (await read(service)).map(({ Node, Service }) => ({
        address: Service.Address,
        holder: Node.Node,
        stamp: `${Node.Node} ${Service.ModifyIndex}`,
      })),
    async remove(_, service, address) {
      const found = (await read(service)).find(({ Service }) => Service.Address === address);
      assert.ok(found, `${address} does not stand`);
      const body = { Node: found.Node.Node, ServiceID: found.Service.ID };
      assert.equal((await server.request('PUT', '/v1/catalog/deregister', body)).status, 200);
    },
    stop: async () => {},
  };
}

export async function zooKeeperTruth(): Promise<LeaseTruth> {
  const server = await openZooKeeper({ fsync: false, config: { maxSessionTimeout: 600_000 } });
  const raw = rawZooKeeper(server.address);
  const hexOf = (stat: object, field: string): string => Reflect.get(stat, field).toString('hex');
  const read = async (place: string, service: string) =>
    (await raw.entries(`/${place}/services`, (name) => name === service)).map(({ path, text, stat }) => ({
      path,
      address: JSON.parse(text).address as string,
      holder: hexOf(stat, 'ephemeralOwner'),
      stamp: `${hexOf(stat, 'czxid')} ${hexOf(stat, 'mzxid')}`,
    }));
  return {
    type: 'ZooKeeper',
    outlives: true,
    spec: (place, ttlSeconds = 180) => ({
      connectString: `${server.address}/${place}`,
      sessionTimeoutSeconds: ttlSeconds,
    }),
    standing: read,
    async remove(place, service, address) {
      const found = (await read(place, service)).find((one) => one.address === address);
      await raw.remove(found?.path ?? assert.fail(`${address} does not stand`));
    },
    async stop() {
      await raw.close();
      await server.stop();
    },
  };
}

export async function nacosTruth(): Promise<LeaseTruth> {
  const server = await openNacos();
  const ask = async (method: string, path: string, query: Readonly<Record<string, string>>): Promise<string> => {
    const url = `${server.address}/nacos/v1/ns${path}?${new URLSearchParams(query)}`;
    const response = await fetch(url, { method, signal: AbortSignal.timeout(10_000) });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
  };
  return {
    type: 'Nacos',
    outlives: false,
    spec: () => ({ addresses: [server.address] }),
    async standing(_, serviceName) {
      const { hosts } = JSON.parse(await ask('GET', '/instance/list', { serviceName }));
      // The id of the client that holds it is not told.
      return hosts.map((host: Json) => ({ address: host.ip, holder: '', stamp: JSON.stringify(host) }));
    },
    async remove(_, serviceName, ip) {
      await ask('DELETE', '/instance', { serviceName, ip, port: String(PORT), ephemeral: 'false' });
    },
    stop: server.stop,
  };
}
