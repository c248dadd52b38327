import type { Change, LeftAlone, Plan, PlannedChange, Removal } from './change.ts';
import type { Wanted } from './desired.ts';
import { type Fate, isGone, type Kept, notInCache, proof } from './evidence.ts';
import { type Instance, sameInstance } from './instance.ts';
import type { EntryPolicy, View } from './view.ts';

/**
 * The changes that make the registry hold what is wanted, and what is left alone.
 *
 *   observed   wanted      outcome
 *   -          yes         register
 *   same       yes         -
 *   other      yes         update              (not with updatePolicy CreateOnly, unless only its lease is taken over)
 *   other      yes         left alone          by automatic mirroring, while the ServiceRegistration that wrote it is neither seen nor proved absent
 *   yes        no          deregister          with evidence, and with updatePolicy Sync
 *   yes        no          left alone          without
 *   yes        no          update              of a registration that goes with deletionPolicy Retain: marked as left behind
 */
export function planChanges(view: View, wanted: readonly Wanted[]): Plan {
  const changes: PlannedChange[] = [];
  const removals: Removal[] = [];
  const leftAlone: LeftAlone[] = [];
  const standing = new Map(view.observed.map((instance) => [instance.id, instance]));
  const keep = new Set<string>();

  for (const one of wanted) {
    for (const instance of one.instances) {
      keep.add(instance.id);
      const change = toward(instance, standing.get(instance.id));
      if (change === undefined) continue;
      const held =
        heldForProof(change, one, view) ??
        heldByPolicy(one.registration.spec, change.reason === 'LeaseTakenOver' ? 'register' : change.action);
      if (held === undefined) changes.push(change);
      else leftAlone.push({ instance, ...held });
    }
  }
  const unfit = new Map(wanted.flatMap((one) => one.unfit.map(({ instance, message }) => [instance, message])));
  for (const instance of view.observed) {
    if (keep.has(instance.id)) continue;
    const message = unfit.get(instance.id);
    if (message !== undefined) {
      leftAlone.push({ instance, because: 'not-accepted', message: `held while its new state cannot be: ${message}` });
      continue;
    }
    const verdict = fate(instance, view, wanted);
    if ('reason' in verdict) removals.push({ action: 'deregister', instance, ...verdict });
    else if (verdict.because === 'retained' && !instance.marks.retained) changes.push(leftBehind(instance));
    else leftAlone.push({ instance, ...verdict });
  }
  return { changes: [...changes, ...removals], leftAlone };
}

function toward(instance: Instance, previous: Instance | undefined): PlannedChange | undefined {
  if (previous === undefined) return { action: 'register', instance, reason: 'EndpointAdded' };
  if (sameInstance(instance, previous)) return undefined;
  const { liveness } = instance;
  if (previous.liveness === 'lapsing' && sameInstance(instance, { ...previous, liveness })) {
    return { action: 'update', instance, previous, reason: 'LeaseTakenOver' };
  }
  return { action: 'update', instance, previous, reason: 'Changed' };
}

/** A team's own registration goes before automatic mirroring, and may only be missing from the cache: nothing is taken over before it is proved absent. */
function heldForProof(change: PlannedChange, { registration }: Wanted, view: View): Kept | undefined {
  if (change.action !== 'update' || registration.kind === 'ServiceRegistration') return undefined;
  const writer = change.previous.marks.registration;
  const isTeams = writer.startsWith('ServiceRegistration/');
  return isTeams && view.registrations[writer] === 'missing' ? notInCache(writer) : undefined;
}

/** Once the registration is gone, nothing but the mark on the entry tells that it is to stay. */
function leftBehind(previous: Instance): PlannedChange {
  const instance = { ...previous, marks: { ...previous.marks, retained: true } };
  return { action: 'update', instance, previous, reason: 'RegistrationDeleted' };
}

function heldByPolicy({ suspend, updatePolicy }: EntryPolicy, action: Change['action']): Kept | undefined {
  if (suspend) return { because: 'suspended', message: 'the registration is suspended' };
  if (updatePolicy === 'DryRun') return { because: 'dry-run', message: `updatePolicy DryRun: would ${action}` };
  if (updatePolicy === 'Sync' || action === 'register') return undefined;
  if (updatePolicy === 'UpsertOnly' && action === 'update') return undefined;
  return { because: 'update-policy', message: `updatePolicy ${updatePolicy} does not ${action}` };
}

/** What becomes of an entry that nobody wants: the registration whose name it bears has a say while it is there, wherever it looks now. */
function fate(instance: Instance, view: View, wanted: readonly Wanted[]): Fate {
  const { registration, retained } = instance.marks;
  const state = view.registrations[registration];
  const policy = view.policies[registration];
  if (isGone(state)) {
    const stays = state === 'deleting' && policy !== undefined ? policy.deletionPolicy === 'Retain' : retained;
    if (stays) return { because: 'retained', message: `${registration} goes with deletionPolicy Retain` };
    return proof(instance, view, wanted);
  }
  const held = policy === undefined ? undefined : heldByPolicy(policy, 'deregister');
  // A dry run tells only of removals that would be made; what stays by any other policy stays with or without evidence.
  if (held !== undefined && held.because !== 'dry-run' && state !== 'other-registry') return held;
  const found = proof(instance, view, wanted);
  return 'reason' in found ? (held ?? found) : found;
}
