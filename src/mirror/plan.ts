import type { Change, LeftAlone, Plan, Reason } from './change.ts';
import type { Wanted } from './desired.ts';
import { type Instance, sameInstance } from './instance.ts';
import { instanceId } from './naming.ts';
import { type EntryPolicy, registrationId, type View } from './view.ts';

/**
 * The changes that make the registry hold what is wanted, and what is left alone.
 *
 *   observed   wanted      outcome
 *   -          yes         register
 *   same       yes         -
 *   other      yes         update              (not with updatePolicy CreateOnly, unless only its lease is taken over)
 *   yes        no          deregister          with evidence, and with updatePolicy Sync
 *   yes        no          left alone          without
 *   yes        no          update              of a registration that goes with deletionPolicy Retain: marked as left behind
 */
export function planChanges(view: View, wanted: readonly Wanted[]): Plan {
  const changes: Change[] = [];
  const removals: Change[] = [];
  const leftAlone: LeftAlone[] = [];
  const standing = new Map(view.observed.map((instance) => [instance.id, instance]));
  const keep = new Set<string>();

  for (const one of wanted) {
    for (const instance of one.instances) {
      keep.add(instance.id);
      const change = toward(instance, standing.get(instance.id));
      if (change === undefined) continue;
      const held = heldByPolicy(one.registration.spec, change.reason === 'LeaseTakenOver' ? 'register' : change.action);
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
    if ('reason' in verdict) removals.push({ action: 'deregister', instance, reason: verdict.reason });
    else if (verdict.because === 'retained' && !instance.marks.retained) changes.push(leftBehind(instance));
    else leftAlone.push({ instance, ...verdict });
  }
  return { changes: [...changes, ...removals], leftAlone };
}

function toward(instance: Instance, previous: Instance | undefined): Change | undefined {
  if (previous === undefined) return { action: 'register', instance, reason: 'EndpointAdded' };
  if (sameInstance(instance, previous)) return undefined;
  const { liveness } = instance;
  if (previous.liveness === 'lapsing' && sameInstance(instance, { ...previous, liveness })) {
    return { action: 'update', instance, previous, reason: 'LeaseTakenOver' };
  }
  return { action: 'update', instance, previous, reason: 'Changed' };
}

/** Once the registration is gone, nothing but the mark on the entry tells that it is to stay. */
function leftBehind(previous: Instance): Change {
  const instance = { ...previous, marks: { ...previous.marks, retained: true } };
  return { action: 'update', instance, previous, reason: 'RegistrationDeleted' };
}

type Held = Omit<LeftAlone, 'instance'>;
type Fate = { readonly reason: Reason } | Held;

function heldByPolicy({ suspend, updatePolicy }: EntryPolicy, action: Change['action']): Held | undefined {
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
  if (state === 'deleting' || state === 'deleted') {
    const stays = state === 'deleting' && policy !== undefined ? policy.deletionPolicy === 'Retain' : retained;
    if (stays) return { because: 'retained', message: `${registration} goes with deletionPolicy Retain` };
    return evidence(instance, view, wanted);
  }
  const held = policy === undefined ? undefined : heldByPolicy(policy, 'deregister');
  // A dry run tells only of removals that would be made; what stays by any other policy stays with or without evidence.
  if (held !== undefined && held.because !== 'dry-run' && state !== 'other-registry') return held;
  const found = evidence(instance, view, wanted);
  return 'reason' in found ? (held ?? found) : found;
}

/**
 * Rule 2: an entry goes only when something shows that it should. Bad input, caches that lack an object without having seen it
 * deleted, and Services whose endpoints nobody has told us of are no evidence.
 */
function evidence(instance: Instance, view: View, wanted: readonly Wanted[]): Fate {
  const { owner, service, registrations } = view;
  const { registration } = instance.marks;
  const state = registrations[registration] ?? 'missing';

  if (state === 'other-registry') {
    return { because: 'other-registry', message: `${registration} writes it through another Registry object` };
  }
  // Removing it would remove what another Service has registered under this id.
  if (instance.id !== instanceId(view.cluster, owner, instance.address, instance.port)) {
    return { because: 'unconfirmed', message: `the marks of ${instance.id} were changed by someone else` };
  }
  if (service.state === 'missing') {
    return { because: 'unconfirmed', message: `Service ${owner} is not in the cache; its absence is being confirmed` };
  }
  if (state === 'missing') {
    return { because: 'unconfirmed', message: `${registration} is not in the cache; its absence is being confirmed` };
  }
  if (service.state === 'deleted') return { reason: 'ServiceDeleted' };
  if (view.coverage === 'unknown') {
    return { because: 'unconfirmed', message: `the Namespace of Service ${owner} is not in the cache` };
  }
  if (state === 'refused') {
    return { because: 'not-accepted', message: `held while ${registration} is not accepted: its own status says why` };
  }

  // A registration that cannot be carried out holds its own entries, and those that it may be about to take over.
  const blocked = wanted.find(
    (one) => one.problem !== undefined && (state !== 'covers' || registrationId(one.registration) === registration),
  );
  if (blocked?.problem !== undefined) {
    if (blocked.lostNames.includes(instance.service)) return { reason: 'NameConflict' };
    return {
      because: 'not-accepted',
      message: `held while ${registrationId(blocked.registration)} is not accepted: ${blocked.problem.message}`,
    };
  }
  if (wanted.some(({ optedOut }) => optedOut)) return { reason: 'OptedOut' };
  if (wanted.length > 0 && view.endpoints === 'unknown') {
    return {
      because: 'no-endpoint-slices',
      message: `Service ${owner} has no EndpointSlices; that is no evidence that its Pods are gone`,
    };
  }
  if (state === 'deleting' || state === 'deleted') return { reason: 'RegistrationDeleted' };
  return { reason: state === 'covers' ? 'EndpointRemoved' : 'NotSelected' };
}
