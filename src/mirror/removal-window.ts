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
  return passages.flatMap((passage) => {
    if (passage.at <= now - windowOf(settings)) return [];
    if (passage.owner !== owner || passage.open.size === 0) return [passage];
    const open = new Set([...passage.open].filter((id) => !planned.has(id)));
    return open.size + passage.gone === 0 ? [] : [{ ...passage, open }];
  });
}

/** The registry has taken these of the Service. */
export function taken(passages: readonly Passage[], owner: string, ids: ReadonlySet<string>): readonly Passage[] {
  return passages.map((passage) => {
    if (passage.owner !== owner) return passage;
    const open = new Set([...passage.open].filter((id) => !ids.has(id)));
    return { ...passage, open, gone: passage.gone + passage.open.size - open.size };
  });
}

/** Whether no window that ends now holds more than it may, each measured by what stood at its beginning. */
export function fits(
  passages: readonly Passage[],
  planned: number,
  scope: keyof Standing,
  { standing, settings }: { readonly standing: Standing; readonly settings: DeletionGuard },
): boolean {
  let total = planned;
  if (total > limitOf(standing[scope], settings)) return false;
  for (const passage of passages.toReversed()) {
    total += passage.open.size + passage.gone;
    if (total > limitOf(passage.standing[scope], settings)) return false;
  }
  return true;
}
