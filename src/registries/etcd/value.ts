import type { Health, Instance, Marks } from '../../mirror/instance.ts';

/** Roster's own JSON of an instance, and what it has in common with the values of other layouts. No value tells of liveness: the lease of its key does. */

const MANAGED_BY = 'managed-by';
const OURS = 'roster';
const CLUSTER = 'roster-cluster';
export const NO_MARKS: Marks = { cluster: '', owner: '', registration: '', retained: false };

export function encode(instance: Instance): string {
  const { id, service, address, port, health, weight, tags, metadata, marks } = instance;
  return JSON.stringify({
    id,
    service,
    address,
    port,
    health,
    weight,
    tags,
    metadata,
    [MANAGED_BY]: OURS,
    [CLUSTER]: marks.cluster,
    'roster-owner': marks.owner,
    'roster-registration': marks.registration,
    ...(marks.retained ? { 'roster-retained': true } : {}),
  });
}

/**
 * The instance that {@link encode} wrote; of a damaged one as much as is left, so that it shows as drift. Without marks it is somebody else's.
 * Undefined for what is no JSON object.
 */
export function decode(value: string): Instance | undefined {
  const fields = parseObject(value);
  if (fields === undefined) return undefined;
  const ours = fields[MANAGED_BY] === OURS && typeof fields[CLUSTER] === 'string';
  return {
    id: text(fields['id']),
    service: text(fields['service']),
    address: text(fields['address']),
    port: number(fields['port'], 0),
    health: healthOf(fields['health']),
    liveness: 'persistent',
    weight: number(fields['weight'], 1),
    tags: texts(fields['tags']),
    metadata: pairs(fields['metadata']),
    marks: ours
      ? {
          cluster: text(fields[CLUSTER]),
          owner: text(fields['roster-owner']),
          registration: text(fields['roster-registration']),
          retained: fields['roster-retained'] === true,
        }
      : NO_MARKS,
  };
}

/** Metadata of a layout that has nothing else, with all that an instance has besides its address. */
export function toPairs({ metadata, weight, tags, marks }: Instance): Readonly<Record<string, string>> {
  return {
    ...metadata,
    [MANAGED_BY]: OURS,
    [CLUSTER]: marks.cluster,
    'roster-owner': marks.owner,
    'roster-registration': marks.registration,
    'roster-weight': String(weight),
    ...(marks.retained ? { 'roster-retained': 'true' } : {}),
    ...(tags.length === 0 ? {} : { 'roster-tags': JSON.stringify(tags) }),
  };
}

export type Described = Pick<Instance, 'weight' | 'tags' | 'metadata' | 'marks'>;

/** What {@link toPairs} wrote; of others their metadata as it is. */
export function fromPairs(metadata: Readonly<Record<string, string>>): Described {
  const cluster = metadata[CLUSTER];
  if (metadata[MANAGED_BY] !== OURS || cluster === undefined) {
    return { weight: 1, tags: [], metadata, marks: NO_MARKS };
  }
  return {
    weight: Number(metadata['roster-weight'] ?? 0),
    tags: texts(parseJson(metadata['roster-tags'] ?? '[]')),
    metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => !isReserved(key))),
    marks: {
      cluster,
      owner: metadata['roster-owner'] ?? '',
      registration: metadata['roster-registration'] ?? '',
      retained: metadata['roster-retained'] === 'true',
    },
  };
}

export const isReserved = (key: string): boolean => key === MANAGED_BY || key.startsWith('roster-');

export function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

export const parseObject = (value: string): Readonly<Record<string, unknown>> | undefined => object(parseJson(value));

export const object = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function pairs(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(object(value) ?? {}).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

const number = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise);

const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? [...new Set(value.filter((one) => typeof one === 'string'))].sort() : [];

const healthOf = (value: unknown): Health => (value === 'healthy' || value === 'draining' ? value : 'unhealthy');
