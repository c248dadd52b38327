// A plan says where one fault strikes in a run of a workload. It is data, found by enumeration from what a run without faults did.
import type { ListTrouble, WatchTrouble } from './api-link.ts';
import type { RegistryOperation, RegistryTrouble } from './registry-server.ts';

export type Fault =
  | { readonly kind: 'none' }
  /** The operator dies at its nth write of entries, its nth claim or its nth write of a status, and starts anew. */
  | {
      readonly kind: 'crash';
      readonly of: 'registry' | 'claim' | 'status';
      readonly write: number;
      readonly when: 'before the answer' | 'after the answer';
    }
  /** At its nth apply the operator freezes, and another process takes its place. What was on its way reaches the registry so much later. */
  | { readonly kind: 'overtaken'; readonly call: number; readonly byMs: number }
  /** With this write of a user read and nothing done about it, the leader freezes for longer than its term; then it goes on. Another replica stands by. */
  | { readonly kind: 'frozen'; readonly event: number; readonly forMs: number }
  /**
   * With this write of a user the leader dies. Whoever takes its place is suspended with its machine right before it claims the registry: its clock stands still, so
   * that it knows of nothing when it goes on. Another replica stands by.
   */
  | { readonly kind: 'suspended'; readonly event: number; readonly forMs: number }
  /** From a step on, an operator of another cluster that bears our cluster name is at the registry too. None of our Services is in its cluster. */
  | { readonly kind: 'namesake'; readonly step: number }
  /** After a write of a user, the API server shows for a while what was before another one, and then catches up. */
  | {
      readonly kind: 'stale';
      readonly after: number;
      readonly before: number;
      /**
       * Who is shown it, and in what. A watch that must list anew: in everything, quorum reads too. A process that has just started: in what comes from
       * the caches of the API server, as from a member that lags.
       */
      readonly to: 'lists' | 'a new process';
    }
  /** Events of a resource from one write of a user up to the one that cancels it are not seen. */
  | {
      readonly kind: 'hidden';
      readonly resource: string;
      readonly from: number;
      readonly to: number;
      readonly then: 'goes on' | 'lists anew';
    }
  /** While a step is made, the lists of a resource fail, whether asked for by a new process or for a watch that broke. */
  | {
      readonly kind: 'list';
      readonly resource: string;
      readonly trouble: ListTrouble;
      readonly step: number;
      readonly of: 'a watch' | 'a new process';
    }
  | { readonly kind: 'watch'; readonly resource: string; readonly trouble: WatchTrouble; readonly step: number }
  /** The nth call of a kind that the registry gets. */
  | {
      readonly kind: 'registry';
      readonly operation: RegistryOperation;
      readonly call: number;
      readonly trouble: RegistryTrouble;
    };

export interface Plan {
  /** `workload/kind/number`. */
  readonly id: string;
  readonly workload: string;
  readonly fault: Fault;
}

export function told(fault: Fault): string {
  switch (fault.kind) {
    case 'none':
      return 'no fault';
    case 'crash':
      return `the operator dies at its ${ordinal(fault.write)} ${WRITES[fault.of]}, right ${fault.when}`;
    case 'overtaken':
      return `the operator freezes at its ${ordinal(fault.call)} apply, which arrives ${fault.byMs / 1_000} s later, when another process has taken its place`;
    case 'frozen':
      return `the leader has read write ${fault.event} of the users and freezes for ${fault.forMs / 1_000} s, before it does anything about it`;
    case 'suspended':
      return `the leader dies at write ${fault.event} of the users, and the next one is suspended with its machine for ${fault.forMs / 1_000} s, right before it claims the registry`;
    case 'namesake':
      return `in step ${fault.step} an operator of another cluster with our cluster name comes to the registry`;
    case 'stale':
      return `after write ${fault.after} of the users, ${fault.to === 'lists' ? 'lists' : 'a new process'} get what was before write ${fault.before}`;
    case 'hidden':
      return `${fault.resource}: no event from write ${fault.from} of the users to ${fault.to}, then the watch ${fault.then}`;
    case 'list':
      return `lists of ${fault.resource} for ${fault.of} in step ${fault.step}: ${fault.trouble}`;
    case 'watch':
      return `the watch of ${fault.resource} in step ${fault.step}: ${fault.trouble}`;
    case 'registry':
      return `the ${ordinal(fault.call)} ${fault.operation} of the registry: ${fault.trouble}`;
  }
}

const WRITES = {
  registry: 'write to the registry',
  claim: 'claim of the registry',
  status: 'write to the API server',
} as const;

const ordinal = (n: number): string =>
  `${n}${['th', 'st', 'nd', 'rd'][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? 'th'}`;
