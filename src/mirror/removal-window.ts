import type { DeletionGuard } from '../api/kinds.generated.ts';

/** What was let through within the window of a deletion guard, and what more fits into it. */

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

export const limitOf = (standing: number, { maxPercent, minInstances }: DeletionGuard): number =>
  Math.max(minInstances, Math.floor((standing * maxPercent) / 100));

export const windowOf = ({ windowSeconds }: DeletionGuard): number => windowSeconds * 1_000;

/** Those within the window, without ids of the Service that are planned again: they stand still. */
export function within(
  passages: readonly Passage[],
  { owner, settings, now }: { readonly owner: string; readonly settings: DeletionGuard; readonly now: number },
  planned: ReadonlySet<string>,
): readonly Passage[] {
  const first = passages.findIndex(({ at }) => at > now - windowOf(settings));
  const recent = first === 0 ? passages : first < 0 ? [] : passages.slice(first);
  const left = replaced(recent, owner, (passage) => ({ ...passage, open: without(passage.open, planned) }));
  return left === recent ? recent : left.filter(({ open, gone }) => open.size + gone > 0);
}

/** The registry has taken these of the Service. */
export const taken = (passages: readonly Passage[], owner: string, ids: ReadonlySet<string>): readonly Passage[] =>
  replaced(passages, owner, (passage) => {
    const open = without(passage.open, ids);
    return { ...passage, open, gone: passage.gone + passage.open.size - open.size };
  });

const without = (ids: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...ids].filter((id) => !others.has(id)));

/** There is a passage for each Service that lost something within a window: of most, nothing is open, and none is copied. */
function replaced(
  passages: readonly Passage[],
  owner: string,
  change: (passage: Passage) => Passage,
): readonly Passage[] {
  const isMeant = (passage: Passage) => passage.open.size > 0 && passage.owner === owner;
  return passages.some(isMeant) ? passages.map((one) => (isMeant(one) ? change(one) : one)) : passages;
}

/** Whether no window that ends now holds more than it may of those that count, each measured by what stood at its beginning. */
export function fits(
  passages: readonly Passage[],
  planned: number,
  scope: keyof Standing,
  { standing, settings, counts }: Measure,
): boolean {
  let total = planned;
  if (total > limitOf(standing[scope], settings)) return false;
  for (let n = passages.length - 1; n >= 0; n--) {
    const passage = passages[n];
    if (passage === undefined || !counts(passage)) continue;
    total += passage.open.size + passage.gone;
    if (total > limitOf(passage.standing[scope], settings)) return false;
  }
  return true;
}

export interface Measure {
  readonly standing: Standing;
  readonly settings: DeletionGuard;
  counts(passage: Passage): boolean;
}
