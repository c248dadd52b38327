import { fencedOff } from '../claim.ts';
import type { ZooKeeperClient } from './client.ts';
import { CODES, Refused } from './codes.ts';
import { failureOf } from './failure.ts';
import { exists, multi, type Operation } from './requests.ts';

/** What must stand so that this client may write for a cluster. */
export interface Fence {
  readonly cluster: string;
  /** Of a node that no other claim ever makes. */
  readonly path: string;
}

/** Whatever the version: a node of this name was never changed. */
const checkOf = ({ path }: Fence): Operation => ({ kind: 'check', path, version: -1 });

export const fenceOperations = (fence: Fence | undefined): readonly Operation[] =>
  fence === undefined ? [] : [checkOf(fence)];

interface Transaction {
  readonly operations: readonly Operation[];
  readonly fence: Fence | undefined;
}

/** As `multi`, for as long as the fence stands: rejects with `fenced` when it does not, and then nothing was done. */
export async function transact(
  client: ZooKeeperClient,
  { operations, fence }: Transaction,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const answer = await client.call('apply', multi([...fenceOperations(fence), ...operations]), signal);
  if (answer.outcome !== 'ok') return [CODES.noNode];
  if (fence === undefined || answer.value.length === 0) return answer.value;
  // The server tries the operations in order, so that one behind the check is at fault only when that passed.
  const [checked = 0, ...codes] = answer.value;
  if (checked === CODES.noNode) throw fencedOff('apply', fence.cluster);
  if (checked !== 0 && checked !== CODES.rolledBack) {
    throw failureOf(new Refused(checked), { operation: 'apply', sentWrite: false, endpoint: client.endpoint() });
  }
  return codes;
}

/** Rejects with `fenced` when it does not stand, as the server knows it that is asked. */
export async function assertStands(
  client: ZooKeeperClient,
  { operation, fence }: { readonly operation: string; readonly fence: Fence | undefined },
  signal: AbortSignal,
): Promise<void> {
  if (fence === undefined) return;
  const { outcome } = await client.call(operation, exists(fence.path), signal);
  if (outcome === 'no-node') throw fencedOff(operation, fence.cluster);
}
