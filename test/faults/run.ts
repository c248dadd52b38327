import type { Instance } from '../../src/mirror/instance.ts';
import type { ApiWrite } from './api-link.ts';
import type { Recorded } from './api-server.ts';
import type { Plan } from './plan.ts';
import type { Effect, RegistryOperation, WriteUnit } from './registry-server.ts';
import type { StoryLine } from './story.ts';

export interface Call {
  readonly operation: RegistryOperation;
  readonly number: number;
  readonly at: number;
}

/** What a user wrote, and which entries were wanted from then on. */
export interface UserEvent {
  readonly number: number;
  readonly event: Recorded;
  readonly wanted: ReadonlySet<string>;
}

/** What is judged of a run, virtual or real. */
export interface Judged {
  readonly plan: Plan;
  /** What was done to which entry, write by write. */
  readonly units: readonly {
    readonly written: readonly {
      readonly effect: Effect;
      readonly change: { readonly instance: { readonly id: string } };
    }[];
  }[];
  readonly end: { readonly entries: readonly { readonly id: string }[]; readonly objects: readonly object[] };
  /** What the registry forgot by itself, by id. */
  readonly wiped: ReadonlyMap<string, number>;
  /** Entries that were wanted throughout and removed. */
  readonly absences: readonly string[];
  /** What the operator itself calls one. */
  readonly defects: readonly string[];
  /** Writes after all was calm. */
  readonly restless: readonly string[];
  readonly unplayed: readonly string[];
  /** Something was deleted of which no process was told that lived to do what follows. */
  readonly missedDeletion: boolean;
}

/** All that a run of a workload shows of itself. */
export interface Run extends Judged {
  readonly story: readonly StoryLine[];
  readonly units: readonly WriteUnit[];
  /** To the API server. */
  readonly writes: readonly ApiWrite[];
  /** How often the registry was claimed. */
  readonly claims: number;
  /** Of the registry. */
  readonly calls: readonly Call[];
  readonly events: readonly UserEvent[];
  readonly end: { readonly entries: readonly Instance[]; readonly objects: readonly object[] };
  readonly wantedAtEnd: ReadonlySet<string>;
  /** A status at the end says that removals are held. */
  readonly isBlocked: boolean;
  readonly history: readonly Recorded[];
}
