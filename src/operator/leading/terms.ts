import type { Term } from '../../kubernetes/lease.ts';

export type { Term } from '../../kubernetes/lease.ts';

/** When this process may write to one registry. */
export interface Terms {
  /** Undefined: not now. */
  readonly current: Term | undefined;
  /** The term that runs, or the next one; undefined when the signal aborts before it. */
  next(signal: AbortSignal): Promise<Term | undefined>;
  /** Asks for certain. `alone`: there is no election, so nobody can say. */
  confirm(): Promise<'leading' | 'lost' | 'unknown' | 'alone'>;
}

/** Without election: one term, for ever. */
export function endlessTerms(): Terms {
  const term: Term = { signal: new AbortController().signal, isValid: () => true };
  return { current: term, next: async () => term, confirm: async () => 'alone' };
}
