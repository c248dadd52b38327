// The chosen plans with each real registry: node test/faults/real/all.ts [Registry …]. Environment: LANES (12 runs at once), EVERY (1: all that there are).
// A line for each plan that is red, one now and then of how far it is, and at the end a table.

import { inLanes } from '../../lanes.ts';
import { knownRealFailure } from '../known.ts';
import { told } from '../plan.ts';
import { WORKLOADS } from '../workload.ts';
import { isChosen } from './choice.ts';
import { openRealLaboratory, REAL_REGISTRIES, realSubject } from './laboratory.ts';

const asked = process.argv.slice(2);
const names = asked.length === 0 ? REAL_REGISTRIES : asked;
const lanes = Number(process.env['LANES'] ?? 12);
const began = performance.now();
const minutes = () => `${((performance.now() - began) / 60_000).toFixed(1)} min`;

interface Tally {
  played: number;
  red: number;
  known: number;
  /** Nothing came about of the fault: timing is not the virtual one's. */
  unplayed: number;
  slowestMs: number;
}
const tallies = new Map<string, Tally>();
let done = 0;

const subjects = (
  await Promise.all(WORKLOADS.flatMap((workload) => names.map((name) => realSubject(workload, name))))
).flat();
// One of each subject after the other, and of each subject from all its kinds: whoever stops it early has some of everything.
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const chosen = subjects.map((subject) =>
  subject.plans
    .filter((plan) => isChosen(plan, REAL_REGISTRIES.indexOf(subject.registry)))
    .map((plan, index) => ({ subject, plan, at: (index * GOLDEN) % 1 }))
    .sort((a, b) => a.at - b.at),
);
const longest = Math.max(...chosen.map(({ length }) => length));
const jobs = Array.from({ length: longest }, (_, index) => chosen.flatMap((of) => of[index] ?? [])).flat();
console.log(`${jobs.length} plans with ${names.join(', ')}, ${lanes} at once`);
const laboratory = await openRealLaboratory(names);

try {
  await inLanes(jobs, lanes, async ({ subject, plan }) => {
    const tally = tallies.get(subject.registry) ?? { played: 0, red: 0, known: 0, unplayed: 0, slowestMs: 0 };
    tallies.set(subject.registry, tally);
    const judged = await laboratory.judge(subject, plan).catch((error: Error) => error);
    if (judged instanceof Error) {
      tally.red++;
      console.log(`broken: make faults REAL=1 PLAN=${plan.id}@${subject.registry}  ${judged.stack}`);
      return;
    }
    const { run, wrong } = judged;
    if (run.unplayed.length > 0 && wrong.length === run.unplayed.length) {
      tally.unplayed++;
      console.log(`never came about: ${plan.id}@${subject.registry}  ${told(plan.fault)}`);
    } else {
      tally.played++;
      tally.slowestMs = Math.max(tally.slowestMs, run.convergedMs ?? 0);
      if (knownRealFailure(`${plan.id}@${subject.registry}`, wrong) !== undefined) tally.known++;
      else if (wrong.length > 0) {
        tally.red++;
        console.log(`red: make faults REAL=1 PLAN=${plan.id}@${subject.registry}  ${told(plan.fault)}`);
        for (const one of wrong.slice(0, 4)) console.log(`     ${one.slice(0, 300)}`);
      }
    }
    if (++done % 50 > 0) return;
    console.log(`${done} of ${jobs.length} after ${minutes()}`);
    tellTable();
  });
} finally {
  await laboratory.stop();
}

tellTable();
console.log(`in ${minutes()}`);
process.exit([...tallies.values()].every(({ red }) => red === 0) ? 0 : 1);

function tellTable(): void {
  console.log(`\n${'registry'.padEnd(12)}played  red  known  never came about  right again at the latest after`);
  for (const [name, { played, red, known, unplayed, slowestMs }] of tallies) {
    console.log(
      `${name.padEnd(12)}${String(played).padStart(6)}${String(red).padStart(5)}${String(known).padStart(7)}${String(unplayed).padStart(18)}  ${(slowestMs / 1000).toFixed(1)} s`,
    );
  }
}
