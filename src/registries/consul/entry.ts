import type { Health, Instance, Liveness } from '../../mirror/instance.ts';
import { isLeaseNode } from './shards.ts';

/**
 * An instance as Consul holds it: a service entry, and for all but the healthy ones a check beside it. A leased one stands on a node
 * whose own check tells whether the lease is in force.
 */

const MANAGED_BY = 'managed-by';
const OURS = 'roster';
const CLUSTER = 'roster-cluster';
const OWNER = 'roster-owner';
const REGISTRATION = 'roster-registration';
const RETAINED = 'roster-retained';
const WEIGHT = 'roster-weight';

/** Metadata pairs that marks take at most. */
export const MARKS = 6;

export const isReserved = (key: string): boolean => key === MANAGED_BY || key.startsWith('roster-');

export const MANAGED_BY_US = { [MANAGED_BY]: OURS } as const;

export const nodeMeta = (cluster: string): Readonly<Record<string, string>> => ({
  ...MANAGED_BY_US,
  [CLUSTER]: cluster,
});

export const isOurs = (meta: Readonly<Record<string, string>>, cluster: string): boolean =>
  meta[MANAGED_BY] === OURS && meta[CLUSTER] === cluster;

export interface ServiceEntry {
  readonly ID: string;
  readonly Service: string;
  readonly Address: string;
  readonly Port: number;
  readonly Tags: readonly string[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights: { readonly Passing: number; readonly Warning: number };
}

export interface CheckEntry {
  readonly CheckID: string;
  readonly Name: string;
  readonly Status: 'warning' | 'critical';
  readonly Output: string;
  readonly ServiceID: string;
}

/**
 * Weights go to Consul as they are, 0 excepted, which Consul would silently make 1: it is written as 1 with a mark, and a check
 * keeps new traffic away. Warning 0: an instance in warning gets as little as DNS can give it.
 */
export function serviceEntry(instance: Instance): ServiceEntry {
  const { id, service, address, port, tags, weight, metadata, marks } = instance;
  return {
    ID: id,
    Service: service,
    Address: address,
    Port: port,
    Tags: tags,
    Meta: {
      ...metadata,
      ...nodeMeta(marks.cluster),
      [OWNER]: marks.owner,
      [REGISTRATION]: marks.registration,
      ...(marks.retained ? { [RETAINED]: 'true' } : {}),
      ...(weight === 0 ? { [WEIGHT]: '0' } : {}),
    },
    Weights: { Passing: Math.max(1, weight), Warning: 0 },
  };
}

/** Never changed: another output with the same status would be a write to every server of the Consul cluster. */
const OUTPUT = {
  unhealthy: 'The endpoint is not ready in Kubernetes.',
  draining: 'The endpoint is terminating in Kubernetes: it finishes its connections and takes no new ones.',
  weightless: 'The weight is 0: it takes no new connections.',
} as const;

/** The check of a node of leased entries; Consul sets its status by the session on that node. */
export const LEASE_CHECK = 'roster-lease';

export const checkId = (id: string): string => `${id}/readiness`;

/**
 * None for a healthy instance: Consul takes an entry without a check for passing, and entries without checks keep batches fast.
 * Warning hides an instance from all who ask for passing ones; critical from DNS too.
 */
export function checkEntry(instance: Instance): CheckEntry | undefined {
  const { id, health, weight } = instance;
  const check = (Status: CheckEntry['Status'], Output: string): CheckEntry => ({
    CheckID: checkId(id),
    Name: 'Kubernetes readiness',
    Status,
    Output,
    ServiceID: id,
  });
  if (health === 'unhealthy') return check('critical', OUTPUT.unhealthy);
  if (health === 'draining') return check('warning', OUTPUT.draining);
  return weight === 0 ? check('warning', OUTPUT.weightless) : undefined;
}

/** What an answer says of an entry; the parts that we read, whoever wrote it. */
export interface StandingEntry extends ServiceEntry {
  readonly ModifyIndex: number;
}

export interface StandingCheck {
  readonly Node: string;
  readonly CheckID: string;
  readonly ServiceID: string;
  readonly Status: string;
  readonly Output: string;
  readonly ModifyIndex: number;
}

/** What was found of an entry beside itself. */
export interface Surroundings {
  readonly check: StandingCheck | undefined;
  readonly liveness: Liveness;
}

/** The instance that {@link serviceEntry} and {@link checkEntry} were made of; of a damaged entry as much as is left, so that it shows as drift. */
export function instanceOf(entry: StandingEntry, { check, liveness }: Surroundings): Instance {
  const { Meta } = entry;
  const held = check?.Status === 'warning' || check?.Status === 'critical';
  const weight = Meta[WEIGHT] === '0' && entry.Weights.Passing === 1 && held ? 0 : entry.Weights.Passing;
  return {
    id: entry.ID,
    service: entry.Service,
    address: entry.Address,
    port: entry.Port,
    health: healthOf(check, weight),
    liveness,
    weight,
    tags: [...new Set(entry.Tags)].sort(),
    metadata: Object.fromEntries(Object.entries(Meta).filter(([key]) => !isReserved(key))),
    marks: {
      cluster: Meta[CLUSTER] ?? '',
      owner: Meta[OWNER] ?? '',
      registration: Meta[REGISTRATION] ?? '',
      retained: Meta[RETAINED] === 'true',
    },
  };
}

function healthOf(check: StandingCheck | undefined, weight: number): Health {
  if (check?.Status === 'critical') return 'unhealthy';
  if (check?.Status !== 'warning') return 'healthy';
  return weight === 0 && check.Output === OUTPUT.weightless ? 'healthy' : 'draining';
}

/**
 * Entry and checks as a consumer takes them: the worst check counts, whoever wrote it, and the address of the node where there is no own.
 * Undefined for an entry whose lease has run out: it is critical for everyone, and nobody's any more.
 */
export function consumerView(
  node: { readonly Node: string; readonly Address: string },
  entry: StandingEntry,
  { checks, isHeld }: { readonly checks: readonly StandingCheck[]; isHeld(node: string): boolean },
): Instance | undefined {
  const ours = entry.Meta[MANAGED_BY] === OURS && entry.Meta[CLUSTER] !== undefined;
  const lease = ours ? checks.find(isLeaseCheck) : undefined;
  if (lease !== undefined && lease.Status !== 'passing') return undefined;
  const own = ours ? checks.find(({ CheckID }) => CheckID === checkId(entry.ID)) : undefined;
  const liveness = livenessOn(ours ? node.Node : '', lease, isHeld);
  const instance = instanceOf(entry, { check: own, liveness });
  const others = checks.filter((check) => check !== own && check !== lease).map((check) => healthOf(check, 1));
  const health = worst([instance.health, ...others]);
  const address = entry.Address === '' ? node.Address : entry.Address;
  if (ours) return { ...instance, address, health };
  const marks = { cluster: '', owner: '', registration: '', retained: false };
  return { ...instance, address, health, metadata: entry.Meta, marks };
}

export const isLeaseCheck = ({ CheckID, ServiceID }: StandingCheck): boolean =>
  CheckID === LEASE_CHECK && ServiceID === '';

/** Of entries on this node: leased while this client holds the node's lease and Consul says that it is in force. */
export function livenessOn(
  node: string,
  lease: StandingCheck | undefined,
  isHeld: (node: string) => boolean,
): Liveness {
  if (!isLeaseNode(node)) return 'persistent';
  return lease?.Status === 'passing' && isHeld(node) ? 'leased' : 'lapsing';
}

/** What tells of an entry beside itself, as text to compare. `lease`: status of the node's check, or undefined where it has none. */
export const stateOf = (
  liveness: Liveness,
  lease: string | undefined,
  check: Pick<StandingCheck, 'Status' | 'Output'> | undefined,
): string => `${liveness} ${lease} ${check?.Status} ${check?.Output}`;

const worst = (all: readonly Health[]): Health =>
  all.includes('unhealthy') ? 'unhealthy' : all.includes('draining') ? 'draining' : 'healthy';
