import type { Change } from '../../mirror/change.ts';
import { RegistryError } from '../error.ts';
import { inParallel } from '../parallel.ts';
import type { ZooKeeperClient } from './client.ts';
import { type Entry, type Layout, readOwned } from './layouts/layout.ts';
import { livenessOf } from './liveness.ts';
import { nodeOf } from './paths.ts';
import { readStanding } from './read.ts';
import type { Access, Operation } from './requests.ts';

const WIDTH = 128;

/** What was read at a path. A stranger's is everything that does not bear the mark of our cluster. */
type Found =
  | { readonly kind: 'absent' }
  | { readonly kind: 'ours'; readonly version: number; readonly text: string; readonly entry: Entry }
  | { readonly kind: 'stranger' };

export interface Pending {
  readonly change: Change;
  /** What stands where the entry belongs, and where it was before; undefined: not read. */
  read: { readonly target: Found; readonly former: Found } | undefined;
}

export interface Surroundings {
  readonly client: ZooKeeperClient;
  readonly base: string;
  readonly layout: Layout;
  readonly acl: readonly Access[];
  readonly today: () => number;
}

/** Reads what stands of each change. */
export async function learn(around: Surroundings, items: readonly Pending[], signal: AbortSignal): Promise<void> {
  await inParallel(items, WIDTH, async (item) => {
    const { change } = item;
    const former = formerService(change);
    const [target, before] = await Promise.all([
      find(around, change, change.instance.service, signal),
      former === undefined ? ABSENT : find(around, change, former, signal),
    ]);
    item.read = { target, former: before };
  });
}

const ABSENT: Found = { kind: 'absent' };

async function find(
  { client, base, layout }: Surroundings,
  { instance }: Change,
  service: string,
  signal: AbortSignal,
): Promise<Found> {
  const node = nodeOf(instance.id);
  const data = await readStanding(client, `${base}/${service}/${node}`, signal);
  if (data === undefined) return ABSENT;
  const { text, version, owner } = data;
  const entry = readOwned(layout, text, { service, node, liveness: livenessOf(owner, client.session()) });
  return entry?.instance.marks.cluster === instance.marks.cluster
    ? { kind: 'ours', version, text, entry }
    : { kind: 'stranger' };
}

const formerService = (change: Change): string | undefined =>
  change.action === 'update' && change.previous.service !== change.instance.service
    ? change.previous.service
    : undefined;

export type Decision =
  | { readonly kind: 'write'; readonly operations: readonly Operation[] }
  | { readonly kind: 'refuse'; readonly error: RegistryError };

/** The operations that make the tree as the change wants it, none when it is so already. What was not read is taken for absent. */
export function operationsFor({ change, read }: Pending, around: Surroundings): Decision {
  const { target, former } = read ?? { target: ABSENT, former: ABSENT };
  const node = nodeOf(change.instance.id);
  const path = `${around.base}/${change.instance.service}/${node}`;
  const operations: Operation[] = [];
  if (change.action === 'deregister') {
    if (target.kind === 'ours') operations.push({ kind: 'remove', path, version: target.version });
    return { kind: 'write', operations };
  }
  if (target.kind === 'stranger') return { kind: 'refuse', error: notOurs(change, path) };
  const moved = formerService(change);
  if (former.kind === 'ours' && moved !== undefined) {
    operations.push({ kind: 'remove', path: `${around.base}/${moved}/${node}`, version: former.version });
  }
  operations.push(...placing(change, target, { path, node }, around));
  return { kind: 'write', operations };
}

function placing(
  { instance }: Change,
  target: Exclude<Found, { kind: 'stranger' }>,
  { path, node }: { readonly path: string; readonly node: string },
  { layout, acl, today }: Surroundings,
): readonly Operation[] {
  const ephemeral = instance.liveness !== 'persistent';
  const registeredAt = target.kind === 'absent' ? today() : target.entry.registeredAt;
  const text = layout.write({ instance, registeredAt }, node);
  const data = Buffer.from(text);
  const create: Operation = { kind: 'create', path, data, acl, ephemeral };
  if (target.kind === 'absent') return [create];
  const { version, entry } = target;
  // Whose session a node goes with is settled when it is made.
  const stays = entry.instance.liveness === (ephemeral ? 'leased' : 'persistent');
  if (!stays) return [{ kind: 'remove', path, version }, create];
  if (text === target.text) return [];
  return layout.replaces ? [{ kind: 'remove', path, version }, create] : [{ kind: 'set', path, data, version }];
}

const notOurs = ({ instance }: Change, path: string): RegistryError =>
  new RegistryError(
    'conflict',
    `a node that is not ours stands in ZooKeeper under the id ${instance.id}; remove ${JSON.stringify(path.slice(0, 120))} there`,
  );
