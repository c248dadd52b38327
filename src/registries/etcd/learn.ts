import type { Change } from '../../mirror/change.ts';
import type { EtcdClient } from './client.ts';
import type { Entries, Held } from './entries.ts';
import { knownOf, readKeys } from './read.ts';
import type { Standing } from './standing.ts';
import { NOTHING_KNOWN } from './transaction.ts';

export interface Pending {
  readonly change: Change;
  readonly standing: Standing;
  /** Keys of the instance under which something stands that is not ours. */
  foreign: ReadonlySet<string>;
}

/** Reads what stands of the instances of these changes: what was known of them is wrong or missing. */
export async function learn(
  client: EtcdClient,
  entries: Entries,
  pending: readonly Pending[],
  signal: AbortSignal,
): Promise<void> {
  const wanted = new Map(pending.map((one) => [one, whereabouts(entries, one)]));
  const held = await readKeys(client, 'apply', [...new Set([...wanted.values()].flat())], signal);
  const byKey = new Map(held.map((one) => [one.key, one]));
  for (const [one, keys] of wanted) {
    const { id, marks } = one.change.instance;
    const standing = keys.map((key) => byKey.get(key)).filter((found): found is Held => found !== undefined);
    const known = knownOf(entries.owned(marks.cluster, standing)).get(id) ?? NOTHING_KNOWN;
    one.standing.set(id, known);
    const ours = new Set(known.map(({ key }) => key));
    one.foreign = new Set(standing.map(({ key }) => key).filter((key) => !ours.has(key)));
  }
}

/** The keys under which the instance of a change may stand, where it should among them. */
function whereabouts(entries: Entries, { change, standing }: Pending): readonly string[] {
  const slots = [
    ...(standing.get(change.instance.id) ?? []),
    ...(change.action === 'update' ? entries.empty(change.previous) : []),
    ...entries.empty(change.instance),
  ];
  return [...new Set(slots.map(({ key }) => key))];
}
