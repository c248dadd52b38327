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

/**
 * register: nothing of ours stands under this id. update: our entry differs; `previous` is what stands there.
 * deregister: our entry goes.
 */
export type Change =
  | { readonly action: 'register'; readonly instance: Instance; readonly reason: Reason }
  | { readonly action: 'update'; readonly instance: Instance; readonly previous: Instance; readonly reason: Reason }
  | { readonly action: 'deregister'; readonly instance: Instance; readonly reason: Reason };

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
    | 'retained';
  readonly message: string;
}

export interface Plan {
  /** Registrations and updates first, removals last: a consumer never sees a service emptier than it must be. */
  readonly changes: readonly Change[];
  readonly leftAlone: readonly LeftAlone[];
}
