import type { ConsulClient } from './client.ts';
import { isOurs } from './entry.ts';
import type { Pending } from './operations.ts';
import { readContents, readLeaseNodes } from './read.ts';
import { leaseShard, nodeName } from './shards.ts';
import type { Place } from './standing.ts';
import type { NodeContent } from './wire.ts';

/**
 * Reads what stands of the instances of these changes into their `standing`: what was known of them is wrong or missing.
 * Gives those under whose id a stranger's entry stands.
 */
export async function learn<P extends Pending>(
  client: ConsulClient,
  pending: readonly P[],
  signal: AbortSignal,
): Promise<ReadonlySet<P>> {
  const clusters = [...new Set(pending.map(({ change }) => change.instance.marks.cluster))];
  const leaseNodes = new Map<string, readonly string[]>();
  for (const cluster of clusters) {
    leaseNodes.set(cluster, await readLeaseNodes(client, 'apply', cluster, signal));
  }
  const placesOf = (one: P) => whereabouts(one, leaseNodes.get(one.change.instance.marks.cluster) ?? []);
  const nodes = [...new Set(pending.flatMap(placesOf))];
  const contents = await readContents(client, 'apply', nodes, signal);
  const strangers = new Set<P>();
  for (const one of pending) if (learnOne(one, placesOf(one), contents) === 'stranger') strangers.add(one);
  return strangers;
}

/** The nodes on which the entry of a change may stand: persistent, or leased by any client, and under its name of before. */
function whereabouts({ change, node, standing }: Pending, leaseNodes: readonly string[]): readonly string[] {
  const { instance } = change;
  const { id, marks } = instance;
  const services = [instance.service, ...(change.action === 'update' ? [change.previous.service] : [])];
  const known = standing.get(id);
  const shards = services.map(leaseShard);
  const places = [
    node,
    ...(known === undefined ? [] : [known.node, ...(known.doubles ?? []).map((double) => double.node)]),
    ...services.map((service) => nodeName(marks.cluster, service)),
    ...leaseNodes.filter((name) => shards.some((shard) => name.endsWith(shard))),
  ];
  return [...new Set(places)];
}

function learnOne(
  pending: Pending,
  places: readonly string[],
  contents: ReadonlyMap<string, NodeContent | undefined>,
): 'stranger' | undefined {
  const { change, node: target, standing } = pending;
  const { id, marks } = change.instance;
  // A node that lost its marks gets them back: names that begin with roster- are ours.
  const meta = contents.get(target)?.node.Meta;
  if (meta !== undefined && isOurs(meta, marks.cluster)) standing.nodes.add(target);
  else standing.nodes.delete(target);

  let stranger = false;
  const found: Place[] = [];
  for (const node of places) {
    const entry = contents.get(node)?.entries.find(({ ID }) => ID === id);
    if (entry === undefined) continue;
    if (isOurs(entry.Meta, marks.cluster)) found.push({ node, index: entry.ModifyIndex });
    else stranger ||= node === target || node === nodeName(marks.cluster, change.instance.service);
  }
  const [first, ...doubles] = found;
  // The answer does not tell of checks.
  if (first === undefined) standing.set(id, { node: target, index: 0, checked: false });
  else standing.set(id, { ...first, checked: true, ...(doubles.length === 0 ? {} : { doubles }) });
  return stranger ? 'stranger' : undefined;
}
