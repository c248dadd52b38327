import type { Evidence, LeftAlone, Reason, Removal } from './change.ts';
import type { Wanted } from './desired.ts';
import type { Instance } from './instance.ts';
import { instanceId } from './naming.ts';
import { type RegistrationState, registrationId, type View } from './view.ts';

/** Why an entry stays that nobody wants. */
export type Kept = Omit<LeftAlone, 'instance'>;

/** What becomes of an entry that nobody wants. */
export type Fate = Pick<Removal, 'reason' | 'evidence'> | Kept;

/** Going or gone, as was seen or proved. */
export const isGone = (state: RegistrationState | undefined): boolean =>
  state === 'deleting' || state === 'deleted' || state === 'proved-absent';

/**
 * Rule 2: an entry goes only when something shows that it should. Bad input, caches that lack an object without having seen it
 * deleted, and Services whose endpoints nobody has told us of are no evidence.
 */
export function proof(instance: Instance, view: View, wanted: readonly Wanted[]): Fate {
  const found = reasonFor(instance, view, wanted);
  return typeof found === 'string' ? { reason: found, evidence: evidenceOf(instance, view) } : found;
}

export const notInCache = (registration: string): Kept => ({
  because: 'unconfirmed',
  message: `${registration} is not in the cache; its absence is being confirmed`,
});

/** The strongest that there is, whatever the reason. */
function evidenceOf({ address, health, marks }: Instance, { service, registrations, terminated }: View): Evidence {
  const state = registrations[marks.registration];
  // An entry is written as draining while its Pod ends, so this outlives what a process remembers.
  if (health === 'draining' || terminated.includes(address)) return 'ObjectDeleted';
  if (service.state === 'deleted' || state === 'deleted' || state === 'deleting') return 'ObjectDeleted';
  if (service.state === 'present' && service.object.metadata.deletionTimestamp !== undefined) return 'ObjectDeleted';
  return service.state === 'proved-absent' || state === 'proved-absent' ? 'AbsenceProved' : 'NewerVersion';
}

function reasonFor(instance: Instance, view: View, wanted: readonly Wanted[]): Reason | Kept {
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
  if (state === 'missing') return notInCache(registration);
  if (service.state === 'deleted') return 'ServiceDeleted';
  // A deletion that was seen says more than an absence that was proved, and a burst of them is told by this reason.
  if (service.state === 'proved-absent')
    return state === 'deleting' || state === 'deleted' ? 'RegistrationDeleted' : 'ServiceDeleted';
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
    if (blocked.lostNames.includes(instance.service)) return 'NameConflict';
    return {
      because: 'not-accepted',
      message: `held while ${registrationId(blocked.registration)} is not accepted: ${blocked.problem.message}`,
    };
  }
  if (wanted.some(({ optedOut }) => optedOut)) return 'OptedOut';
  if (wanted.length > 0 && view.endpoints === 'unknown') {
    return {
      because: 'no-endpoint-slices',
      message: `Service ${owner} has no EndpointSlices; that is no evidence that its Pods are gone`,
    };
  }
  if (wanted.length > 0 && view.endpoints === 'unconfirmed') {
    return {
      because: 'unconfirmed',
      message: `the last list did not show all EndpointSlices of Service ${owner} that were seen; the next one will tell`,
    };
  }
  if (isGone(state)) return 'RegistrationDeleted';
  return state === 'covers' ? 'EndpointRemoved' : 'NotSelected';
}
