import { RegistryError } from '../error.ts';
import { leasedElsewhere, removeEntry } from './apply-removal.ts';
import { failed, type Hands, type Item, settle, type Task } from './apply-task.ts';
import { hostOf, placeOf } from './entry.ts';
import type { NacosHost } from './host.ts';
import type { Leases, List } from './leases.ts';

/** All changes of a service at once, as the one list that this client publishes for it. */
export async function applyLeased({ service, items, empty }: Task, hands: Hands): Promise<void> {
  const { leases, clusterName } = hands.writing;
  if (leases === undefined) {
    const error = new RegistryError('unsupported', 'leased entries need gRPC; set spec.nacos.protocol to Auto or Grpc');
    for (const [item] of items) settle(item, error);
    return;
  }
  for (const [item, remove] of items) {
    const { action, instance } = item.change;
    if (action !== 'deregister' || leases.held(service).has(instance.id)) continue;
    if (remove.some(({ host, seen }) => seen && host.ephemeral)) settle(item, leasedElsewhere(instance.id));
  }
  const open = items.filter(([{ result }]) => result === undefined);
  const wanted: Wanted = new Map(open.map(([{ change }]) => [change.instance.id, asWanted(change, clusterName)]));
  if (wanted.size === 0) return;
  let standing: 'open' | 'part' = 'open';
  try {
    await publish(service, wanted, leases, hands);
    standing = 'part';
    await protect({ service, creates: empty && [...wanted.values()].some((host) => host !== undefined) }, hands);
  } catch (cause) {
    const error = failed(cause, standing);
    for (const [item] of open) settle(item, error);
    return;
  }

  await Promise.all(
    open.map(async ([item, remove]) => {
      const { id } = item.change.instance;
      try {
        for (const leftover of remove) {
          // Of this list it is gone already, and of another client's it cannot be removed.
          if (leftover.host.ephemeral && (leftover.service === service || !leases.held(leftover.service).has(id)))
            continue;
          await removeEntry(leftover, id, hands);
        }
        settle(item);
      } catch (cause) {
        settle(item, failed(cause, standing));
      }
    }),
  );
}

/** By id; undefined for what is to go. */
type Wanted = ReadonlyMap<string, NacosHost | undefined>;

const asWanted = ({ action, instance }: Item['change'], clusterName: string): NacosHost | undefined =>
  action === 'deregister' ? undefined : hostOf(instance, clusterName);

async function publish(
  service: string,
  wanted: Wanted,
  leases: Leases,
  { writing: { recent }, signal, run }: Hands,
): Promise<void> {
  // What stands under an id is changed by nobody else meanwhile.
  const before = leases.held(service);
  const after = new Map<string, NacosHost | undefined>();
  for (const id of wanted.keys()) {
    const host = before.get(id);
    if (host !== undefined) after.set(placeOf(host), undefined);
  }
  for (const host of wanted.values()) if (host !== undefined) after.set(placeOf(host), host);
  const edit = (list: List): List => {
    const edited = new Map(list);
    for (const [id, host] of wanted) {
      if (host === undefined) edited.delete(id);
      else edited.set(id, host);
    }
    return edited;
  };
  await recent.writing(service, [...after.keys()], async () => {
    await run(() => leases.change(service, edit, signal));
    for (const [place, host] of after) recent.wrote(service, place, host);
  });
}

/** The first leased entry creates its service, and only what exists can be given a threshold. */
async function protect(
  { service, creates }: { readonly service: string; readonly creates: boolean },
  { naming, writing: { unprotected }, signal, run }: Hands,
): Promise<void> {
  if (creates) unprotected.add(service);
  if (!unprotected.has(service)) return;
  await run(() => naming.protect(service, signal));
  unprotected.delete(service);
}
