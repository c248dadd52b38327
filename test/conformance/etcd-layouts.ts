// The layouts as the documentation of the adapter tells them, spelled out a second time.
import assert from 'node:assert/strict';
import type { Instance } from '../../src/mirror/instance.ts';
import type { LayoutName } from '../../src/registries/etcd/etcd.ts';

/** Keys and values as a raw client reads them. */
export type Raw = ReadonlyMap<string, string>;

export interface LayoutBook {
  readonly name: LayoutName;
  /** Prefixes under which entries may stand. */
  readonly places: readonly string[];
  /** Where consumers look for an instance that takes traffic. */
  keyOf(instance: Instance): string;
  /** Roster's record of it, where there is one. */
  recordOf(instance: Instance): string;
  /** The instances of a cluster. */
  read(raw: Raw, cluster: string): readonly Instance[];
  /** Our value, where consumers look, with another port. */
  withPort(value: string, port: number): string;
  /** A value of somebody else. */
  stranger(service: string): string;
}

const OWNER = '/services/.owner/';
const hostPort = ({ address, port }: Pick<Instance, 'address' | 'port'>) =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
const takesTraffic = ({ health, weight }: Instance) => health === 'healthy' && weight > 0;
const escaped = (text: string) => text.replaceAll('%', '%25').replaceAll('/', '%2F');

function parted(text: string): Pick<Instance, 'address' | 'port'> {
  const [, address, port] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? assert.fail(`no address: ${text}`);
  return { address: address ?? '', port: Number(port) };
}

// biome-ignore lint/suspicious/noExplicitAny: values of etcd, as they are.
type Json = any;

const ofJson = (value: Json): Instance => ({
  id: value.id,
  service: value.service,
  address: value.address,
  port: value.port,
  health: value.health,
  liveness: 'persistent',
  weight: value.weight,
  tags: value.tags,
  metadata: value.metadata,
  marks: {
    cluster: value['roster-cluster'],
    owner: value['roster-owner'],
    registration: value['roster-registration'],
    retained: value['roster-retained'] === true,
  },
});

function ofMetadata(given: Record<string, string>): Pick<Instance, 'weight' | 'tags' | 'metadata' | 'marks'> {
  const {
    'managed-by': managedBy,
    'roster-cluster': cluster = '',
    'roster-owner': owner = '',
    'roster-registration': registration = '',
    'roster-weight': weight,
    'roster-retained': retained,
    'roster-tags': tags = '[]',
    ...metadata
  } = given;
  assert.equal(managedBy, 'roster');
  return {
    weight: Number(weight),
    tags: JSON.parse(tags),
    metadata,
    marks: { cluster, owner, registration, retained: retained === 'true' },
  };
}

function tail({ id, marks }: Instance): string {
  const rest = id.startsWith(`${marks.cluster}/`) ? id.slice(marks.cluster.length + 1) : '';
  return rest === '' || rest.startsWith('/') ? `/${id}` : rest;
}

const recordOf = (instance: Instance) =>
  `${OWNER}${escaped(instance.marks.cluster)}/${instance.service}/${tail(instance)}`;

const records = (raw: Raw, cluster: string): readonly Instance[] =>
  [...raw]
    .filter(([key]) => key.startsWith(`${OWNER}${escaped(cluster)}/`))
    .map(([, value]) => ofJson(JSON.parse(value)));

const below = (raw: Raw, place: string) =>
  [...raw].filter(([key]) => key.startsWith(place) && !key.startsWith(OWNER)).map(([key, value]) => ({ key, value }));

const ours = (metadata: Json, cluster: string) =>
  metadata?.['managed-by'] === 'roster' && metadata['roster-cluster'] === cluster;

const roster: LayoutBook = {
  name: 'Roster',
  places: ['/services/'],
  keyOf: ({ service, id }) => `/services/${escaped(service)}/${id}`,
  recordOf: () => '',
  read: (raw, cluster) =>
    below(raw, '/services/')
      .map(({ key, value }) => ({ key, value: JSON.parse(value) }))
      .filter(({ value }) => ours(value, cluster))
      .map(({ key, value }) => {
        const instance = ofJson(value);
        assert.equal(key, roster.keyOf(instance));
        return instance;
      }),
  withPort: (value, port) => recordWithPort(value, port),
  stranger: (service) => JSON.stringify({ id: 'theirs', service, address: '10.9.9.9', port: 9 }),
};

const goMicro: LayoutBook = {
  name: 'GoMicro',
  places: ['/micro/registry/', OWNER],
  keyOf: ({ service, id }) => `/micro/registry/${service}/${escaped(id)}`,
  recordOf,
  read(raw, cluster) {
    const served = below(raw, '/micro/registry/')
      .map(({ key, value }) => ({ key, value: JSON.parse(value) }))
      .filter(({ value }) => ours(value.nodes[0].metadata, cluster))
      .map(({ key, value: { name, version, metadata, endpoints, nodes } }): Instance => {
        const [node] = nodes;
        assert.deepEqual([metadata, endpoints, nodes.length], [{}, null, 1]);
        assert.equal(key, `/micro/registry/${name}/${node.id}`);
        const told = ofMetadata(node.metadata);
        assert.equal(version, told.metadata['version'] ?? '');
        const id = node.id.replaceAll('%2F', '/').replaceAll('%25', '%');
        return { ...told, id, service: name, health: 'healthy', liveness: 'persistent', ...parted(node.address) };
      });
    return [...served, ...records(raw, cluster)];
  },
  withPort(value, port) {
    const { nodes, ...rest } = JSON.parse(value);
    const [node] = nodes;
    return JSON.stringify({ ...rest, nodes: [{ ...node, address: hostPort({ ...parted(node.address), port }) }] });
  },
  stranger: (service) =>
    JSON.stringify({ name: service, version: '7', nodes: [{ id: 'theirs', address: '10.9.9.9:9', metadata: {} }] }),
};

const kratos: LayoutBook = {
  name: 'Kratos',
  places: ['/microservices/', OWNER],
  keyOf: ({ service, id }) => `/microservices/${service}/${id}`,
  recordOf,
  read(raw, cluster) {
    const served = below(raw, '/microservices/')
      .map(({ key, value }) => ({ key, value: JSON.parse(value) }))
      .filter(({ value }) => ours(value.metadata, cluster))
      .map(({ key, value: { id, name, version, metadata, endpoints } }): Instance => {
        assert.equal(key, `/microservices/${name}/${id}`);
        const { weight, ...rest } = metadata;
        const told = ofMetadata(rest);
        assert.deepEqual([weight, version], [rest['roster-weight'], told.metadata['version'] ?? '']);
        const { address, port } = parted(endpoints[0].replace('grpc://', ''));
        assert.deepEqual(endpoints, [`grpc://${hostPort({ address, port })}`, `http://${hostPort({ address, port })}`]);
        return { ...told, id, service: name, health: 'healthy', liveness: 'persistent', address, port };
      });
    return [...served, ...records(raw, cluster)];
  },
  withPort(value, port) {
    const { endpoints, ...rest } = JSON.parse(value);
    return JSON.stringify({ ...rest, endpoints: endpoints.map((one: string) => one.replace(/:\d+$/, `:${port}`)) });
  },
  stranger: (service) =>
    JSON.stringify({ id: 'theirs', name: service, version: '', metadata: {}, endpoints: ['grpc://10.9.9.9:9'] }),
};

/** Those whose values have no room: each instance has a record, and a value where consumers look when it takes traffic. */
function recorded(
  name: 'Grpc' | 'GoZero',
  addressIn: (value: string) => string,
  written: (text: string) => string,
): LayoutBook {
  const book: LayoutBook = {
    name,
    places: ['/services/'],
    keyOf: (instance) => `/services/${instance.service}/${escaped(instance.marks.cluster)}/${tail(instance)}`,
    recordOf,
    read: (raw, cluster) =>
      records(raw, cluster).map((instance) => {
        const value = raw.get(book.keyOf(instance));
        if (!takesTraffic(instance)) {
          assert.equal(value, undefined, `${instance.id} stands where consumers look`);
          return instance;
        }
        assert.ok(value !== undefined, `${instance.id} does not stand where consumers look`);
        return { ...instance, ...parted(addressIn(value)) };
      }),
    withPort: (value, port) =>
      value.startsWith('{"id"')
        ? roster.withPort(value, port)
        : written(hostPort({ ...parted(addressIn(value)), port })),
    stranger: () => written('10.9.9.9:9'),
  };
  return book;
}

const grpc = recorded(
  'Grpc',
  (value) => {
    const { Op, Addr, Metadata, ...rest } = JSON.parse(value);
    assert.deepEqual([Op, Metadata, rest], [0, null, {}]);
    return Addr;
  },
  (address) => JSON.stringify({ Op: 0, Addr: address, Metadata: null }),
);

const goZero = recorded(
  'GoZero',
  (value) => value,
  (text) => text,
);

/** A record of ours with another port. */
export const recordWithPort = (value: string, port: number): string => JSON.stringify({ ...JSON.parse(value), port });

export const layoutBooks = { Roster: roster, Grpc: grpc, GoMicro: goMicro, Kratos: kratos, GoZero: goZero };
