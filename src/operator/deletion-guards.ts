import type { ObjectKey } from '../api/core.ts';
import type { Registration, RegistryObject } from '../api/kinds.generated.ts';
import type { Clock } from '../clock.ts';
import type { Plan } from '../mirror/change.ts';
import {
  acknowledged,
  beginGuard,
  judge,
  noOwner,
  type OwnerState,
  type RegistryState,
  release,
  resumed,
  spent,
} from '../mirror/deletion-guard.ts';
import { isBlocked, RELEASE_ANNOTATION, whyLeftAlone } from '../mirror/held-removals.ts';
import { referencedRegistry } from '../mirror/selection.ts';
import type { View } from '../mirror/view.ts';

/** What is kept between the decisions of {@link judge}: for each registry one state, and one for each Service of which something is held. */
export interface DeletionGuardsOptions {
  readonly clock: Clock;
  find(id: string): Registration | RegistryObject | undefined;
  /** Not every Service of the registry has been looked at since it was opened. */
  isCatchingUp(registry: string): boolean;
  /** Something may be free now: look at the Service again. */
  look(registry: string, owner: ObjectKey): void;
  /** The status of a registration or registry may have changed. */
  touch(id: string): void;
  /** After a start with removals held: by now it is known which of them still are. */
  onResumed(registry: string): void;
  onChange(change: HoldChange): void;
  /** A release was carried out: so many removals go. */
  onReleased(id: string, removals: number): void;
}

/** For the log. */
export interface HoldChange {
  readonly registry: string;
  readonly owner: ObjectKey;
  readonly held: number;
  readonly before: number;
}

/** What one reconcile asks of the guard of its registry. */
export interface Guard {
  /** The plan as it may be carried out now: what is held is left alone. `againMs`: when more of it may be free. */
  judge(view: View, plan: Plan, owned: number): { readonly plan: Plan; readonly againMs?: number };
  /** The registry has taken the removals of these ids. */
  acknowledged(owner: ObjectKey, ids: ReadonlySet<string>): void;
}

interface Kept {
  readonly uid: string;
  registry: RegistryState;
  readonly owners: Map<ObjectKey, OwnerState>;
  /** How many are held of each Service, by registration: every status asks for its own. */
  readonly counts: Map<string, Map<ObjectKey, number>>;
  /** Services of which entries wait for a proof: held or not, nobody knows yet. */
  readonly unproved: Set<ObjectKey>;
  readonly begunAt: number;
}

/** Longer than the proofs take that a restart has to make anew. */
const RESUME_MS = 180_000;

export function createDeletionGuards(options: DeletionGuardsOptions) {
  const { clock } = options;
  const guards = new Map<string, Kept>();
  /** By UID of a registration or registry: the release that was carried out last. */
  const handled = new Map<string, string>();

  function keptOf(id: string, object: RegistryObject): Kept {
    const known = guards.get(id);
    return known?.uid === object.metadata.uid ? known : begin(id, object);
  }

  /** The registry was opened, or is ours to write from now on: all of its Services will be looked at. */
  function begin(id: string, object: RegistryObject): Kept {
    const { uid } = object.metadata;
    const known = guards.get(id);
    const before = known?.uid === uid ? known : undefined;
    const blocked = isBlocked(object.status) || (before !== undefined && heldIn(before) > 0);
    const kept: Kept = {
      uid,
      registry: beginGuard(before?.registry, blocked, clock.now()),
      owners: before?.owners ?? new Map(),
      counts: before?.counts ?? new Map(),
      unproved: new Set(),
      begunAt: clock.now(),
    };
    guards.set(id, kept);
    return kept;
  }

  function resumeIfKnown(id: string, kept: Kept): void {
    if (!kept.registry.resuming || options.isCatchingUp(id)) return;
    if (kept.unproved.size > 0 && clock.now() - kept.begunAt < RESUME_MS) return;
    kept.registry = resumed(kept.registry, clock.now());
    options.onResumed(id);
  }

  function guardOf(id: string, object: RegistryObject): Guard {
    return {
      judge(view, plan, owned) {
        const kept = keptOf(id, object);
        const { owner, observed } = view;
        const removals = plan.changes.flatMap((change) => (change.action === 'deregister' ? [change] : []));
        const standing = { owner: observed.length, registry: owned };
        const before = kept.owners.get(owner) ?? noOwner;
        const { deletionGuard: settings } = object.spec;
        const now = clock.now();
        const judged = judge(before, kept.registry, { owner, removals, standing, settings, now });
        const { registry } = kept;
        kept.registry = judged.registry;
        keepOwner(kept, owner, judged.owner);
        if (plan.leftAlone.some(({ because }) => because === 'unconfirmed')) kept.unproved.add(owner);
        else kept.unproved.delete(owner);
        const isFreed =
          (registry.registry.tripped && !judged.registry.registry.tripped) ||
          (registry.burst.tripped && !judged.registry.burst.tripped);
        if (isFreed) lookAgain(id, kept, owner);
        const after = judged.owner;
        if (before.changedAt !== after.changedAt || before.held.length !== after.held.length) {
          options.touch(id);
          options.onChange({ registry: id, owner, held: after.held.length, before: before.held.length });
        }
        resumeIfKnown(id, kept);
        const { againMs } = judged;
        return { plan: guarded(plan, after, object), ...(againMs === undefined ? {} : { againMs }) };
      },
      acknowledged(owner, ids) {
        if (ids.size === 0) return;
        const kept = keptOf(id, object);
        kept.registry = acknowledged(kept.registry, owner, ids);
        const state = kept.owners.get(owner);
        if (state !== undefined) keepOwner(kept, owner, spent(state, ids));
      },
    };
  }

  function lookAgain(id: string, kept: Kept, except?: ObjectKey): void {
    for (const [owner, { held }] of kept.owners) if (owner !== except && held.length > 0) options.look(id, owner);
  }

  return {
    guardOf,
    begin,
    /** Every Service has been looked at since it was opened. */
    caughtUp(id: string): void {
      const kept = guards.get(id);
      if (kept !== undefined) resumeIfKnown(id, kept);
    },
    forget: (id: string): void => void guards.delete(id),
    /** Whether something was held when the process ended and it is not known yet what of it still is. */
    isResuming: (id: string): boolean => guards.get(id)?.registry.resuming === true,
    /** How many removals are held, by Service: of the registry, or of one of its registrations. */
    held(id: string, registration?: string): ReadonlyMap<ObjectKey, number> {
      if (registration !== undefined) return new Map(guards.get(id)?.counts.get(registration));
      const all = [...(guards.get(id)?.owners ?? [])].map(([owner, { held }]) => [owner, held.length] as const);
      return new Map(all.filter(([, count]) => count > 0));
    },
    total(id: string): number {
      const kept = guards.get(id);
      return kept === undefined ? 0 : heldIn(kept);
    },
    /** Carries out the release that a registration or registry asks for, unless that was done already. Call when it may have changed. */
    heed(id: string): void {
      const object = options.find(id);
      const asked = object === undefined ? undefined : askedOf(object);
      if (object === undefined || asked === undefined || isHandled(object, asked)) return;
      const [registry, registration] = isRegistry(object) ? [id, undefined] : [referencedRegistry(object), id];
      const kept = guards.get(registry);
      if (kept === undefined) return;
      // What the person saw is known to this process only once it has looked at everything.
      const isKnown = !kept.registry.resuming && !options.isCatchingUp(registry);
      if (!isKnown && isBlocked(object.status)) return;
      handled.set(object.metadata.uid, asked);
      let released = 0;
      for (const [owner, state] of kept.owners) {
        const next = release(state, registration);
        if (next.released.size === state.released.size) continue;
        released += next.released.size - state.released.size;
        kept.owners.set(owner, next);
        options.look(registry, owner);
      }
      options.onReleased(id, released);
      options.touch(id);
    },
    handledBy,
  };

  function isHandled({ metadata, status }: Releasable, asked: string): boolean {
    return asked === status?.lastHandledReleaseAt || asked === handled.get(metadata.uid);
  }

  /** The release that was carried out last, for the status. It outlives the annotation, which may come back as it was. */
  function handledBy(object: Releasable): string | undefined {
    const asked = askedOf(object);
    return asked !== undefined && isHandled(object, asked) ? asked : object.status?.lastHandledReleaseAt;
  }
}

type Releasable = Registration | RegistryObject;

const isRegistry = (object: Releasable): object is RegistryObject =>
  object.kind === 'Registry' || object.kind === 'ClusterRegistry';

/** As long as the status can hold it. */
const askedOf = ({ metadata }: Releasable): string | undefined =>
  metadata.annotations[RELEASE_ANNOTATION]?.slice(0, 253);

export type DeletionGuards = ReturnType<typeof createDeletionGuards>;

const heldIn = ({ owners }: Kept): number => [...owners.values()].reduce((sum, { held }) => sum + held.length, 0);

function keepOwner({ owners, counts }: Kept, owner: ObjectKey, state: OwnerState): void {
  for (const { removal } of owners.get(owner)?.held ?? []) {
    const { registration } = removal.instance.marks;
    counts.get(registration)?.delete(owner);
    if (counts.get(registration)?.size === 0) counts.delete(registration);
  }
  for (const [registration, held] of Map.groupBy(state.held, ({ removal }) => removal.instance.marks.registration)) {
    const by = counts.get(registration) ?? new Map<ObjectKey, number>();
    counts.set(registration, by.set(owner, held.length));
  }
  if (state.held.length === 0 && state.released.size === 0) owners.delete(owner);
  else owners.set(owner, state);
}

function guarded({ changes, leftAlone }: Plan, { held }: OwnerState, object: RegistryObject): Plan {
  if (held.length === 0) return { changes, leftAlone };
  const ids = new Set(held.map(({ removal }) => removal.instance.id));
  return {
    changes: changes.filter(({ action, instance }) => action !== 'deregister' || !ids.has(instance.id)),
    leftAlone: [...leftAlone, ...whyLeftAlone(held, object)],
  };
}
