// The layouts as the documentation of the adapter tells them, spelled out a second time.
import assert from 'node:assert/strict';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ZooKeeperSettings } from '../../src/registries/zookeeper/zookeeper.ts';

export type LayoutName = ZooKeeperSettings['layout'];

// biome-ignore lint/suspicious/noExplicitAny: nodes of ZooKeeper, as they are.
type Json = any;

export interface Place {
  readonly service: string;
  readonly name: string;
  /** As the node itself tells it. */
  readonly liveness: 'persistent' | 'leased';
}

export interface LayoutBook {
  /** The instance that a node tells of, and what else must stand in it; undefined when it is not Roster's. */
  read(node: Json, place: Place): Instance | undefined;
  /** Our node with another port. */
  withPort(node: Json, port: number): Json;
  /** A node of somebody else. */
  stranger(service: string): Json;
}

const idOf = (name: string) => decodeURIComponent(name);

function parted(hostPort: string): Pick<Instance, 'address' | 'port'> {
  const [, address, port] = /^\[?(.*?)\]?:(\d+)$/.exec(hostPort) ?? assert.fail(`no address: ${hostPort}`);
  return { address: address ?? '', port: Number(port) };
}

function ofMetadata(given: Record<string, string>) {
  const {
    'managed-by': managedBy,
    'roster-cluster': cluster = '',
    'roster-owner': owner = '',
    'roster-registration': registration = '',
    'roster-retained': retained,
    'roster-tags': tags = '[]',
    'roster-health': health = 'healthy',
    weight,
    ...metadata
  } = given;
  if (managedBy !== 'roster') return undefined;
  return {
    weight: Number(weight),
    tags: JSON.parse(tags) as string[],
    health: health as Instance['health'],
    metadata,
    marks: { cluster, owner, registration, retained: retained === 'true' },
  };
}

const curator: LayoutBook = {
  read(node, { service, name, liveness }) {
    const all = ofMetadata(node.payload?.metadata ?? {});
    if (all === undefined) return undefined;
    const { instance_status: status, ...metadata } = all.metadata;
    assert.equal(status, all.health === 'healthy' && all.weight > 0 ? 'UP' : 'OUT_OF_SERVICE');
    const type = liveness === 'leased' ? 'DYNAMIC' : 'PERMANENT';
    assert.deepEqual([node.name, node.id, node.sslPort, node.serviceType], [service, name, null, type]);
    assert.deepEqual(
      [node.payload['@class'], node.payload.id, node.payload.name],
      ['org.springframework.cloud.zookeeper.discovery.ZookeeperInstance', service, service],
    );
    const uri = node.uriSpec.parts.map(({ value, variable }: Json) => (variable ? `{${value}}` : value)).join('');
    assert.equal(uri, '{scheme}://{address}:{port}');
    assert.ok(Math.abs(node.registrationTimeUTC - Date.now()) < 3_600_000);
    return { ...all, metadata, liveness, id: idOf(name), service, ...parted(`${node.address}:${node.port}`) };
  },
  withPort: (node, port) => ({ ...node, port }),
  stranger: (service) => ({ name: service, id: 'theirs', address: '10.9.9.9', port: 9, payload: null }),
};

const kratos: LayoutBook = {
  read(node, { service, name, liveness }) {
    const all = ofMetadata(node.metadata ?? {});
    if (all === undefined) return undefined;
    const { 'roster-address': address, ...metadata } = all.metadata;
    assert.deepEqual([node.id, node.name, node.version], [name, service, metadata['version'] ?? '']);
    const offered = all.health === 'healthy' && all.weight > 0;
    assert.equal(node.endpoints.length > 0, offered);
    assert.equal(address !== undefined, !offered);
    const addresses = new Set<string>(
      node.endpoints.map((endpoint: string) => endpoint.replace(/^(grpc|http)s?:\/\//, '')),
    );
    assert.ok(addresses.size <= 1);
    return { ...all, metadata, liveness, id: idOf(name), service, ...parted(address ?? [...addresses].join()) };
  },
  withPort: (node, port) => ({
    ...node,
    endpoints: node.endpoints.map((endpoint: string) => endpoint.replace(/\d+$/, String(port))),
    metadata: {
      ...node.metadata,
      ...(node.metadata['roster-address'] === undefined
        ? {}
        : { 'roster-address': node.metadata['roster-address'].replace(/\d+$/, String(port)) }),
    },
  }),
  stranger: (service) => ({
    id: 'theirs',
    name: service,
    version: '',
    metadata: null,
    endpoints: ['http://10.9.9.9:9?isSecure=false'],
  }),
};

const plain: LayoutBook = {
  read(node, { service, name, liveness }) {
    const { id, address, port, health, weight, tags, metadata, roster } = node;
    if (roster?.['managed-by'] !== 'roster') return undefined;
    assert.deepEqual([node.service, id], [service, idOf(name)]);
    const marks = {
      cluster: roster['roster-cluster'],
      owner: roster['roster-owner'],
      registration: roster['roster-registration'],
      retained: roster['roster-retained'] === 'true',
    };
    return { id, service, address, port, health, liveness, weight, tags, metadata, marks };
  },
  withPort: (node, port) => ({ ...node, port }),
  stranger: () => ({ address: '10.9.9.9', port: 9 }),
};

export const layoutBooks: Readonly<Record<LayoutName, LayoutBook>> = { Curator: curator, Kratos: kratos, Plain: plain };
