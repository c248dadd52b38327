import type { Clock } from '../../clock.ts';
import type { Change } from '../../mirror/change.ts';
import { RegistryError } from '../error.ts';
import type { ChangeResult } from '../registry.ts';
import type { Leftover } from './apply-decide.ts';
import type { Claims } from './claims.ts';
import type { Leases } from './leases.ts';
import type { Naming } from './naming.ts';
import type { Way } from './protocol.ts';
import type { Recent } from './recent.ts';

export interface Writing {
  readonly way: Way;
  readonly leases: Leases | undefined;
  readonly recent: Recent;
  readonly claims: Claims;
  readonly clock: Clock;
  /** Services that we created and that have no protectThreshold yet. */
  readonly unprotected: Set<string>;
  /** Nacos cluster of what is written. */
  readonly clusterName: string;
}

export interface Item {
  readonly change: Change;
  result?: ChangeResult;
}

/** Changes of one service that are to be written, and what stands there. */
export interface Task {
  readonly service: string;
  readonly items: readonly (readonly [item: Item, remove: readonly Leftover[]])[];
  /** No entry stands there, whoever wrote it; of persistent ones: in the Nacos cluster to which they go. */
  readonly empty: boolean;
}

export interface Hands {
  readonly naming: Naming;
  readonly writing: Writing;
  readonly signal: AbortSignal;
  /** Runs requests, so many at a time, and none any more after one has told that the server is of no use, or the claim is over. */
  run<T>(request: () => Promise<T>): Promise<T>;
}

export function settle(item: Item, error?: RegistryError): void {
  item.result ??= error === undefined ? { ok: true } : { ok: false, error };
}

/** Why a change failed, and what of it stands: `open` when only the failure itself can tell. */
export function failed(cause: unknown, standing: 'open' | 'part' | 'nothing'): RegistryError {
  const { code, message, cause: reason, retryAfterMs, ambiguous } = RegistryError.from(cause, 'apply');
  return new RegistryError(code, message, {
    cause: reason,
    ambiguous: standing === 'open' ? ambiguous : standing === 'part',
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
