import type { Instance } from './instance.ts';

/** Why a change is made, in a word that logs, metrics and `roster plan` show. */
export type Reason =
  | 'EndpointAdded'
  | 'Changed'
  /** Nothing but that another client, perhaps of a process that is gone, holds the entry's lease. */
  | 'LeaseTakenOver'
  | 'EndpointRemoved'
  | 'ServiceDeleted'
  | 'RegistrationDeleted'
  | 'NotSelected'
  | 'OptedOut'
  | 'NameConflict';

/** What shows that an entry may go (rule 2 of the engine). */
export type Evidence =
  /** The DELETED event or deletionTimestamp of its Service or registration was seen, or its endpoint was seen to terminate. */
  | 'ObjectDeleted'
  /** A newer version of the slices lacks the address, or one of the registration or Service does not ask for it any more. */
  | 'NewerVersion'
  /** Its Service or registration was absent at two looks, and a live read answered that there is none. */
  | 'AbsenceProved';

/**
 * register: nothing of ours stands under this id. update: our entry differs; `previous` is what stands there.
 * deregister: our entry goes.
 */
export type Change =
  | { readonly action: 'register'; readonly instance: Instance; readonly reason: Reason }
  | { readonly action: 'update'; readonly instance: Instance; readonly previous: Instance; readonly reason: Reason }
  | Deregistration;

interface Deregistration {
  readonly action: 'deregister';
  readonly instance: Instance;
  readonly reason: Reason;
  /** Absent where a program asks for it. */
  readonly evidence?: Evidence;
}

/** One that the operator decided. */
export interface Removal extends Deregistration {
  readonly evidence: Evidence;
}

export type PlannedChange = Exclude<Change, Deregistration> | Removal;

/** What was not changed although desired and observed differ, and why. */
export interface LeftAlone {
  readonly instance: Instance;
  readonly because:
    | 'unconfirmed'
    | 'no-endpoint-slices'
    | 'not-accepted'
    | 'other-registry'
    | 'update-policy'
    | 'suspended'
    | 'dry-run'
    | 'retained'
    | 'deletion-guard';
  readonly message: string;
}

export interface Plan {
  /** Registrations and updates first, removals last: a consumer never sees a service emptier than it must be. */
  readonly changes: readonly PlannedChange[];
  readonly leftAlone: readonly LeftAlone[];
}
