/** The words of status.conditions that scripts and alerts depend on: none is renamed, none is written that is not here. */

/** The spec of a registration cannot be acted on, and why. `Accepted`: it can. */
const ACCEPTED = [
  'Accepted',
  'InvalidSpec',
  'NotYetSupported',
  'RegistryNotFound',
  'NamespaceNotAllowed',
  'NameConflict',
  'ServiceNotFound',
  'PortNotFound',
] as const;

/** How far the registry is from what is desired. */
const SYNCED = ['Synced', 'Progressing', 'RegistryUnreachable', 'PartiallySynced', 'Suspended', 'DryRun'] as const;

/** Whether a registry answers and takes our credentials. */
const REACHABLE = [
  'Reachable',
  'Unauthorized',
  'AddressNotAllowed',
  'SecretNotFound',
  'SecretKeyNotFound',
  'SecretForbidden',
  'SecretUnreadable',
] as const;

export type AcceptedReason = (typeof ACCEPTED)[number];

/** Whether another operator writes to a registry. */
const CLAIMED = ['OwnedByAnother', 'Fenced'] as const;

/** `TooManyRemovals` is of DeletionBlocked; `Ready` of a registry, while a registration takes the reason of what decides. */
export const CONDITION_REASONS = [
  ...ACCEPTED,
  ...SYNCED,
  ...REACHABLE,
  ...CLAIMED,
  'TooManyRemovals',
  'Ready',
] as const;

export type ConditionReason = (typeof CONDITION_REASONS)[number];
