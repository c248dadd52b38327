import type { ObjectKey } from '../../api/core.ts';
import type { Outcome } from '../../mirror/status.ts';

/** What the last reconcile of each Service said, by registration: the material of its status. */
export interface Outcomes {
  get(registration: string, owner: ObjectKey): Outcome | undefined;
  /** All that a reconcile of this Service said; what an earlier one said of other registrations of the registry is forgotten. */
  set(registry: string, owner: ObjectKey, outcomes: ReadonlyMap<string, Outcome>): readonly string[];
  forget(registration: string): void;
  /** Instances that should stand in the registry, and those of them that do. */
  totals(registry: string): Totals;
}

export interface Totals {
  readonly desired: number;
  readonly standing: number;
}

const NONE: Totals = { desired: 0, standing: 0 };

export function createOutcomes(): Outcomes {
  const byRegistration = new Map<string, Map<ObjectKey, Outcome>>();
  const byService = new Map<string, ReadonlyMap<string, Outcome>>();
  const totals = new Map<string, Totals>();

  const add = (registry: string, outcomes: ReadonlyMap<string, Outcome> | undefined, sign: 1 | -1) => {
    let { desired, standing } = totals.get(registry) ?? NONE;
    for (const outcome of outcomes?.values() ?? []) {
      desired += sign * outcome.desired;
      standing += sign * outcome.standing;
    }
    totals.set(registry, { desired, standing });
  };

  return {
    get: (registration, owner) => byRegistration.get(registration)?.get(owner),
    set(registry, owner, outcomes) {
      const key = `${registry}|${owner}`;
      const before = byService.get(key);
      for (const [registration, outcome] of before ?? []) {
        const owned = byRegistration.get(registration);
        // One of the same name may write to another registry by now, and what that says of it stays.
        if (outcomes.has(registration) || owned?.get(owner) !== outcome) continue;
        owned.delete(owner);
        if (owned.size === 0) byRegistration.delete(registration);
      }
      for (const [registration, outcome] of outcomes) {
        const owned = byRegistration.get(registration) ?? new Map<ObjectKey, Outcome>();
        byRegistration.set(registration, owned.set(owner, outcome));
      }
      if (outcomes.size === 0) byService.delete(key);
      else byService.set(key, outcomes);
      add(registry, before, -1);
      add(registry, outcomes, 1);
      return [...new Set([...(before?.keys() ?? []), ...outcomes.keys()])];
    },
    forget: (registration) => byRegistration.delete(registration),
    totals: (registry) => totals.get(registry) ?? NONE,
  };
}
