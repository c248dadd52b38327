// The real registries: what the operator is told of them, and what stands there by their own protocols.
import type { RealRegistry as Linked } from '../../links/call-link.ts';
import type { Written } from './gate.ts';
import type { Operator } from './process.ts';

export interface Standing {
  readonly id: string;
  /** All that is known of it, in the words of the registry. */
  readonly content: string;
  /** Another one after each write, where the registry counts these. */
  readonly stamp: string;
}

/** The part of a real registry server that one run has for itself. */
export interface Place {
  /** Of a ClusterRegistry, for a link at that address. */
  spec(address: string): object;
  standing(): Promise<readonly Standing[]>;
  /** What was done since this was last asked, where a look at what stands comes too late. */
  readonly changes?: () => readonly Written[] | Promise<readonly Written[]>;
  /** Everything, the claim too. */
  wipe(): Promise<void>;
}

export interface RealRegistry {
  readonly name: Linked | 'Memory';
  /** Of the server; undefined where there is none. */
  readonly address: string | undefined;
  /** `cluster`: name of the cluster; `token`: in every name of the run; `operators`: those that were started so far, the last one lives. */
  place(cluster: string, token: string, operators: readonly Operator[]): Place;
  stop(): Promise<void>;
}

/** What the difference between two looks says that was done. */
export function difference(
  before: ReadonlyMap<string, Standing>,
  after: ReadonlyMap<string, Standing>,
): readonly Written[] {
  const ids = new Set([...before.keys(), ...after.keys()]);
  return [...ids].flatMap((id): readonly Written[] => {
    const [was, is] = [before.get(id), after.get(id)];
    if (was === undefined) return [{ effect: 'register', id }];
    if (is === undefined) return [{ effect: 'deregister', id }];
    if (was.stamp === is.stamp && was.content === is.content) return [];
    return [{ effect: was.content === is.content ? 'repeat' : 'update', id }];
  });
}

export const byId = (standing: readonly Standing[]): ReadonlyMap<string, Standing> =>
  new Map(standing.map((one) => [one.id, one]));
