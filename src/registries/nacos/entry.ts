import type { Health, Instance, Liveness, Marks } from '../../mirror/instance.ts';
import type { NacosHost } from './host.ts';

/**
 * An instance as Nacos holds it. Consumers go by `healthy` and `weight`: one that drains is healthy and has weight 0, so that it gets nothing new;
 * one that is not ready is not healthy. What these two cannot say stands in the metadata, beside our marks:
 * `managed-by=roster`, `roster-cluster`, `roster-id`, `roster-owner`, `roster-registration`, `roster-retained=true` or none,
 * `roster-tags` (a JSON list) or none, `roster-health=draining|unhealthy` or none, and `roster-weight` where the weight is not the one in Nacos.
 */
const MANAGED_BY = 'managed-by';
const OURS = 'roster';
const CLUSTER = 'roster-cluster';
const ID = 'roster-id';
const OWNER = 'roster-owner';
const REGISTRATION = 'roster-registration';
const RETAINED = 'roster-retained';
const TAGS = 'roster-tags';
const HEALTH = 'roster-health';
const WEIGHT = 'roster-weight';

const NO_MARKS: Marks = { cluster: '', owner: '', registration: '', retained: false };

export const isReserved = (key: string): boolean => key === MANAGED_BY || key.startsWith('roster-');

/** By this Nacos tells entries of one service apart: it takes persistent ones with the same for one entry, whatever their Nacos cluster. */
export const placeOf = ({ ip, port }: Pick<NacosHost, 'ip' | 'port'>): string => `${ip} ${port}`;

export const placeOfInstance = ({ address, port }: Instance): string => placeOf({ ip: address, port });

export const isOurs = ({ metadata }: NacosHost, cluster: string): boolean =>
  metadata[MANAGED_BY] === OURS && metadata[CLUSTER] === cluster;

export const clusterOf = ({ metadata }: NacosHost): string => metadata[CLUSTER] ?? '';

export const idOf = ({ metadata }: NacosHost): string | undefined =>
  metadata[MANAGED_BY] === OURS ? metadata[ID] : undefined;

export function hostOf(instance: Instance, clusterName: string): NacosHost {
  const { address, port, health, liveness, weight } = instance;
  return {
    ip: address,
    port,
    weight: health === 'draining' ? 0 : weight,
    healthy: health !== 'unhealthy',
    enabled: true,
    ephemeral: liveness !== 'persistent',
    clusterName,
    metadata: metadataOf(instance),
  };
}

export function metadataOf({ id, health, weight, tags, metadata, marks }: Instance): Readonly<Record<string, string>> {
  return {
    ...metadata,
    [MANAGED_BY]: OURS,
    [CLUSTER]: marks.cluster,
    [ID]: id,
    [OWNER]: marks.owner,
    [REGISTRATION]: marks.registration,
    ...(marks.retained ? { [RETAINED]: 'true' } : {}),
    ...(tags.length === 0 ? {} : { [TAGS]: JSON.stringify(tags) }),
    ...(health === 'healthy' ? {} : { [HEALTH]: health }),
    ...(health === 'draining' && weight !== 0 ? { [WEIGHT]: String(weight) } : {}),
  };
}

/** How an entry was seen. */
export interface Sight {
  readonly service: string;
  /** The server shows every entry as healthy, since too few are (protectThreshold). */
  readonly shielded: boolean;
  /** This client publishes it. */
  readonly held: boolean;
}

/** The instance that {@link hostOf} was made of; of a changed entry as it is now, so that it shows as drift. A stranger's has no marks. */
export function instanceOf(host: NacosHost, { service, shielded, held }: Sight): Instance {
  const { ip, port, ephemeral, metadata } = host;
  const liveness: Liveness = ephemeral ? (held ? 'leased' : 'lapsing') : 'persistent';
  const cluster = metadata[CLUSTER];
  const base = { service, address: ip, port, liveness };
  if (metadata[MANAGED_BY] !== OURS || cluster === undefined) {
    const health: Health = host.healthy ? 'healthy' : 'unhealthy';
    return {
      ...base,
      id: `${service}/${placeOf(host)}`,
      health,
      weight: host.weight,
      tags: [],
      metadata,
      marks: NO_MARKS,
    };
  }
  return {
    ...base,
    ...stateOf(host, shielded),
    id: metadata[ID] ?? '',
    tags: tagsOf(metadata[TAGS]),
    metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => !isReserved(key))),
    marks: {
      cluster,
      owner: metadata[OWNER] ?? '',
      registration: metadata[REGISTRATION] ?? '',
      retained: metadata[RETAINED] === 'true',
    },
  };
}

/** What we wrote, as long as the entry still looks like it. */
function stateOf({ healthy, weight, metadata }: NacosHost, shielded: boolean): Pick<Instance, 'health' | 'weight'> {
  const written = metadata[HEALTH];
  if (!healthy) return { health: 'unhealthy', weight };
  if (written === 'unhealthy') return { health: shielded ? 'unhealthy' : 'healthy', weight };
  if (written === 'draining' && weight === 0) return { health: 'draining', weight: Number(metadata[WEIGHT] ?? 0) };
  return { health: 'healthy', weight };
}

function tagsOf(json: string | undefined): readonly string[] {
  try {
    const tags: unknown = JSON.parse(json ?? '[]');
    return Array.isArray(tags) ? [...new Set(tags.filter((tag) => typeof tag === 'string'))].sort() : [];
  } catch {
    return [];
  }
}

/** The same text for the same entry. Where the server shields, health cannot be told. */
export function canonicalHost(host: NacosHost, shielded: boolean): string {
  const { ip, port, weight, healthy, ephemeral, clusterName, metadata } = host;
  const pairs = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([ip, port, weight, shielded || healthy, ephemeral, clusterName, pairs]);
}
