import type { RegistryObject, RegistryStatus } from '../api/kinds.generated.ts';
import type { ConditionReason } from '../api/reasons.ts';
import { conditions, deletionBlocked, type Fact, type Facts, no, summary, unknown, yes } from './conditions.ts';

/** The status of a Registry or ClusterRegistry, as a pure function of what is known about it. */

/** It answers, and another one writes there. */
export interface Contested {
  readonly state: 'contested';
  readonly reason: 'OwnedByAnother' | 'Fenced';
  readonly message: string;
  /** Of another operator. */
  readonly owner?: string;
}

export interface RegistryFacts {
  readonly registry: RegistryObject;
  /** Why it cannot be used as it is configured now. */
  readonly problem?: { readonly reason: ConditionReason; readonly message: string };
  readonly link:
    | { readonly state: 'opening' }
    | { readonly state: 'up'; readonly version: string }
    | { readonly state: 'down'; readonly message: string; readonly needs?: 'Unauthorized' | 'AddressNotAllowed' }
    | Contested;
  /** Entries with our mark; absent while unknown. */
  readonly owned?: number;
  /** Removals are held back: what is told of them. */
  readonly blocked?: string;
  /** The last value of the annotation `roster.dev/release` that was acted on. */
  readonly releaseAt?: string;
  /** RFC 3339. */
  readonly now: string;
}

export function registryStatus(facts: RegistryFacts): RegistryStatus {
  const { registry, link, owned, releaseAt, now } = facts;
  const { generation = 0 } = registry.metadata;
  const version = link.state === 'up' ? link.version : registry.status?.server?.version;
  return {
    observedGeneration: generation,
    conditions: conditions(conditionsOf(facts), registry.status?.conditions ?? [], generation, now),
    ...(version === undefined ? {} : { server: { version } }),
    ...(owned === undefined ? {} : { instances: { owned } }),
    ...(releaseAt === undefined ? {} : { lastHandledReleaseAt: releaseAt }),
    ...(link.state === 'contested' && link.owner !== undefined ? { otherOwner: link.owner } : {}),
  };
}

function conditionsOf({ problem, link, blocked }: RegistryFacts): Facts {
  const reachable = reachability(link);
  if (blocked !== undefined) return { Reachable: reachable, ...deletionBlocked(no('TooManyRemovals', blocked)) };
  if (problem !== undefined) return { Reachable: reachable, ...summary(no(problem.reason, problem.message)) };
  if (link.state === 'up')
    return { Reachable: reachable, ...summary(yes('Ready', 'the registry answers and is kept in step')) };
  if (link.state === 'contested') return { Reachable: reachable, ...summary(no(link.reason, link.message)) };
  const stuck = link.state === 'down' && link.needs !== undefined;
  return { Reachable: reachable, ...summary({ ...reachable, status: stuck ? 'False' : 'Unknown' }) };
}

function reachability(link: RegistryFacts['link']): Fact {
  switch (link.state) {
    case 'opening':
      return unknown('Progressing', 'the registry has not been asked yet');
    case 'up':
    case 'contested':
      return yes('Reachable', 'the registry answers');
    case 'down':
      return no(link.needs ?? 'RegistryUnreachable', link.message);
  }
}
