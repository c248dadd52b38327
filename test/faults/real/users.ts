// Users of a run: what they write to the cluster, and to a model of the API server that nobody else writes to, which says what they want.
import { setTimeout as delay } from 'node:timers/promises';
import type { Target } from '../../e2e/kube.ts';
import { type ApiServer, addressOf, keyOf, type Recorded } from '../api-server.ts';
import { requestOf } from '../users.ts';
import type { UserWrite } from '../workload.ts';
import type { History } from './recorder.ts';
import type { World } from './world.ts';

interface UsersOptions {
  readonly world: World;
  readonly history: History;
  readonly model: ApiServer;
  /** Something of this Service stands in the registry. */
  standing(service: string): boolean;
  /** About to be written. */
  onWrite(number: number, event: Recorded): void;
  onWritten(number: number, version: number): void;
}

/** Of every cluster; it is known by its UID. The first thing that any user has written. */
export const SYSTEM: UserWrite = { put: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' } } };

const PATIENCE_MS = 60_000;
const LOOK_MS = 100;

export function createUsers({ world, history, model, standing, onWrite, onWritten }: UsersOptions) {
  let writes = 0;

  /** Nobody makes an object anew before the old one is gone, or leaves entries behind that do not stand yet. */
  function mustWait(one: UserWrite): boolean {
    const { resource, key } = addressOf(requestOf(one).path);
    const object = history.all(resource).find((other) => keyOf(other) === key);
    if ('put' in one) return object?.metadata.deletionTimestamp !== undefined;
    return object?.spec?.deletionPolicy === 'Retain' && !standing(object.spec.serviceRef.name);
  }

  /** Gives the version that it made. */
  async function reallyWrite(one: UserWrite, { resource, key }: Recorded): Promise<number> {
    if ('put' in one) return Number((await world.kube.apply(one.put)).metadata.resourceVersion);
    const from = history.events.length;
    await world.kube.remove(one.remove as Target);
    const isIt = (event: Recorded) =>
      event.resource === resource &&
      event.key === key &&
      history.events.indexOf(event) >= from &&
      (event.type === 'DELETED' || event.object.metadata.deletionTimestamp !== undefined);
    return (await history.find(isIt)).version;
  }

  return {
    writes: () => writes,
    async write(one: UserWrite): Promise<void> {
      for (let waited = 0; mustWait(one) && waited < PATIENCE_MS; waited += LOOK_MS) await delay(LOOK_MS);
      if ('remove' in one && model.get(addressOf(requestOf(one).path)) === undefined) return;
      const before = model.history.length;
      model.write(requestOf(one), 'user');
      const event = model.history.at(-1);
      if (event === undefined || model.history.length === before) return;
      const number = ++writes;
      onWrite(number, event);
      if (one !== SYSTEM) onWritten(number, await reallyWrite(one, event));
    },
  };
}
