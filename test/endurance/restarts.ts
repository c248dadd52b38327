// The operator is ended again and again, at random moments, while users change what it mirrors to every registry there is.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../e2e/eventually.ts';
import { randomOf } from '../random.ts';
import { memorySpec } from '../scenarios/registries.ts';
import { createChurn } from './churn.ts';
import { NAMESPACE, openGround } from './ground.ts';
import { createObserver } from './observer.ts';
import { assertLeads, isDone } from './readings.ts';
import type { Replica } from './replica.ts';

export interface RestartOptions {
  readonly seed: number;
  /** Of a process that is alone. */
  readonly restarts: number;
  /** Of one of two replicas that share the registries, in turn; the other one takes over. */
  readonly handovers: number;
  /** How many of these replicas are killed: nobody is told, and their Leases have to run out. */
  readonly crashes: number;
  readonly services: number;
  readonly endpoints: number;
  /** Services are deleted too: of those that went while nobody looked, it has to be proved, which takes half a minute. */
  readonly deletions: boolean;
}

export interface RestartTally {
  readonly wrong: readonly string[];
  readonly ends: Readonly<Record<'SIGKILL' | 'SIGTERM', number>>;
  readonly handovers: number;
  /** Ends before which nothing had changed, and after which no entry may be written. */
  readonly silent: number;
  /** Ends of a process that did not serve yet. */
  readonly early: number;
  readonly changes: Readonly<Record<string, number>>;
  readonly entries: number;
  readonly looks: number;
  /** Deregistrations that etcd and Nacos told of. */
  readonly removals: number;
  readonly seconds: number;
}

/** At most so long after its start a process is ended: sometimes before it serves. */
const LIFE_MS = 2_500;
const AWAY_MS = 400;
const STILL_MS = 8_000;
const CAUGHT_UP_MS = 120_000;
const SILENT_EACH = 3;

export async function playRestarts(options: RestartOptions): Promise<RestartTally> {
  const began = performance.now();
  const random = randomOf(options.seed);
  const clusterName = `restarts-${options.seed}`;
  const counts = { SIGKILL: 0, SIGTERM: 0, silent: 0, early: 0, handovers: 0 };
  const wrong: string[] = [];
  let told = (_registry: string, _address: string) => {};
  const ground = await openGround(clusterName, (registry, address) => told(registry, address));
  const { kube, truths, open } = ground;
  try {
    const churn = createChurn({ kube, namespace: NAMESPACE, random, ...options });
    const observer = createObserver(truths, churn, clusterName);
    told = observer.removed;
    const memory = { name: 'memory', spec: memorySpec };
    const registries = [...truths.map(({ name, specAt, port }) => ({ name, spec: specAt(port) })), memory];
    const names = registries.map(({ name }) => name);
    await ground.mirrorTo(registries);
    await churn.start();

    /** Every Service was looked at since the start, for every registry, by whoever leads it: nothing is left to do. */
    const caughtUp = (replicas: readonly Replica[]) =>
      eventually(
        'every registry is led by somebody who has nothing to do',
        async () => {
          const pages = await Promise.all(replicas.map((replica) => replica.page('/metrics')));
          const count = churn.wanted().size;
          for (const name of names)
            assert.ok(
              pages.some((page) => page !== undefined && isDone(page, name, count)),
              `${name}: not ${count} entries yet`,
            );
        },
        CAUGHT_UP_MS,
      );
    const allStands = (exactly: boolean) =>
      eventually(
        'what is wanted stands',
        async () => assert.equal(await observer.missing(exactly), undefined),
        CAUGHT_UP_MS,
      );

    async function end(replica: Replica, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
      const served = (await replica.page('/readyz')) !== undefined;
      if (!served) counts.early++;
      replica.process.kill(signal);
      const code = await replica.process.exitCode();
      counts[signal]++;
      if (signal === 'SIGTERM' && served && code !== 0) wrong.push(`it ended with code ${code}`);
    }

    /** Nothing changes, so nothing may be written, whoever begins or takes over. */
    async function silently(replicas: readonly Replica[], restart: () => Promise<void>): Promise<void> {
      await churn.rest();
      await caughtUp(replicas);
      await allStands(false);
      const before = await observer.stamps();
      await restart();
      await caughtUp(replicas);
      const after = await observer.stamps();
      const rewritten = Object.keys(before).filter((key) => before[key] !== after[key]);
      if (rewritten.length > 0) wrong.push(`a restart that found no drift wrote ${rewritten.join(', ')}`);
      counts.silent++;
      churn.goOn();
    }

    await observer.stayWith(async () => {
      const alone = await open(['--leader-elect=false']);
      await caughtUp([alone]);
      await allStands(true);
      churn.goOn();
      for (let n = 0; n < options.restarts; n++) {
        const signal = n % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
        const restart = async () => {
          await end(alone, signal);
          await delay(random() * AWAY_MS);
          await alone.process.restart();
        };
        if (n % SILENT_EACH === SILENT_EACH - 1) await silently([alone], restart);
        else await delay(random() * LIFE_MS).then(restart);
      }
      await end(alone, 'SIGTERM');
    });

    const elect = ['--leader-elect=true'];
    const replicas = [await open(elect), await open(elect)];
    await observer.stayWith(async () => {
      await caughtUp(replicas);
      for (let n = 0; n < options.handovers; n++) {
        const leader = replicas[n % 2];
        if (leader === undefined) continue;
        const isCrash = n < options.crashes;
        const handOver = async () => {
          await end(leader, isCrash ? 'SIGKILL' : 'SIGTERM');
          await eventually('the other one leads all', () => assertLeads(replicas[(n + 1) % 2], names), CAUGHT_UP_MS);
          await leader.process.restart();
          await eventually('it stands by', async () => assert.ok(await leader.page('/readyz')), CAUGHT_UP_MS);
        };
        if (n % SILENT_EACH === SILENT_EACH - 1) await silently(replicas, handOver);
        else await delay(random() * LIFE_MS).then(handOver);
        counts.handovers++;
      }
      await churn.rest();
      await caughtUp(replicas);
      await allStands(true);
    });

    const quiet = async () => JSON.stringify(await Promise.all(truths.map(({ writes }) => writes())));
    const before = await quiet();
    await delay(STILL_MS);
    const after = await quiet();
    if (before !== after) wrong.push(`in the end it is not silent: ${before}, then ${after}`);
    await observer.look();
    const inMemory = JSON.parse((await firstPage(replicas, '/registries/memory')) ?? '{"instances":[]}').instances;
    if (inMemory.length !== churn.wanted().size) wrong.push(`memory holds ${inMemory.length} entries`);
    for (const replica of replicas) wrong.push(...(await replica.complaints()));
    const { handovers, silent, early, SIGKILL, SIGTERM } = counts;
    return {
      wrong: [...wrong, ...observer.wrong()],
      ends: { SIGKILL, SIGTERM },
      handovers,
      silent,
      early,
      changes: churn.changes(),
      entries: churn.wanted().size,
      looks: observer.looks(),
      removals: observer.removals(),
      seconds: Math.round((performance.now() - began) / 1_000),
    };
  } finally {
    await ground.leave();
  }
}

async function firstPage(replicas: readonly Replica[], path: string): Promise<string | undefined> {
  for (const replica of replicas) {
    const page = await replica.page(path);
    if (page !== undefined) return page;
  }
  return undefined;
}

export const toldRestarts = ({
  ends,
  handovers,
  silent,
  early,
  changes,
  entries,
  looks,
  removals,
  seconds,
}: RestartTally) =>
  `${ends.SIGKILL} by SIGKILL, ${ends.SIGTERM} by SIGTERM, of these ${early} before it served and ${handovers} taken over by a standby; ` +
  `${silent} with nothing changed; ${entries} entries in each registry at the end; users: ` +
  `${Object.entries(changes)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ')}; every registry read ${looks} times; etcd and Nacos told of ${removals} deregistrations; ${seconds} s`;
