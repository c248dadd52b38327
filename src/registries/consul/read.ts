import type { Instance } from '../../mirror/instance.ts';
import { RegistryError } from '../error.ts';
import type { ConsulClient } from './client.ts';
import {
  checkId,
  consumerView,
  instanceOf,
  isLeaseCheck,
  isOurs,
  livenessOn,
  nodeMeta,
  type StandingCheck,
  stateOf,
} from './entry.ts';
import { assertAddressable } from './names.ts';
import { isLeaseNode } from './shards.ts';
import type { Known, Reading } from './standing.ts';
import { type NodeContent, readChecks, readHealth, readNodeContent, readNodes } from './wire.ts';

/** Requests for nodes in flight at once. */
const PARALLEL = 8;

/** A node that goes while it is read is a reason to begin again, so often. */
const ATTEMPTS = 3;

export interface Owned extends Reading {
  readonly instances: readonly Instance[];
}

/** What is known of the leases of this client. */
export interface Holding {
  isHeld(node: string): boolean;
  doubt(node: string): void;
}

/** Everything of a cluster: its nodes, each node's services, and all their checks; each answer confirmed by the leader. */
export async function readOwned(
  client: ConsulClient,
  holding: Holding,
  cluster: string,
  signal: AbortSignal,
): Promise<Owned> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const names = await readOwnedNodes(client, 'list', cluster, signal);
    const stop = new AbortController();
    const [contents, checks] = await Promise.all([
      readContents(client, 'list', names, AbortSignal.any([signal, stop.signal])),
      // Asked for even when there is no node: the only one of the three that refuses a namespace that Consul does not have.
      readOwnedChecks(client, 'list', cluster, AbortSignal.any([signal, stop.signal])),
    ]).finally(() => stop.abort());
    const standing = names.map((name) => contents.get(name));
    if (standing.every((content) => content !== undefined)) return owned(standing, checks, { holding, cluster });
  }
  throw new RegistryError(
    'conflict',
    'list: nodes of Roster are being removed from Consul by someone else; try again when that is over',
  );
}

function owned(
  contents: readonly NodeContent[],
  checks: readonly StandingCheck[],
  { holding, cluster }: { readonly holding: Holding; readonly cluster: string },
): Owned {
  const checkOf = new Map(checks.map((check) => [`${check.Node} ${check.CheckID}`, check]));
  const leaseOf = new Map(checks.filter(isLeaseCheck).map((check) => [check.Node, check]));
  const instances = new Map<string, Instance>();
  const entries = new Map<string, Known>();
  for (const { node, entries: standing } of contents) {
    const lease = leaseOf.get(node.Node);
    const liveness = livenessOn(node.Node, lease, (name) => holding.isHeld(name));
    if (liveness === 'lapsing' && holding.isHeld(node.Node)) holding.doubt(node.Node);
    for (const entry of standing) {
      if (!isOurs(entry.Meta, cluster)) continue;
      const check = checkOf.get(`${node.Node} ${checkId(entry.ID)}`);
      const instance = instanceOf(entry, { check, liveness });
      const place = { node: node.Node, index: entry.ModifyIndex };
      const other = entries.get(entry.ID);
      if (other === undefined) {
        instances.set(entry.ID, instance);
        const state = stateOf(liveness, lease?.Status, check);
        entries.set(entry.ID, { ...place, checked: check !== undefined, state });
      } else {
        // By a client that knew of neither. What nobody can want is mended by the next write, which removes the double.
        instances.set(entry.ID, { ...instance, liveness: 'lapsing' });
        entries.set(entry.ID, { ...other, doubles: [...(other.doubles ?? []), place] });
      }
    }
  }
  return { instances: [...instances.values()], entries, nodes: contents.map(({ node }) => node.Node) };
}

/** Names of the nodes with our mark. */
function readOwnedNodes(client: ConsulClient, operation: string, cluster: string, signal: AbortSignal) {
  return client.call(
    {
      operation,
      writes: false,
      complete: true,
      send: (consul, options) => consul.catalog.node.list({ ...ofCluster(cluster), ...options }),
      read: (body) => readNodes(body).map(({ Node }) => Node),
    },
    signal,
  );
}

/** Of all clients, this one's too. */
export const readLeaseNodes = async (client: ConsulClient, operation: string, cluster: string, signal: AbortSignal) =>
  (await readOwnedNodes(client, operation, cluster, signal)).filter(isLeaseNode);

export function readOwnedChecks(client: ConsulClient, operation: string, cluster: string, signal: AbortSignal) {
  return client.call(
    {
      operation,
      writes: false,
      complete: true,
      send: (consul, options) => consul.health.state({ state: 'any', ...ofCluster(cluster), ...options }),
      read: readChecks,
    },
    signal,
  );
}

/** The content of each node, undefined for one that does not exist. */
export async function readContents(
  client: ConsulClient,
  operation: string,
  nodes: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, NodeContent | undefined>> {
  const contents = new Map<string, NodeContent | undefined>();
  const waiting = nodes.values();
  const worker = async () => {
    for (const node of waiting) contents.set(node, await readContent(client, operation, node, signal));
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return contents;
}

function readContent(client: ConsulClient, operation: string, node: string, signal: AbortSignal) {
  return client.call(
    {
      operation,
      writes: false,
      complete: true,
      send: (consul, options) => consul.catalog.node.services({ node, ...CONSISTENT, ...options }),
      read: readNodeContent,
    },
    signal,
  );
}

/** What a consumer of a service gets. As fresh as consumers' own reads: any server may answer. */
export async function readService(
  client: ConsulClient,
  holding: Holding,
  service: string,
  signal: AbortSignal,
): Promise<readonly Instance[]> {
  assertAddressable('discover', service);
  const found = await client.call(
    {
      operation: 'discover',
      writes: false,
      complete: true,
      send: (consul, options) => consul.health.service({ service, ...options }),
      read: readHealth,
    },
    signal,
  );
  const isHeld = (node: string) => holding.isHeld(node);
  return found.flatMap(({ node, entry, checks }) => consumerView(node, entry, { checks, isHeld }) ?? []);
}

/** An answer to the same question as text that differs when anything in it does. */
export const readServiceAnswer = (body: unknown): string => JSON.stringify(readHealth(body));

/** Asks the leader to make sure that it still is one: a list after an acknowledged write must contain it. */
export const CONSISTENT = { consistent: true } as const;

export const onNodesOf = (cluster: string) => ({
  'node-meta': Object.entries(nodeMeta(cluster)).map(([key, value]) => `${key}:${value}`),
});

const ofCluster = (cluster: string) => ({ ...onNodesOf(cluster), ...CONSISTENT });
