import type { Condition, DeletionGuard, RegistryObject } from '../api/kinds.generated.ts';
import type { LeftAlone } from './change.ts';
import type { HeldRemoval } from './deletion-guard.ts';

/** What is told of removals that the deletion guard holds back. Nothing in it changes with time: what stays held is told once. */

export interface Blocked {
  /** How many are held, by Service. */
  readonly held: ReadonlyMap<string, number>;
  readonly settings: DeletionGuard;
  /** Of some of these Services, nothing says which endpoints were told to end. */
  readonly hidesTermination?: boolean;
}

/** Its value is a request: each new one lets go what is held when it is seen. */
export const RELEASE_ANNOTATION = 'roster.dev/release';

const SHOWN = 5;

/** For the condition of an object, which `command` releases. */
export function blockedMessage({ held, settings, hidesTermination = false }: Blocked, command: string): string {
  const all = [...held].sort(([a], [b]) => (a < b ? -1 : 1));
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  const services = all.slice(0, SHOWN).map(([owner, count]) => `${count} of ${owner}`);
  const more = all.length > SHOWN ? ` and of ${all.length - SHOWN} more Services` : '';
  const unknown = hidesTermination ? `. ${HIDDEN}` : '';
  return `the deletion guard holds back ${total} removals (${services.join(', ')}${more}): ${threshold(settings)}. They go when they are released (${command}); they are not removed any more when their endpoints are back${unknown}`;
}

const HIDDEN =
  'v1 Endpoints do not say whether Pods were told to end, so Services that are scaled down on purpose are held too: where that is usual, raise deletionGuard of the registry, or read EndpointSlices';

/** Why a registration is let go by its finalizer with its entries left behind. */
export const whyLeftBehind = (registry: string): string =>
  `the deletion guard holds its entries back (roster release --registry ${registry.slice(registry.indexOf('/') + 1)})`;

const threshold = ({ maxPercent, minInstances, windowSeconds }: DeletionGuard): string =>
  `more than ${minInstances} and than ${maxPercent} % would go within ${windowSeconds} s`;

/** One entry each, for plans. */
export function whyLeftAlone(held: readonly HeldRemoval[], registry: RegistryObject): readonly LeftAlone[] {
  const { deletionGuard } = registry.spec;
  const command = releaseCommand(registry);
  return held.map(({ removal: { instance, reason, evidence }, by }) => ({
    instance,
    because: 'deletion-guard',
    message: `${reason} by ${evidence}: one of ${held.length} held removals of the Service, ${SCOPES[by]} ${threshold(deletionGuard)}; ${command} lets them go`,
  }));
}

const SCOPES = {
  owner: 'of which',
  registry: 'since of all in the registry',
  burst: 'since several registrations were deleted and of the registry',
} as const;

type Releasable = Pick<RegistryObject, 'metadata'> & { readonly kind: string };

/** The command that lets go what the object's status says is held. */
export function releaseCommand({ kind, metadata: { namespace, name } }: Releasable): string {
  const ref = namespace === undefined ? name : `${namespace}/${name}`;
  if (kind === 'ServiceRegistration') return `roster release ${ref}`;
  return `roster release ${kind === 'ClusterServiceRegistration' ? '--cluster-registration' : '--registry'} ${ref}`;
}

/** The status says that removals are held. */
export const isBlocked = (status: { readonly conditions?: readonly Condition[] } | undefined): boolean =>
  blockedBefore(status) !== undefined;

export const blockedBefore = (
  status: { readonly conditions?: readonly Condition[] } | undefined,
): Condition | undefined =>
  status?.conditions?.find(({ type, status: is }) => type === 'DeletionBlocked' && is === 'True');
