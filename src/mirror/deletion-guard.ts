import type { DeletionGuard } from '../api/kinds.generated.ts';
import type { Removal } from './change.ts';
import {
  type Budget,
  emptyWindow,
  fits,
  limitOf,
  passed,
  type RemovalWindow,
  type Standing,
  taken,
  windowOf,
  within,
} from './removal-window.ts';

/**
 * Rule 2, above the threshold: how many entries may go within a window, and what is held back when more would.
 *
 *   removal                                   measured in             held when
 *   of an object whose deletion was seen      -                       never
 *   of a registration whose deletion was      burst                   more than one was deleted within the window, and with all
 *     seen                                                            others within it they exceed the threshold of the registry
 *   any other                                 owner and registry      they exceed the threshold of the Service, or of the registry
 *
 * Guarantees
 * - In no window is more let through of one Service, or of the registry, than `max(minInstances, maxPercent % of what stood there
 *   at its beginning)` without a deletion that was seen.
 * - All or nothing: a plan that would exceed it is held whole, and so is what follows, until nothing of it is wanted gone any more, until
 *   it is released, or until the rest is within the threshold and has not changed for a whole window.
 * - What was released goes, and nothing else.
 */

/** What is held back of one Service, and why. */
export interface OwnerState {
  readonly held: readonly HeldRemoval[];
  /** Its own threshold was exceeded, and the Service is not free again yet. */
  readonly tripped: boolean;
  /** When `held` last changed. */
  readonly changedAt: number;
  /** Ids that a person let go and that stand still. */
  readonly released: ReadonlySet<string>;
}

export interface HeldRemoval {
  readonly removal: Removal;
  readonly by: Budget;
}

interface Trip {
  readonly tripped: boolean;
  /** How many removals it holds, of all Services together; those that a Service's own threshold holds are not among them. */
  readonly held: number;
  readonly changedAt: number;
}

export interface RegistryState {
  readonly window: RemovalWindow;
  /** The two registrations whose deletion was met last: more need not be known to tell one from several. */
  readonly deletions: readonly MetDeletion[];
  readonly registry: Trip;
  readonly burst: Trip;
  /** Something was held when the process ended, and not everything has been looked at since: until then nothing is freed. */
  readonly resuming: boolean;
}

interface MetDeletion {
  readonly registration: string;
  readonly at: number;
}

export const noOwner: OwnerState = { held: [], tripped: false, changedAt: 0, released: new Set() };

/**
 * Before everything is looked at anew, with what this process knows already. `blocked`: removals were held, perhaps by another process. What
 * that let through of a window is not known, so nothing more goes at first.
 */
export function beginGuard(known: RegistryState | undefined, blocked: boolean, now: number): RegistryState {
  const trip: Trip = { tripped: false, held: 0, changedAt: now };
  const state = known ?? { window: emptyWindow, deletions: [], registry: trip, burst: trip };
  const begun = (before: Trip): Trip => ({ ...before, tripped: blocked || before.tripped });
  return { ...state, registry: begun(state.registry), burst: begun(state.burst), resuming: blocked };
}

/** Everything has been looked at: what is not held by now is free. */
export function resumed(state: RegistryState, now: number): RegistryState {
  const after = (trip: Trip): Trip => ({ ...trip, tripped: trip.held > 0, changedAt: now });
  return { ...state, registry: after(state.registry), burst: after(state.burst), resuming: false };
}

export interface Asked {
  readonly owner: string;
  readonly removals: readonly Removal[];
  readonly standing: Standing;
  readonly settings: DeletionGuard;
  readonly now: number;
}

export interface Judged {
  readonly owner: OwnerState;
  readonly registry: RegistryState;
  /** What may be carried out now. */
  readonly passed: readonly Removal[];
  /** When what is held can be free at the earliest if nothing changes; absent when only a person or a change can free it. */
  readonly againMs?: number;
}

/** The removals that a plan of one Service has now, all of them: what is no longer among them is wanted again. */
export function judge(before: OwnerState, registryBefore: RegistryState, asked: Asked): Judged {
  const { removals, settings, now } = asked;
  const ids = new Set(removals.map(({ instance }) => instance.id));
  const released = new Set([...before.released].filter((id) => ids.has(id)));
  const subject = isOff(settings) ? [] : removals.filter((one) => needsBudget(one) && !released.has(one.instance.id));
  const state = upToDate(registryBefore, asked, ids);
  const burst = subject.filter(isBurst);
  const others = subject.filter((one) => !isBurst(one));

  const tripped = ownerTrips(before, state, asked, others);
  const inBudget = tripped ? [] : others;
  const registryTrip = trips(state, before, asked, { budget: 'registry', planned: inBudget });
  const burstTrip = trips(state, before, asked, {
    budget: 'burst',
    planned: burst,
    besides: registryTrip ? 0 : inBudget.length,
  });
  const held: readonly HeldRemoval[] = [
    ...(tripped ? others.map((removal) => ({ removal, by: 'owner' as const })) : []),
    ...(registryTrip ? inBudget.map((removal) => ({ removal, by: 'registry' as const })) : []),
    ...(burstTrip ? burst.map((removal) => ({ removal, by: 'burst' as const })) : []),
  ];
  const heldIds = new Set(held.map(({ removal }) => removal.instance.id));
  const free = removals.filter(({ instance }) => !heldIds.has(instance.id));
  const through = subject.filter(({ instance }) => !heldIds.has(instance.id));
  const changed = !sameHeld(before.held, held);
  const owner: OwnerState = { held, tripped, changedAt: changed ? now : before.changedAt, released };
  const registry: RegistryState = {
    ...state,
    window: letThrough(state.window, asked, through),
    registry: tripAfter(state.registry, registryTrip, before.held, held, 'registry', now),
    burst: tripAfter(state.burst, burstTrip, before.held, held, 'burst', now),
  };
  const againMs = held.length === 0 ? undefined : waitOf(owner, registry, asked);
  return { owner, registry, passed: free, ...(againMs === undefined ? {} : { againMs }) };
}

/** The registry has taken the removals. */
export function acknowledged(state: RegistryState, owner: string, ids: ReadonlySet<string>): RegistryState {
  return { ...state, window: taken(state.window, owner, ids) };
}

/** Of the Service: a release is used up by the removal that it let go. */
export const spent = (state: OwnerState, ids: ReadonlySet<string>): OwnerState => ({
  ...state,
  released: new Set([...state.released].filter((id) => !ids.has(id))),
});

/** A person lets go what is held now of the Service, all or what one registration wrote. */
export function release(state: OwnerState, registration?: string): OwnerState {
  const chosen = state.held.filter(
    ({ removal }) => registration === undefined || removal.instance.marks.registration === registration,
  );
  return { ...state, released: new Set([...state.released, ...chosen.map(({ removal }) => removal.instance.id)]) };
}

const isOff = ({ maxPercent }: DeletionGuard): boolean => maxPercent >= 100;

const isBurst = ({ reason, evidence }: Removal): boolean =>
  evidence === 'ObjectDeleted' && reason === 'RegistrationDeleted';

const needsBudget = (removal: Removal): boolean => removal.evidence !== 'ObjectDeleted' || isBurst(removal);

/** Forgets what is older than a window, and what was let through of this Service and stands still. */
function upToDate(state: RegistryState, asked: Asked, ids: ReadonlySet<string>): RegistryState {
  const begin = asked.now - windowOf(asked.settings);
  const met = asked.removals.flatMap(({ reason, instance }) =>
    reason === 'RegistrationDeleted' ? [instance.marks.registration] : [],
  );
  const known = new Set(met);
  const before = state.deletions.filter(({ registration, at }) => at > begin && !known.has(registration));
  const deletions = [...[...known].map((registration) => ({ registration, at: asked.now })), ...before].slice(0, 2);
  return { ...state, window: within(state.window, asked, ids), deletions };
}

function ownerTrips(before: OwnerState, state: RegistryState, asked: Asked, planned: readonly Removal[]): boolean {
  if (planned.length === 0) return false;
  if (!fits(state.window, planned.length, 'owner', asked)) return true;
  if (!before.tripped) return false;
  const held = before.held.filter(({ by }) => by === 'owner').map(({ removal }) => removal.instance.id);
  const same = sameIds(
    held,
    planned.map(({ instance }) => instance.id),
  );
  return !same || asked.now - before.changedAt < windowOf(asked.settings);
}

function trips(
  state: RegistryState,
  before: OwnerState,
  asked: Asked,
  { budget, planned, besides = 0 }: { budget: 'registry' | 'burst'; planned: readonly Removal[]; besides?: number },
): boolean {
  const { tripped, held, changedAt } = state[budget];
  if (!tripped) {
    if (planned.length === 0 || (budget === 'burst' && state.deletions.length <= 1)) return false;
    return !fits(state.window, planned.length + besides, budget, asked);
  }
  const mine = before.held.filter(({ by }) => by === budget).map(({ removal }) => removal.instance.id);
  const same = sameIds(
    mine,
    planned.map(({ instance }) => instance.id),
  );
  const total = held - mine.length + planned.length;
  if (state.resuming) return true;
  if (total === 0) return false;
  return !same || asked.now - changedAt < windowOf(asked.settings) || !fits(state.window, total, budget, asked);
}

function tripAfter(
  trip: Trip,
  tripped: boolean,
  before: readonly HeldRemoval[],
  after: readonly HeldRemoval[],
  budget: Budget,
  now: number,
): Trip {
  const [was, is] = [before, after].map((held) => held.filter(({ by }) => by === budget));
  const held = trip.held - (was?.length ?? 0) + (is?.length ?? 0);
  return { tripped, held, changedAt: sameHeld(was ?? [], is ?? []) ? trip.changedAt : now };
}

function letThrough(window: RemovalWindow, asked: Asked, through: readonly Removal[]): RemovalWindow {
  const { owner, standing, now } = asked;
  let after = window;
  for (const burst of [true, false]) {
    const open = new Set(through.filter((one) => isBurst(one) === burst).map(({ instance }) => instance.id));
    if (open.size > 0) after = passed(after, { owner, at: now, burst, standing, open, gone: 0 });
  }
  return after;
}

/** What is above the threshold by itself is freed by nobody but a person; the rest after a window without a change. */
function waitOf(
  { held, changedAt }: OwnerState,
  state: RegistryState,
  { standing, settings, now }: Asked,
): number | undefined {
  const waits = (['owner', 'registry', 'burst'] as const).flatMap((budget) => {
    const mine = held.filter(({ by }) => by === budget).length;
    if (mine === 0) return [];
    const own = budget === 'owner';
    const total = own ? mine : state[budget].held;
    if (total > limitOf(standing[own ? 'owner' : 'registry'], settings)) return [];
    return [Math.max(0, (own ? changedAt : state[budget].changedAt) + windowOf(settings) - now)];
  });
  return waits.length === 0 ? undefined : Math.min(...waits);
}

const sameHeld = (a: readonly HeldRemoval[], b: readonly HeldRemoval[]): boolean => sameIds(a.map(idOf), b.map(idOf));

const idOf = ({ removal, by }: HeldRemoval): string => `${by} ${removal.instance.id}`;

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  const known = new Set(a);
  return known.size === b.length && b.every((id) => known.has(id));
}
