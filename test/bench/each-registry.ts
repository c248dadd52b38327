// Every registry in turn: the same fleet, the same questions, each beside what a raw loop of the same package does in the same minute.
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '../../src/kubernetes/client.ts';
import type { ControlPlaneServers } from '../servers/control-plane.ts';
import { type Operator, openOperator } from '../servers/operator.ts';
import { steadySteps, timeChanges } from './changes.ts';
import type { Program } from './cold.ts';
import { atLeast, atMost, type Figure, median, quantile } from './figures.ts';
import { CLUSTER, type Fleet, mirroring } from './fleet.ts';
import { acknowledged, writingRate } from './operator-eyes.ts';
import { type OpenSubject, type Subject, timesOf, untilStanding, untilTrue } from './subjects/subject.ts';

export type EachOptions = {
  readonly plane: ControlPlaneServers;
  readonly client: KubeClient;
  readonly fleet: Fleet;
  readonly program: Program;
  readonly changeSeconds: number;
  readonly idleSeconds: number;
  add(part: string, name: string, value: number, unit: string, target?: Figure['target']): void;
  say(line: string): void;
};

const CHANGES_PER_SECOND = 20;
const RAW_CHANGES = 200;
const SHOWN_CHANGES = 15;
/** Long enough after a start for what it would have written to be there. */
const AFTERMATH_MS = 10_000;

export async function measureRegistry(subject: Subject, options: EachOptions): Promise<void> {
  const { plane, fleet, program, add, say } = options;
  const part = subject.name;
  say(`${part}: cold sync`);
  const server = await subject.open();
  const ends: (() => Promise<unknown>)[] = [server.stop];
  try {
    await plane.apply(mirroring(server.spec, subject.liveness));
    const operator = await openOperator({
      kubeconfig: plane.kubeconfig,
      clusterName: CLUSTER,
      program: program.path,
      nodeArgs: program.nodeArgs,
    });
    ends.push(operator.stop);
    const rate = await coldRate(server, operator, fleet);
    const lags = await changes(operator, options);
    const shown = await untilShown(server, options);
    await quiet(subject, server, operator, options);
    await operator.halt();

    say(`${part}: the raw loop`);
    const raw = await server.rawLoop();
    ends.push(raw.stop);
    const R = await raw.rate();
    const L = median(await raw.latencies(RAW_CHANGES));
    add(part, `R: ${subject.rawLoop}`, R, 'entries/s');
    add(part, 'rate of the cold sync', rate, 'entries/s');
    add(part, 'rate as a share of R', rate / R, 'R', atLeast(0.5, '0.5 R'));
    add(part, 'L: one change, tight loop, p50', L, 'ms');
    add(
      part,
      'watch to acknowledgement, p50',
      median(lags),
      'ms',
      atMost(L + 10, `L + 10 ms (${(L + 10).toFixed(1)})`),
    );
    add(part, 'watch to acknowledgement, p99', quantile(lags, 0.99), 'ms', atMost(100, '100 ms'));
    if (shown.length === 0 || raw.untilShown === undefined) return;
    const D = median(await raw.untilShown(SHOWN_CHANGES));
    add(part, 'D: from a raw write until it is shown, p50', D, 'ms');
    add(part, 'API server to shown, p50', median(shown), 'ms', atMost(D + 100, `D + 100 ms (${(D + 100).toFixed(0)})`));
  } finally {
    for (const end of ends.toReversed()) await end().catch(() => {});
  }
}

/** By the times of the acknowledgements; that everything stands is what the registry itself says. */
async function coldRate(server: OpenSubject, operator: Operator, { instances }: Fleet): Promise<number> {
  await untilStanding(server, instances);
  return writingRate(await acknowledged(operator));
}

async function changes(operator: Operator, { client, fleet, changeSeconds, say }: EachOptions) {
  say(`${CHANGES_PER_SECOND} changes a second for ${changeSeconds} s`);
  const steps = steadySteps(fleet.services, CHANGES_PER_SECOND, changeSeconds);
  return (await timeChanges({ client, operator, fleet }, steps)).toAcknowledgement;
}

/** From the API server's answer to a change until consumers of the registry get it, one change after the other. */
async function untilShown({ shows }: OpenSubject, { fleet, say }: EachOptions): Promise<readonly number[]> {
  if (shows === undefined) return [];
  say(`${SHOWN_CHANGES} changes until they are shown`);
  return timesOf(SHOWN_CHANGES, async (at) => {
    const service = fleet.services - 1 - at;
    const [, namespace, name, place = ''] = fleet.instanceOf(service).split('/');
    await fleet.setReady(service, false);
    await untilTrue(() => shows(`${namespace}-${name}`, place.replace(/:\d+$/, ''), false));
  });
}

/** Leased entries are written again by the process that takes them over, once; nothing else ever is. */
async function quiet(
  { name, liveness }: Subject,
  server: OpenSubject,
  operator: Operator,
  { fleet, idleSeconds, add, say }: EachOptions,
): Promise<void> {
  say(`${name}: idle for ${idleSeconds} s, and a restart`);
  await delay(AFTERMATH_MS / 2);
  const before = await writesSeen(server, operator);
  await delay(idleSeconds * 1_000);
  const idle = await writesSeen(server, operator);
  add(name, `idle ${idleSeconds} s: changes logged`, idle.logged - before.logged, '', atMost(0, '0'));
  add(name, `idle ${idleSeconds} s: the registry moved`, idle.revision === before.revision ? 0 : 1, '', atMost(0, '0'));
  await operator.halt();
  await operator.restart();
  await delay(AFTERMATH_MS);
  const claimed = await writesSeen(server, operator);
  await delay(AFTERMATH_MS / 2);
  const after = await writesSeen(server, operator);
  const taken = liveness === 'Leased' ? fleet.instances : 0;
  add(name, 'restart: changes logged', after.logged - idle.logged, '', atMost(taken, String(taken)));
  if (liveness === 'Persistent')
    add(
      name,
      'restart, once it is claimed: the registry moved',
      after.revision === claimed.revision ? 0 : 1,
      '',
      atMost(0, '0'),
    );
  const deregistered = (await acknowledged(operator)).filter(({ action }) => action === 'deregister').length;
  add(name, 'deregistrations', deregistered, '', atMost(0, '0'));
}

async function writesSeen(server: OpenSubject, operator: Operator) {
  return { logged: (await acknowledged(operator)).length, revision: await server.revision() };
}
