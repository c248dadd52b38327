import type { Condition } from '../api/kinds.generated.ts';
import type { ConditionReason } from '../api/reasons.ts';

/**
 * Conditions by the rules that kstatus, Flux and Argo CD read: `Ready` is always there; `Unknown` means that work goes on and stands with
 * `Reconciling=True`; `False` needs a person and stands with `Stalled=True`; the latter two are removed, never False, and never
 * together.
 */

export interface Fact {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: ConditionReason;
  readonly message: string;
}

export type Facts = Readonly<Record<string, Fact>>;

export const yes = (reason: ConditionReason, message: string): Fact => ({ status: 'True', reason, message });
export const no = (reason: ConditionReason, message: string): Fact => ({ status: 'False', reason, message });
export const unknown = (reason: ConditionReason, message: string): Fact => ({ status: 'Unknown', reason, message });

/** `Ready` and, as it asks for them, `Reconciling` or `Stalled`. */
export function summary(ready: Fact): Facts {
  if (ready.status === 'True') return { Ready: ready };
  const why = { ...ready, status: 'True' } as const;
  return ready.status === 'Unknown' ? { Ready: ready, Reconciling: why } : { Ready: ready, Stalled: why };
}

/** Held removals outweigh all else, and wait for a person. */
export const deletionBlocked = (why: Fact): Facts => ({
  DeletionBlocked: { ...why, status: 'True' },
  ...summary({ ...why, status: 'False' }),
});

const MAX_MESSAGE = 1024;

/**
 * `lastTransitionTime` moves only when `status` does, and never back: `now` is the clock of whichever machine leads, and may be set back (times
 * are RFC 3339 in UTC, so they compare as text). Sorted by type, so that equal facts give equal lists.
 */
export function conditions(
  facts: Facts,
  previous: readonly Condition[],
  generation: number,
  now: string,
): readonly Condition[] {
  return Object.keys(facts)
    .sort()
    .flatMap((type) => {
      const fact = facts[type];
      if (fact === undefined) return [];
      const before = previous.find((condition) => condition.type === type);
      const stays = before !== undefined && (before.status === fact.status || before.lastTransitionTime > now);
      const lastTransitionTime = stays ? before.lastTransitionTime : now;
      const message = fact.message.length > MAX_MESSAGE ? `${fact.message.slice(0, MAX_MESSAGE - 1)}…` : fact.message;
      return [
        { type, status: fact.status, reason: fact.reason, message, observedGeneration: generation, lastTransitionTime },
      ];
    });
}
