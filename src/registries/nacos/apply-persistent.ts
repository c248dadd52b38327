import { RegistryError } from '../error.ts';
import type { Leftover } from './apply-decide.ts';
import { removeEntry } from './apply-removal.ts';
import { failed, type Hands, type Item, settle, type Task } from './apply-task.ts';
import { hostOf, placeOf } from './entry.ts';

/** One by one: Nacos has no batch for these. What an entry leaves behind goes after it stands where it should. */
export async function applyPersistent({ service, items, empty }: Task, hands: Hands): Promise<void> {
  const { naming, signal, run } = hands;
  const puts = items.filter(([{ change }]) => change.action !== 'deregister');
  if (empty && puts.length > 0) {
    try {
      // Again for a service that had none left: Nacos forgets what was set of it.
      await run(() => naming.prepare(service, signal));
    } catch (cause) {
      for (const [item] of puts) settle(item, failed(cause, 'nothing'));
    }
  }
  const open = items.filter(([{ result }]) => result === undefined);
  await Promise.all(open.map(([item, remove]) => applyOne(item, remove, hands)));
}

async function applyOne(item: Item, remove: readonly Leftover[], hands: Hands): Promise<void> {
  const { change } = item;
  let standing: 'open' | 'part' = 'open';
  try {
    if (change.action !== 'deregister') {
      await put(item, hands);
      standing = 'part';
    }
    for (const leftover of remove) {
      await removeEntry(leftover, change.instance.id, hands);
      standing = 'part';
    }
    settle(item);
  } catch (cause) {
    settle(item, failed(cause, standing));
  }
}

async function put({ change }: Item, { naming, writing, signal, run }: Hands): Promise<void> {
  const { instance } = change;
  const { service } = instance;
  const { recent, clusterName } = writing;
  const host = hostOf(instance, clusterName);
  const place = placeOf(host);
  await recent.writing(service, [place], async () => {
    try {
      await run(() => naming.put(service, host, signal));
    } catch (error) {
      if (error instanceof RegistryError && error.ambiguous) recent.forget(service, place);
      throw error;
    }
    recent.wrote(service, place, host);
  });
}
