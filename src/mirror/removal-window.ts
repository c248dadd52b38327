import type { DeletionGuard } from '../api/kinds.generated.ts';
import { entriesOf, first, type MeasuredMap, mapsMeasuredBy, valueAt } from './measured-map.ts';

/**
 * What was let through within the window of a deletion guard, and what more fits into it. A burst may take away 10,000 Services, each judged by itself:
 * nothing here looks at all that others lost.
 */

/** Removals of one Service that were let through. */
export interface Passage {
  readonly owner: string;
  readonly at: number;
  /** Only a deleted registration asked for it. */
  readonly burst: boolean;
  /** What stood before it. */
  readonly standing: Standing;
  /** Ids not yet acknowledged: planned again, they still stand, and count once. */
  readonly open: ReadonlySet<string>;
  readonly gone: number;
}

export interface Standing {
  readonly owner: number;
  readonly registry: number;
}

/** owner: of one Service, without what deleted registrations asked for. registry: the same of all Services. burst: everything. */
export type Budget = 'owner' | 'registry' | 'burst';

/** Of passages that follow one another. */
interface Load {
  readonly removals: number;
  /** By how much the window is above its limit that begins with one of them and ends with the last, where it is worst. */
  readonly excess: number;
}

/** By their order. */
type Passages = MeasuredMap<number, Passage, Readonly<Record<Budget, Load>>>;

interface OwnPassages {
  readonly passages: Passages;
  /** Those of which something is open. */
  readonly open: readonly number[];
}

export interface RemovalWindow {
  readonly limits: Limits;
  readonly next: number;
  readonly all: Passages;
  readonly owners: MeasuredMap<string, OwnPassages, undefined>;
}

type Limits = Pick<DeletionGuard, 'maxPercent' | 'minInstances'>;

export const limitOf = (standing: number, { maxPercent, minInstances }: Limits): number =>
  Math.max(minInstances, Math.floor((standing * maxPercent) / 100));

export const windowOf = ({ windowSeconds }: DeletionGuard): number => windowSeconds * 1_000;

const NO_LOAD: Load = { removals: 0, excess: Number.NEGATIVE_INFINITY };

const joined = (before: Load, after: Load): Load => ({
  removals: before.removals + after.removals,
  excess: Math.max(before.excess + after.removals, after.excess),
});

/** Each passage is measured by what stood before it. */
const passagesBy = (limits: Limits) =>
  mapsMeasuredBy<number, Passage, Readonly<Record<Budget, Load>>>({
    of({ standing, open, gone, burst }) {
      const removals = open.size + gone;
      const load = (stood: number): Load => ({ removals, excess: removals - limitOf(stood, limits) });
      const registry = load(standing.registry);
      return burst
        ? { owner: NO_LOAD, registry: NO_LOAD, burst: registry }
        : { owner: load(standing.owner), registry, burst: registry };
    },
    join: (before, after) => ({
      owner: joined(before.owner, after.owner),
      registry: joined(before.registry, after.registry),
      burst: joined(before.burst, after.burst),
    }),
  });

const owners = mapsMeasuredBy<string, OwnPassages, undefined>({ of: () => undefined, join: () => undefined });

export const emptyWindow: RemovalWindow = {
  limits: { maxPercent: 0, minInstances: 0 },
  next: 0,
  all: undefined,
  owners: undefined,
};

/** Without its passage of this order, or with another one there. */
function replaced(window: RemovalWindow, owner: string, order: number, passage: Passage | undefined): RemovalWindow {
  const maps = passagesBy(window.limits);
  const own = valueAt(window.owners, owner) ?? { passages: undefined, open: [] };
  const change = (map: Passages) => (passage === undefined ? maps.remove(map, order) : maps.put(map, order, passage));
  const others = own.open.filter((one) => one !== order);
  const after: OwnPassages = {
    passages: change(own.passages),
    open: passage === undefined || passage.open.size === 0 ? others : [...others, order],
  };
  return {
    ...window,
    all: change(window.all),
    owners:
      after.passages === undefined ? owners.remove(window.owners, owner) : owners.put(window.owners, owner, after),
  };
}

/** As well as what was let through before. */
export function passed(window: RemovalWindow, passage: Passage): RemovalWindow {
  const { next } = window;
  return replaced({ ...window, next: next + 1 }, passage.owner, next, passage);
}

export interface Moment {
  readonly owner: string;
  readonly settings: DeletionGuard;
  readonly now: number;
}

/** What is in the window now, without ids of the Service that are planned again: they stand still. */
export function within(window: RemovalWindow, moment: Moment, planned: ReadonlySet<string>): RemovalWindow {
  let left = measuredBy(window, moment.settings);
  const begin = moment.now - windowOf(moment.settings);
  while (left.all !== undefined) {
    const { key, value } = first(left.all);
    if (value.at > begin) break;
    left = replaced(left, value.owner, key, undefined);
  }
  return eachOpen(left, moment.owner, (passage) => {
    const open = without(passage.open, planned);
    return open.size + passage.gone === 0 ? undefined : { ...passage, open };
  });
}

/** The registry has taken these of the Service. */
export const taken = (window: RemovalWindow, owner: string, ids: ReadonlySet<string>): RemovalWindow =>
  eachOpen(window, owner, (passage) => {
    const open = without(passage.open, ids);
    return { ...passage, open, gone: passage.gone + passage.open.size - open.size };
  });

const without = (ids: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...ids].filter((id) => !others.has(id)));

function eachOpen(
  window: RemovalWindow,
  owner: string,
  change: (passage: Passage) => Passage | undefined,
): RemovalWindow {
  let left = window;
  for (const order of valueAt(window.owners, owner)?.open ?? []) {
    const passage = valueAt(left.all, order);
    if (passage !== undefined) left = replaced(left, owner, order, change(passage));
  }
  return left;
}

/** Somebody has changed the threshold: everything is measured anew. */
function measuredBy(window: RemovalWindow, { maxPercent, minInstances }: Limits): RemovalWindow {
  const { limits } = window;
  if (limits.maxPercent === maxPercent && limits.minInstances === minInstances) return window;
  let left: RemovalWindow = { ...emptyWindow, limits: { maxPercent, minInstances }, next: window.next };
  for (const [order, passage] of entriesOf(window.all)) left = replaced(left, passage.owner, order, passage);
  return left;
}

/** Whether no window that ends now holds more than it may, each measured by what stood at its beginning. */
export function fits(
  window: RemovalWindow,
  planned: number,
  budget: Budget,
  { owner, standing, settings }: Moment & { readonly standing: Standing },
): boolean {
  if (planned > limitOf(standing[budget === 'owner' ? 'owner' : 'registry'], settings)) return false;
  const counted = budget === 'owner' ? valueAt(window.owners, owner)?.passages : window.all;
  return counted === undefined || planned + counted.measured[budget].excess <= 0;
}
