// What is written when there is nothing to write, or little: idle, after a restart, and while one Pod flaps.
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '../../src/kubernetes/client.ts';
import type { Consul } from '../servers/consul.ts';
import { watchEvents } from '../servers/kube-watch.ts';
import type { Operator } from '../servers/operator.ts';
import { until } from '../servers/until.ts';
import type { Fleet } from './fleet.ts';
import { acknowledged, footprint, metric } from './operator-eyes.ts';

export type Writes = { readonly registry: number; readonly status: number };

const STATUSES = ['clusterregistries', 'clusterserviceregistrations'];

/** Counts raft entries of Consul, and versions of our objects, from now on. */
export async function countWrites(client: KubeClient, consul: Consul) {
  const ending = new AbortController();
  const before = await consul.raftIndex();
  let status = 0;
  const watching = STATUSES.map(async (resource) => {
    const path = `/apis/roster.dev/v1alpha1/${resource}`;
    for await (const { type } of watchEvents(client, path, ending.signal)) if (type === 'MODIFIED') status++;
  });
  // Their failures are told by \`end\`.
  for (const one of watching) one.catch(() => {});
  return {
    async end(): Promise<Writes> {
      const registry = (await consul.raftIndex()) - before;
      ending.abort();
      await Promise.all(watching);
      return { registry, status };
    },
  };
}

export async function idle(client: KubeClient, consul: Consul, operator: Operator, seconds: number) {
  const writes = await countWrites(client, consul);
  const before = await footprint(operator);
  await delay(seconds * 1_000);
  const after = await footprint(operator);
  return { ...(await writes.end()), cpuShare: (after.cpuSeconds - before.cpuSeconds) / seconds, footprint: after };
}

/** How long after a start everything has been looked at, and long enough for what it would have written to be there. */
const AFTERMATH_MS = 10_000;

/** A process that starts claims the cluster, and its seat, in the registry: a write each. */
const CLAIMS = 2;

/** Ends the operator and starts it again over a registry that already holds everything. */
export async function restart(client: KubeClient, consul: Consul, operator: Operator, fleet: Fleet) {
  const writes = await countWrites(client, consul);
  const loggedBefore = (await acknowledged(operator)).length;
  await operator.halt();
  const started = performance.now();
  await operator.restart();
  const readyMs = performance.now() - started;
  await until(
    'everything to be looked at after the restart',
    async () => {
      const desired = await metric(operator, 'roster_instances{', 'state="desired"');
      return desired === fleet.instances ? true : undefined;
    },
    120_000,
  );
  const inStepMs = performance.now() - started;
  await delay(AFTERMATH_MS);
  const logged = (await acknowledged(operator)).slice(loggedBefore);
  const deregistrations = logged.filter(({ action }) => action === 'deregister').length;
  const { registry, status } = await writes.end();
  return { registry: registry - CLAIMS, status, deregistrations, readyMs, inStepMs };
}

/** Not ready and ready again, once a second. */
export async function flapping(client: KubeClient, consul: Consul, operator: Operator, fleet: Fleet, seconds: number) {
  const service = fleet.services - 1;
  const instance = fleet.instanceOf(service);
  const writes = await countWrites(client, consul);
  const loggedBefore = (await acknowledged(operator)).length;
  const begin = performance.now();
  for (let half = 0; half < 2 * seconds; half++) {
    await delay(Math.max(0, begin + half * 500 - performance.now()));
    await fleet.setReady(service, half % 2 === 1);
  }
  // The last state always lands; it is the one in which no check of the instance is left.
  await delay(AFTERMATH_MS);
  await until('Consul to show the last state', async () => {
    const { body } = await consul.request('GET', '/v1/health/state/critical');
    return body.some(({ ServiceID }: { ServiceID: string }) => ServiceID === instance) ? undefined : true;
  });
  const logged = (await acknowledged(operator)).slice(loggedBefore);
  const deregistrations = logged.filter(({ action }) => action === 'deregister').length;
  return { ...(await writes.end()), changes: 2 * seconds, deregistrations };
}
