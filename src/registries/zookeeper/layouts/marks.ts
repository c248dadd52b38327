import type { Health, Instance, Marks } from '../../../mirror/instance.ts';
import { parseJson, texts } from './json.ts';

/** Roster's marks, and what a framework has no field for, as metadata beside the user's. */

const MANAGED_BY = 'managed-by';
const OURS = 'roster';
const CLUSTER = 'roster-cluster';
const OWNER = 'roster-owner';
const REGISTRATION = 'roster-registration';
const RETAINED = 'roster-retained';
const HEALTH = 'roster-health';
const TAGS = 'roster-tags';
/** Where the load balancers of Spring Cloud and Kratos look for it. */
const WEIGHT = 'weight';

const NO_MARKS: Marks = { cluster: '', owner: '', registration: '', retained: false };

type Pairs = Readonly<Record<string, string>>;

export function toPairs({ metadata, weight, tags, health, marks }: Instance): Pairs {
  return {
    ...metadata,
    [WEIGHT]: String(weight),
    ...(tags.length === 0 ? {} : { [TAGS]: JSON.stringify(tags) }),
    ...(health === 'healthy' ? {} : { [HEALTH]: health }),
    ...markPairs(marks),
  };
}

export const markPairs = ({ cluster, owner, registration, retained }: Marks): Pairs => ({
  [MANAGED_BY]: OURS,
  [CLUSTER]: cluster,
  [OWNER]: owner,
  [REGISTRATION]: registration,
  ...(retained ? { [RETAINED]: 'true' } : {}),
});

/** Of pairs without our marks: empty ones. */
export function marksOf(pairs: Pairs): Marks {
  const cluster = pairs[CLUSTER];
  if (pairs[MANAGED_BY] !== OURS || cluster === undefined) return NO_MARKS;
  const { [OWNER]: owner = '', [REGISTRATION]: registration = '', [RETAINED]: retained } = pairs;
  return { cluster, owner, registration, retained: retained === 'true' };
}

export type Described = Pick<Instance, 'weight' | 'tags' | 'metadata' | 'health' | 'marks'>;

/** What {@link toPairs} wrote, without the further keys that the layout added; of others their metadata as it is. */
export function fromPairs(pairs: Pairs, layoutKeys: readonly string[] = []): Described {
  const marks = marksOf(pairs);
  const weight = /^\d{1,9}$/.test(pairs[WEIGHT] ?? '') ? Number(pairs[WEIGHT]) : 1;
  if (marks.cluster === '') return { weight, tags: [], metadata: pairs, health: 'healthy', marks };
  const own = Object.entries(pairs).filter(([key]) => !isReserved(key) && !layoutKeys.includes(key));
  return {
    weight,
    tags: texts(parseJson(pairs[TAGS] ?? '[]')),
    metadata: Object.fromEntries(own),
    health: healthOf(pairs[HEALTH]),
    marks,
  };
}

const healthOf = (told: string | undefined): Health =>
  told === undefined ? 'healthy' : told === 'draining' ? 'draining' : 'unhealthy';

/** The rule that metadata keys break which Roster or the layout writes itself. */
export function brokenKeyRule({ metadata }: Instance, layoutKeys: readonly string[] = []): string | undefined {
  const key = Object.keys(metadata).find((one) => isReserved(one) || layoutKeys.includes(one));
  if (key === undefined) return undefined;
  const reserved = [...layoutKeys, WEIGHT, MANAGED_BY, 'roster-*'].join(', ');
  return `metadata key ${JSON.stringify(key)} is reserved: Roster writes ${reserved} itself`;
}

const isReserved = (key: string): boolean => key === WEIGHT || key === MANAGED_BY || key.startsWith('roster-');

/** Consumers that know neither health nor weight would send it requests. */
export const takesTraffic = ({ health, weight }: Pick<Instance, 'health' | 'weight'>): boolean =>
  health === 'healthy' && weight > 0;
