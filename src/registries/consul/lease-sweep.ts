import type { ConsulClient } from './client.ts';
import { isLeaseCheck, type StandingCheck } from './entry.ts';
import type { Tenant } from './operations.ts';
import { readContents, readOwnedChecks } from './read.ts';
import { UNOPENED } from './session.ts';
import { commit } from './transaction.ts';

/**
 * Removes the nodes of leases that have run out and hold no entry any more: each client leaves up to 16 behind. Nodes with entries stay,
 * so that they are listed until somebody has taken them over or removed them.
 *
 * Whoever opens such a lease again writes its check before anything else, so a node goes only with its check as it was read.
 */
export async function sweepLeases(
  client: ConsulClient,
  tenant: Tenant,
  cluster: string,
  signal: AbortSignal,
): Promise<void> {
  const ended = (await readOwnedChecks(client, 'lease', cluster, signal)).filter(
    (check) => isLeaseCheck(check) && check.Status === 'critical' && check.Output !== UNOPENED,
  );
  const nodes = ended.map(({ Node }) => Node);
  const contents = await readContents(client, 'lease', nodes, signal);
  for (const check of ended) {
    if (contents.get(check.Node)?.entries.length === 0) await removeNode(client, tenant, check, signal);
  }
}

/** Refused, it stays: somebody has opened the lease again. */
function removeNode(client: ConsulClient, tenant: Tenant, check: StandingCheck, signal: AbortSignal) {
  const { Node, CheckID, ModifyIndex } = check;
  const { Partition } = tenant;
  const operations = [
    { Check: { Verb: 'delete-cas', Check: { Node, CheckID, ModifyIndex, ...tenant } } },
    { Node: { Verb: 'delete', Node: { Node, ...(Partition === undefined ? {} : { Partition }) } } },
  ];
  return commit(client, { operation: 'lease', operations }, signal);
}
