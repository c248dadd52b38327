import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after } from 'node:test';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import type { Change } from '../../src/mirror/change.ts';
import type { Health, Instance } from '../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { openNacosLink } from '../links/nacos-link.ts';
import type { Nacos } from '../servers/nacos.ts';
import type { Harness, Intruder, Stranger } from './harness.ts';
import { openAt, type RawEntry, type RawNacos, rawNacos } from './nacos-client.ts';
import { FAULTS } from './nacos-faults.ts';

/** Connections are disturbed between the adapter and `server`; the server itself is left in peace, since others use it. */
export async function nacosHarness(server: Nacos): Promise<Harness & { readonly group: string }> {
  const group = `conf-${randomUUID()}`;
  const link = await openNacosLink(Number(new URL(server.address).port));
  const raw = rawNacos(server.address, group);
  const records = rawNacos(server.address, 'ROSTER');
  const recordOf = (cluster: string) => records.viewOf(`roster-claim-${cluster}`);
  after(async () => {
    raw.close();
    records.close();
    await link.close();
  });
  const inStep = stepping(raw);
  const owned = async (cluster: string) => (await raw.entries()).filter((entry) => isOurs(entry, cluster));
  return {
    name: 'Nacos',
    group,
    open: () => inStep(openAt(server.address, { group })),
    openWith: (secret) => openAt(server.address, { group, username: 'roster', password: secret }),
    peek: async (cluster) => (await owned(cluster)).map(instanceOf),
    revision: async (cluster) => JSON.stringify(await owned(cluster)),
    intruder: intruderOf(raw),
    onePerPlace: true,
    async claimOf(cluster) {
      await records.settle();
      return (await recordOf(cluster))[0]?.metadata['owner'];
    },
    async dropClaim(cluster) {
      await records.removeAll(await recordOf(cluster));
      await records.settle();
    },
    async sweep(cluster) {
      await records.removeAll(await recordOf(cluster));
      const all = await raw.view();
      const gone = all.filter((entry) => entry.service.startsWith(cluster) || isOurs(entry, cluster));
      await raw.removeAll(gone.filter(({ ephemeral }) => !ephemeral));
    },
    // The server has bounds for it.
    spoil: (instance) => ({ ...instance, weight: 10_001 }),
    refuses: new Map([
      ['port 65536', /65535/],
      ['a tag of half a character', /Unicode/],
      ['a metadata value of half a character', /Unicode/],
      ['a key that is our mark', /reserved/],
      ['an empty name', /empty/],
      ['a name with a space', /no spaces/],
    ]),
    // Longer than any test waits for an abort.
    link: { ...link, open: () => openAt(link.address, { group, requestMs: 60_000 }) },
    faults: FAULTS,
    leasing: {
      open: () => inStep(openAt(server.address, { group })),
      config: leasingConfig(server.address, group),
      secrets: {},
      servicesApart: true,
      // They may be gone as soon as the connection is closed, which a death does.
      vanishesWithinMs: 0,
    },
  };
}

const leasingConfig = (address: string, group: string): RegistryConfig => ({
  type: 'Nacos',
  nacos: { addresses: [address], group, cluster: 'DEFAULT', protocol: 'Auto' },
  timeouts: { connectSeconds: 5, requestSeconds: 10 },
  audit: { intervalSeconds: 60 },
  deletionGuard: { maxPercent: 20, minInstances: 10, windowSeconds: 60 },
  allowUnmanagedEndpoints: false,
});

/**
 * Clients see each other's writes when the server has renewed its views; here they wait for it before they look. Their own they must see at once,
 * so nobody waits for those, nor for what was written elsewhere.
 */
function stepping(raw: RawNacos): (client: ServiceRegistry) => ServiceRegistry {
  const unsettled = new Set<{ readonly writer: ServiceRegistry; readonly touched: ReadonlySet<string> }>();
  return (client) => {
    const catchUp = async (looksAt: readonly string[]) => {
      const written = [...unsettled];
      if (!written.some(({ writer, touched }) => writer !== client && looksAt.some((key) => touched.has(key)))) return;
      await raw.settle();
      for (const one of written) unsettled.delete(one);
    };
    return {
      ...client,
      async apply(changes, signal) {
        const touched = new Set(changes.flatMap(touchedBy));
        await catchUp([...touched]);
        try {
          return await client.apply(changes, signal);
        } finally {
          unsettled.add({ writer: client, touched });
        }
      },
      async list(cluster, signal) {
        await catchUp([clusterKey(cluster)]);
        return client.list(cluster, signal);
      },
      async discover(service, signal) {
        await catchUp([serviceKey(service)]);
        return client.discover(service, signal);
      },
    };
  };
}

const clusterKey = (cluster: string) => `cluster ${cluster}`;
const serviceKey = (service: string) => `service ${service}`;

const touchedBy = (change: Change): readonly string[] => [
  clusterKey(change.instance.marks.cluster),
  serviceKey(change.instance.service),
  ...(change.action === 'update' ? [serviceKey(change.previous.service)] : []),
];

const isOurs = ({ metadata }: RawEntry, cluster: string): boolean =>
  metadata['managed-by'] === 'roster' && metadata['roster-cluster'] === cluster;

const MARKS: ReadonlySet<string> = new Set([
  'managed-by',
  'roster-cluster',
  'roster-id',
  'roster-owner',
  'roster-registration',
  'roster-retained',
  'roster-tags',
  'roster-health',
  'roster-weight',
]);

export function instanceOf({ service, ip, port, weight, healthy, ephemeral, metadata }: RawEntry): Instance {
  const drains = metadata['roster-health'] === 'draining' && healthy && weight === 0;
  const health: Health = drains ? 'draining' : healthy ? 'healthy' : 'unhealthy';
  return {
    id: metadata['roster-id'] ?? '',
    service,
    address: ip,
    port,
    health,
    liveness: ephemeral ? 'leased' : 'persistent',
    weight: drains ? Number(metadata['roster-weight'] ?? 0) : weight,
    tags: JSON.parse(metadata['roster-tags'] ?? '[]'),
    metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => !MARKS.has(key))),
    marks: {
      cluster: metadata['roster-cluster'] ?? '',
      owner: metadata['roster-owner'] ?? '',
      registration: metadata['roster-registration'] ?? '',
      retained: metadata['roster-retained'] === 'true',
    },
  };
}

const BY_HAND = 'by hand';

function intruderOf(raw: RawNacos): Intruder {
  const find = async ({ id, service }: Instance): Promise<RawEntry | undefined> => {
    await raw.settle();
    return (await raw.viewOf(service)).find(({ metadata }) => metadata['roster-id'] === id);
  };
  const watchOver = async ({ service, ip, port }: RawEntry): Promise<Stranger> => {
    const read = async () => {
      await raw.settle();
      return JSON.stringify((await raw.viewOf(service)).filter((one) => one.ip === ip && one.port === port));
    };
    const before = await read();
    assert.ok(before.includes(BY_HAND), `the stranger at ${ip}:${port} does not show in Nacos: ${before}`);
    return { isIntact: async () => (await read()) === before };
  };
  const theirs = (service: string, place: { readonly ip: string; readonly port: number }): RawEntry => ({
    service,
    ...place,
    weight: 1,
    healthy: true,
    enabled: true,
    ephemeral: false,
    clusterName: 'DEFAULT',
    metadata: { by: BY_HAND },
  });
  return {
    async addStranger(service) {
      const entry = theirs(service, { ip: '10.9.9.9', port: 9 });
      await raw.prepare(service);
      await raw.put(entry);
      return watchOver(entry);
    },
    async takeOver(instance) {
      const { address: ip, port } = instance;
      const entry = theirs(instance.service, { ip, port });
      await raw.put(entry);
      return watchOver(entry);
    },
    async setPort(instance, port) {
      const entry = await find(instance);
      // A second intruder may have been there before.
      if (entry === undefined || entry.port === port) return;
      await raw.put({ ...entry, port });
      await raw.remove(entry);
      await raw.settle();
    },
    async remove(instance) {
      const entry = await find(instance);
      if (entry === undefined) return;
      await raw.remove(entry);
      await raw.settle();
    },
  };
}
