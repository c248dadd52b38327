import { playRace, rehearse, type Told } from './race.ts';
import { type RacePlan, type Shape, toldOf } from './race-plan.ts';
import type { RaceSubject } from './race-subjects.ts';

export interface Tally {
  readonly name: string;
  /** The server compares the claims of writers. */
  readonly compared: boolean;
  readonly runs: number;
  /** What went wrong, each with its plan. */
  readonly wrong: readonly string[];
  /** Changes of old leaders. */
  readonly told: Told;
  /** Runs in which the new leader had something to repair. */
  readonly repaired: number;
  readonly longestRepairMs: number;
  readonly seconds: number;
}

/** Each plan once, by as many subjects of one server as there are, beside each other. */
export async function playRaces(subjects: readonly RaceSubject[], plans: readonly RacePlan[]): Promise<Tally> {
  const began = performance.now();
  const tally = {
    told: { ok: 0, fenced: 0, open: 0 },
    wrong: [] as string[],
    runs: 0,
    repaired: 0,
    longestRepairMs: 0,
  };
  const waiting = plans[Symbol.iterator]();
  const play = async (subject: RaceSubject) => {
    const sizes = new Map<Shape, number>();
    for (const plan of waiting) {
      const bytes = sizes.get(plan.shape) ?? (await rehearse(subject, plan.shape));
      sizes.set(plan.shape, bytes);
      try {
        const { wrong, told, repairs, repairMs } = await playRace(subject, plan, bytes);
        for (const key of ['ok', 'fenced', 'open'] as const) tally.told[key] += told[key];
        tally.wrong.push(...wrong.map((one) => `${toldOf(plan)}: ${one}`));
        if (repairs > 0) tally.repaired++;
        tally.longestRepairMs = Math.max(tally.longestRepairMs, repairMs);
      } catch (error) {
        tally.wrong.push(`${toldOf(plan)}: ${error instanceof Error ? error.stack : error}`);
      }
      tally.runs++;
    }
  };
  await Promise.all(subjects.map(play));
  return {
    name: subjects[0]?.name ?? '',
    compared: subjects[0]?.compared === true,
    ...tally,
    seconds: (performance.now() - began) / 1_000,
  };
}

export const toldTally = ({ name, compared, runs, wrong, told, repaired, longestRepairMs, seconds }: Tally): string =>
  `${name}: ${runs} runs, ${wrong.length} violations; changes of the old leader: ${told.ok} written${compared ? ' before the claim' : ''}, ` +
  `${told.fenced} fenced, ${told.open} without an answer; ` +
  (repaired > 0 ? `repaired in ${repaired} runs, within ${longestRepairMs} ms; ` : '') +
  `${seconds.toFixed(1)} s`;
