// Two replicas as processes. The leader of all registries is stopped in the middle of what it sends; what was on its way arrives after the other one
// has written something newer, and then the leader itself goes on.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../e2e/eventually.ts';
import { service, slice } from '../e2e/objects.ts';
import { randomOf } from '../random.ts';
import { NAMESPACE, openGround } from './ground.ts';
import { type Line, openLine } from './line.ts';
import { FATES } from './race-plan.ts';
import { assertLeads, isDone } from './readings.ts';
import type { Replica } from './replica.ts';
import type { Truth } from './truths.ts';

export interface StopTally {
  readonly wrong: readonly string[];
  /** Stops, times the registries that the process led. */
  readonly runs: number;
  /** Of these, the ones in which something was on its way. */
  readonly late: number;
  /** Nacos compares nothing: how often something was written late, and the longest time until it was mended. */
  readonly repaired: number;
  readonly longestRepairMs: number;
  readonly seconds: number;
}

const SERVICES = 4;
const LEASES_MS = 60_000;
const UNDER_WAY_MS = 5_000;
const WATCHED_MS = 2_000;
const REPAIR_MS = 5_000;
/** Of what a leader sends for the changes of a stop to one registry: more than that is all of it. */
const MOST_BYTES = 6_000;

/** Readiness by address, of each Service. */
type State = Readonly<Record<string, boolean>>;

export async function playStops({
  seed,
  stops,
}: {
  readonly seed: number;
  readonly stops: number;
}): Promise<StopTally> {
  const began = performance.now();
  const random = randomOf(seed);
  const wrong: string[] = [];
  const counts = { runs: 0, late: 0, repaired: 0, longestRepairMs: 0 };
  const clusterName = `stops-${seed}`;
  const ground = await openGround(clusterName, () => {});
  const { kube, truths } = ground;
  try {
    const lines = new Map<Truth, Line>();
    for (const truth of truths) {
      const line = await openLine(truth.port, truth.beside);
      ground.ends.push(line.close);
      lines.set(truth, line);
    }
    const names = truths.map(({ name }) => name);
    await ground.mirrorTo(truths.map(({ name, specAt, port }) => ({ name, spec: specAt(lineOf(name)?.port ?? port) })));
    function lineOf(name: string): Line | undefined {
      return [...lines].find(([truth]) => truth.name === name)?.[1];
    }
    const services = Array.from({ length: SERVICES }, (_, n) => `web-${n + 1}`);
    const address = (n: number, at: number) => `10.120.${n}.${at}`;
    /** The same of every Service, at addresses of its own. */
    const say = async (state: Readonly<Record<number, boolean>>): Promise<State> => {
      const all: Record<string, boolean> = {};
      for (const [n, name] of services.entries()) {
        const ready = Object.fromEntries(Object.entries(state).map(([at, is]) => [address(n, Number(at)), is]));
        Object.assign(all, ready);
        await kube.apply(
          slice(NAMESPACE, name, Object.fromEntries(Object.entries(ready).map(([ip, is]) => [ip, { ready: is }]))),
        );
      }
      return all;
    };
    const standing = async (truth: Truth): Promise<State> => {
      const seen = await truth.read(clusterName);
      return Object.fromEntries([...seen].map(([ip, { instance }]) => [ip, instance.health === 'healthy']));
    };
    const stands = (truth: Truth, state: State, timeoutMs = LEASES_MS) =>
      eventually(
        `${truth.name} holds what is wanted`,
        async () => assert.deepEqual(await standing(truth), state),
        timeoutMs,
      );
    const stamps = async (truth: Truth) =>
      JSON.stringify([...(await truth.read(clusterName))].map(([ip, { born, written }]) => [ip, born, written]).sort());

    for (const name of services) await kube.apply(service(NAMESPACE, name));
    const replicas: Replica[] = [];
    for (const _ of [1, 2]) {
      replicas.push(await ground.open(['--leader-elect=true']));
      await eventually('the first one leads all', () => assertLeads(replicas[0], names), LEASES_MS);
    }

    for (let stop = 0; stop < stops; stop++) {
      const [leader, other] = [replicas[stop % 2], replicas[(stop + 1) % 2]];
      assert.ok(leader !== undefined && other !== undefined);
      await eventually('it leads all', () => assertLeads(leader, names), LEASES_MS);
      await eventually('the other one is there', async () => assert.ok(await other.page('/readyz')), LEASES_MS);
      const before = await say({ 1: true, 2: true, 3: true, 4: false });
      for (const truth of truths) await stands(truth, before);
      await eventually('it has nothing to do', async () => {
        const page = (await leader.page('/metrics')) ?? '';
        for (const name of names) assert.ok(isDone(page, name, Object.keys(before).length), name);
      });

      // What the leader decides, and does not get through with.
      for (const line of lines.values()) line.stopAfter(Math.floor(random() * MOST_BYTES));
      await say({ 1: false, 3: true, 4: true, 5: true });
      await Promise.race([
        Promise.all([...lines.values()].map((line) => line.stands())),
        delay(UNDER_WAY_MS, undefined, { ref: false }),
      ]);
      leader.process.kill('SIGSTOP');
      const parted = new Map([...lines].map(([truth, line]) => [truth, line.part()]));
      // What is wanted since, by the other one, which says the opposite.
      const newer = await say({ 1: true, 2: false, 4: false, 6: true });
      await eventually('the other one leads all', () => assertLeads(other, names), LEASES_MS);
      for (const truth of truths) await stands(truth, newer);
      await eventually('it has nothing to do', async () => {
        const page = (await other.page('/metrics')) ?? '';
        for (const name of names) assert.ok(isDone(page, name, Object.keys(newer).length), name);
      });

      const told = FATES[stop % 2] ?? 'arrives';
      await Promise.all(
        truths.map(async (truth) => {
          const written = await stamps(truth);
          const line = parted.get(truth);
          counts.runs++;
          if (line?.waits() === true) counts.late++;
          const since = performance.now();
          await line?.goOn(told);
          if (!truth.compares) {
            // Its answers are half a second old: what was written late shows then, and goes.
            const until = since + WATCHED_MS;
            let last = since;
            while (performance.now() < until || performance.now() - last < WATCHED_MS / 2) {
              if (JSON.stringify(sorted(await standing(truth))) !== JSON.stringify(sorted(newer)))
                last = performance.now();
              if (last - since > REPAIR_MS) break;
              await delay(50);
            }
            if (last > since) counts.repaired++;
            counts.longestRepairMs = Math.max(counts.longestRepairMs, Math.round(last - since));
            if (last - since > REPAIR_MS) wrong.push(`${truth.name}, stop ${stop}: not mended within 5 s`);
            return;
          }
          await delay(WATCHED_MS);
          if ((await stamps(truth)) !== written)
            wrong.push(`${truth.name}, stop ${stop}: what was on its way was written`);
        }),
      );
      const written = await Promise.all(truths.map(stamps));
      leader.process.kill('SIGCONT');
      await eventually('it has noticed that it leads no longer', () => assertLeads(leader, names, false), LEASES_MS);
      await delay(WATCHED_MS);
      for (const [index, truth] of truths.entries()) {
        if ((await stamps(truth)) !== written[index])
          wrong.push(`${truth.name}, stop ${stop}: it wrote when it went on`);
        try {
          await stands(truth, newer, 0);
        } catch (error) {
          wrong.push(`${truth.name}, stop ${stop}: ${error instanceof Error ? error.message : error}`);
        }
      }
      // As a new one it has no connection that a line would take for one of the leader.
      await leader.process.restart();
    }
    for (const replica of replicas) wrong.push(...(await replica.complaints()));
    return { wrong, ...counts, seconds: Math.round((performance.now() - began) / 1_000) };
  } finally {
    await ground.leave();
  }
}

const sorted = (state: State) => Object.entries(state).sort();

export const toldStops = ({ runs, wrong, late, repaired, longestRepairMs, seconds }: StopTally): string =>
  `two processes: ${runs} runs, ${wrong.length} violations; in ${late} something was on its way; ` +
  `Nacos repaired ${repaired} times, within ${longestRepairMs} ms; ${seconds} s`;
