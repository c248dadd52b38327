import type { Failure, Registration, RegistrationStatus } from '../api/kinds.generated.ts';
import type { ConditionReason } from '../api/reasons.ts';
import { conditions, deletionBlocked, type Fact, type Facts, no, summary, unknown, yes } from './conditions.ts';
import type { Problem } from './ports.ts';

/** The status of a registration, as a pure function of what is known about it. */

/** What the last reconcile of one Service said about one registration. */
export interface Outcome {
  /** Of the registration that it was decided from; its generations begin anew when it is made anew under the same name. */
  readonly uid: string;
  readonly generation: number;
  readonly reconcileAt?: string;
  readonly desired: number;
  /** Of the desired ones, how many stand as desired. */
  readonly standing: number;
  readonly names: readonly string[];
  readonly problem?: Problem;
  /** Changes that were not made: refused by the registry, or never asked for (`DryRun`). */
  readonly notes: readonly Omit<Failure, 'service'>[];
  readonly refused: readonly (Omit<Failure, 'service'> & { readonly permanent: boolean })[];
  /** Changes that the updatePolicy does not let be made. */
  readonly withheld: number;
  /** Why entries that are not desired stand for now: nothing has shown yet that they may go. */
  readonly held?: string;
}

export interface ServiceFacts {
  readonly owner: string;
  /** Absent: not reconciled yet since the spec, or what it reads, changed. */
  readonly outcome?: Outcome;
  readonly registered: number;
  readonly healthy: number;
}

export type RegistryState =
  | { readonly state: 'up' }
  | { readonly state: 'opening' }
  | { readonly state: 'down'; readonly message: string };

export interface RegistrationFacts {
  readonly registration: Registration;
  /** Why it can be carried out for no Service at all. */
  readonly problem?: { readonly reason: ConditionReason; readonly message: string };
  readonly registry: RegistryState;
  /** Those that it covers. */
  readonly services: readonly ServiceFacts[];
  /** Entries that bear its name for Services that it does not cover, or not any more. */
  readonly strays: number;
  /** Removals of entries that bear its name are held back: what is told of them. */
  readonly blocked?: string;
  /** The last value of the annotation `roster.dev/release` that was acted on. */
  readonly releaseAt?: string;
  /** RFC 3339. */
  readonly now: string;
}

const SHOWN = 10;

export function registrationStatus(facts: RegistrationFacts): RegistrationStatus {
  const { registration, strays, now } = facts;
  const { generation = 0, annotations } = registration.metadata;
  const services = facts.services.toSorted((a, b) => compare(a.owner, b.owner));
  const outcomes = services.flatMap(({ owner, outcome }) => (outcome === undefined ? [] : [{ owner, ...outcome }]));
  const current = conditionsOf({ ...facts, services }, outcomes);
  const reconcileAt = annotations['roster.dev/reconcile-at'];
  const handled = outcomes.length === services.length ? reconcileAt : registration.status?.lastHandledReconcileAt;
  const failures = outcomes.flatMap(({ owner, problem, refused, notes }) =>
    [...(problem === undefined ? [] : [problem]), ...refused, ...notes].map(({ code, message, ...rest }) => ({
      service: owner,
      ...('instance' in rest && rest.instance !== undefined ? { instance: rest.instance } : {}),
      code,
      message,
    })),
  );
  const synced = services.filter(isSynced).length;
  return {
    observedGeneration: generation,
    conditions: conditions(current, registration.status?.conditions ?? [], generation, now),
    services: { matched: services.length, synced },
    instances: {
      desired: sum(outcomes, ({ desired }) => desired),
      registered: sum(services, ({ registered }) => registered) + strays,
      healthy: sum(services, ({ healthy }) => healthy),
    },
    names: [...new Set(outcomes.flatMap(({ names }) => names))].sort().slice(0, SHOWN),
    failures: failures.sort((a, b) => compare(place(a), place(b))).slice(0, SHOWN),
    ...(handled === undefined ? {} : { lastHandledReconcileAt: handled }),
    ...(facts.releaseAt === undefined ? {} : { lastHandledReleaseAt: facts.releaseAt }),
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What is known comes in any order; the status of it is always the same. */
const place = ({ service, instance = '', code, message }: Failure): string =>
  [service, instance, code, message].join(' ');

const isSynced = ({ outcome, registered }: ServiceFacts): boolean =>
  outcome?.problem === undefined &&
  outcome?.held === undefined &&
  outcome?.refused.length === 0 &&
  outcome.withheld === 0 &&
  outcome.desired === registered;

const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((total, item) => total + value(item), 0);

type Told = Outcome & { readonly owner: string };

function conditionsOf(facts: RegistrationFacts, outcomes: readonly Told[]): Facts {
  const accepted = acceptance(facts, outcomes);
  if (facts.blocked !== undefined) {
    const blocked = no('TooManyRemovals', facts.blocked);
    return { Accepted: accepted, Synced: blocked, ...deletionBlocked(blocked) };
  }
  if (accepted.status === 'False') {
    const held = no(accepted.reason, 'not accepted: the entries that stand are left as they are');
    return {
      Accepted: accepted,
      Synced: facts.problem === undefined ? synchronisation(facts, outcomes) : held,
      ...summary(accepted),
    };
  }
  const synced = synchronisation(facts, outcomes);
  const done = synced.status === 'True' || synced.asAsked === true;
  const ready: Fact = { ...synced, status: done ? 'True' : needsPerson(outcomes, synced) ? 'False' : 'Unknown' };
  return { Accepted: accepted, Synced: synced, ...summary(ready) };
}

/** Problems of a single Service are those of the registration that names it, and name conflicts always are. */
function acceptance({ registration, problem, services }: RegistrationFacts, outcomes: readonly Told[]): Fact {
  if (problem !== undefined) return no(problem.reason, problem.message);
  const single = registration.kind === 'ServiceRegistration' && registration.spec.serviceRef !== undefined;
  const troubled = outcomes.filter((outcome) => blocking(outcome, single));
  const first = troubled[0]?.problem;
  if (first !== undefined) {
    const others =
      troubled.length > 1 ? ` (and ${troubled.length - 1} more Services with problems: see status.failures)` : '';
    return no(first.code === 'NameNotAllowed' ? 'InvalidSpec' : first.code, `${first.message}${others}`);
  }
  if (single && outcomes.length < services.length)
    return unknown('Progressing', 'the Service has not been looked at yet');
  return yes('Accepted', 'the specification is valid and the registry admits this namespace');
}

/** A selector takes what comes: a Service without the port asked for is told in `failures` and left out, not a fault of the selector. */
const blocking = ({ problem }: Outcome, single: boolean): boolean =>
  problem !== undefined && (single || problem.code === 'NameConflict' || problem.code === 'NameNotAllowed');

/** `asAsked`: not all that is desired stands, because the registration says so itself. */
type Synchronisation = Fact & { readonly asAsked?: true };

function synchronisation(
  { registration, registry, services, strays }: RegistrationFacts,
  outcomes: readonly Told[],
): Synchronisation {
  const { suspend, updatePolicy } = registration.spec;
  if (suspend)
    return { ...unknown('Suspended', 'suspended: the entries that stand are left as they are'), asAsked: true };
  if (registry.state === 'down') return unknown('RegistryUnreachable', registry.message);
  if (registry.state === 'opening') return unknown('Progressing', 'the registry is being read for the first time');
  const waiting = services.length - outcomes.length;
  if (waiting > 0) return no('Progressing', `${waiting} of ${services.length} Services are still to be written`);
  const refused = sum(outcomes, (outcome) => outcome.refused.length);
  const withheld = sum(outcomes, (outcome) => outcome.withheld);
  if (refused > 0) return no('PartiallySynced', `the registry did not take ${refused} changes: see status.failures`);
  if (updatePolicy === 'DryRun' && withheld + strays > 0)
    return { ...no('DryRun', `updatePolicy DryRun: ${withheld + strays} changes would be made`), asAsked: true };
  const held = outcomes.find((outcome) => outcome.held !== undefined)?.held;
  if (held !== undefined) return no('Progressing', held);
  const problem = services.find(({ outcome, registered }) => spoils(outcome?.problem, registered))?.outcome?.problem;
  if (problem !== undefined) return no('PartiallySynced', problem.message);
  const kept = withheld + (updatePolicy === 'Sync' ? 0 : strays);
  if (kept > 0) {
    const left = `updatePolicy ${updatePolicy}: ${kept} entries that differ from what is desired are left as they are`;
    return { ...no('PartiallySynced', left), asAsked: true };
  }
  if (strays > 0) return no('Progressing', `${strays} entries of Services that it does not cover any more still stand`);
  const apart = services.find(({ outcome, registered }) => !outcome?.problem && outcome?.desired !== registered)?.owner;
  if (apart !== undefined)
    return no('Progressing', `what stands of Service ${apart} has changed since it was compared with what is desired`);
  return yes('Synced', 'the registry holds exactly what is desired');
}

/** A Service without the port asked for is no lack, unless entries of it stand from before. */
const spoils = (problem: Problem | undefined, registered: number): boolean =>
  problem !== undefined && (problem.code !== 'PortNotFound' || registered > 0);

/** Retrying helps only while something that the registry refused may pass later. */
const needsPerson = (outcomes: readonly Told[], synced: Fact): boolean =>
  synced.reason === 'PartiallySynced' && outcomes.every(({ refused }) => refused.every(({ permanent }) => permanent));
