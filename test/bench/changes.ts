// How long one change takes, for many of them: from the moment that the API server's watch shows it to us until the operator logs the
// acknowledgement, and until a blocking query of Consul shows it.
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '../../src/kubernetes/client.ts';
import type { Consul } from '../servers/consul.ts';
import { watchEvents } from '../servers/kube-watch.ts';
import type { Operator } from '../servers/operator.ts';
import { until } from '../servers/until.ts';
import { watchCritical } from './consul-eyes.ts';
import type { Fleet } from './fleet.ts';
import { acknowledged, type Written } from './operator-eyes.ts';

export type Lags = {
  /** Milliseconds, one for each change. */
  readonly toAcknowledgement: readonly number[];
  /** Nothing without a Consul to ask. */
  readonly toConsul: readonly number[];
  /** Changes a second that the API server really took. */
  readonly perSecond: number;
};

export type Step = { readonly service: number; readonly ready: boolean; readonly atMs: number };

type Change = Step & {
  sentWallMs?: number;
  /** When our watch of the API server showed it: monotonic, and wall clock. */
  seenAt?: number;
  seenWallMs?: number;
  consulAt?: number;
};

export type ChangeOptions = {
  readonly client: KubeClient;
  /** Whose own API is to show the changes as well. */
  readonly consul?: Consul;
  readonly operator: Operator;
  readonly fleet: Fleet;
};

/**
 * One change after the other at a steady rate, spread over the Services: each goes down, and comes back a second later. Whole turns of the two,
 * at least one, so that nothing is left down.
 */
export function steadySteps(services: number, perSecond: number, seconds: number): readonly Step[] {
  const group = Math.min(services, Math.max(1, Math.round(perSecond)));
  const turns = Math.max(1, Math.floor((perSecond * seconds) / (2 * group)));
  return Array.from({ length: turns * 2 * group }, (_, at) => ({
    service: (Math.floor(at / (2 * group)) * group + (at % group)) % services,
    ready: Math.floor(at / group) % 2 === 1,
    atMs: (at * 1_000) / perSecond,
  }));
}

/** As many Services at once as the rate says, within a second. */
export const burstSteps = (services: number, perSecond: number, ready: boolean): readonly Step[] =>
  Array.from({ length: Math.min(services, perSecond) }, (_, service) => ({
    service,
    ready,
    atMs: (service * 1_000) / perSecond,
  }));

/** Makes the changes and waits until all of them have been acknowledged, and Consul has shown them. */
export async function timeChanges(options: ChangeOptions, steps: readonly Step[]): Promise<Lags> {
  const { client, consul, operator, fleet } = options;
  const changes: Change[] = steps.map((step) => ({ ...step }));
  const ending = new AbortController();
  let isSynced = () => {};
  const synced = new Promise<void>((resolve) => {
    isSynced = resolve;
  });
  const bySlice = Map.groupBy(changes, ({ service }) => fleet.sliceOf(service));
  const watching = (async () => {
    let slices = 0;
    for await (const { type, object } of watchEvents(
      client,
      '/apis/discovery.k8s.io/v1/endpointslices',
      ending.signal,
    )) {
      if (type === 'ADDED' && ++slices >= fleet.services) isSynced();
      if (type !== 'MODIFIED') continue;
      const { namespace, name } = object.metadata;
      const ready: boolean = object.endpoints[0].conditions.ready;
      const change = bySlice
        .get(`${namespace}/${name}`)
        ?.find((one) => one.seenAt === undefined && one.sentWallMs !== undefined && one.ready === ready);
      if (change === undefined) continue;
      change.seenAt = performance.now();
      change.seenWallMs = Date.now();
    }
  })();
  const critical =
    consul === undefined
      ? undefined
      : watchCritical(consul, (ids, at) => {
          for (const change of changes) {
            if (change.consulAt !== undefined || change.sentWallMs === undefined) continue;
            if (ids.has(fleet.instanceOf(change.service)) === !change.ready) change.consulAt = at;
          }
        });
  const acknowledgedAll = async () => {
    const written = Map.groupBy(await acknowledged(operator), ({ instance }) => instance);
    return changes.every((change) => lineOf(change, written.get(fleet.instanceOf(change.service)) ?? []) !== undefined);
  };
  const shown = ({ seenAt, consulAt }: Change) =>
    seenAt !== undefined && (consul === undefined || consulAt !== undefined);

  try {
    await Promise.race([synced, watching]);
    const perSecond = await send(changes, fleet);
    await until(
      'every change to be shown and acknowledged',
      async () => (changes.every(shown) && (await acknowledgedAll())) || undefined,
      60_000,
    );
    const written = Map.groupBy(await acknowledged(operator), ({ instance }) => instance);
    return {
      toAcknowledgement: changes.map((change) => ackLag(change, written.get(fleet.instanceOf(change.service)) ?? [])),
      toConsul: changes.flatMap(({ seenAt = Number.NaN, consulAt }) =>
        consulAt === undefined ? [] : [consulAt - seenAt],
      ),
      perSecond,
    };
  } finally {
    ending.abort();
    await Promise.all([critical?.stop(), watching]);
  }
}

async function send(changes: readonly Change[], fleet: Fleet): Promise<number> {
  const begin = performance.now();
  const answers: Promise<void>[] = [];
  for (const change of changes) {
    const wait = begin + change.atMs - performance.now();
    if (wait > 0) await delay(wait);
    change.sentWallMs = Date.now();
    answers.push(fleet.setReady(change.service, change.ready));
  }
  await Promise.all(answers);
  return (changes.length * 1_000) / (performance.now() - begin);
}

const lineOf = ({ sentWallMs = 0 }: Change, written: readonly Written[]): Written | undefined =>
  written.find(({ action, atMs }) => action === 'update' && atMs >= sentWallMs);

/** The log has whole milliseconds, cut off: its line is taken for the end of that millisecond. */
function ackLag(change: Change, written: readonly Written[]): number {
  const line = lineOf(change, written);
  if (line === undefined) throw new Error('a change was never logged as acknowledged');
  return line.atMs + 1 - (change.seenWallMs ?? 0);
}
