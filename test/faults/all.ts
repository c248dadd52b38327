// Every plan with every registry: node test/faults/all.ts [workload]. One line for each workload and registry, and one for each plan that is red.
import { knownFailure } from './known.ts';
import { subjectOf } from './laboratory.ts';
import { type Plan, told } from './plan.ts';
import { registryTypes } from './registry-rules.ts';
import { WORKLOADS } from './workload.ts';

let played = 0;
let unexpected = 0;
const began = performance.now();
const passed = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

const [only] = process.argv.slice(2);

for (const workload of WORKLOADS.filter(({ name }) => only === undefined || name === only)) {
  for (const type of await registryTypes()) {
    const started = performance.now();
    const subject = await subjectOf(workload, type);
    let known = 0;
    for (const plan of subject.plans) {
      const { wrong } = await subject.judge(plan);
      const isKnown = knownFailure(plan) !== undefined;
      if (isKnown && wrong.length > 0) known++;
      if (isKnown === wrong.length > 0) continue;
      unexpected++;
      console.log(`red: make faults PLAN=${plan.id}@${type.name}  ${told(plan.fault)}`);
      for (const one of wrong.slice(0, 3)) console.log(`     ${one.slice(0, 200)}`);
      if (isKnown) console.log('     not red any more: take it from test/faults/known.ts');
    }
    played += subject.plans.length;
    console.log(
      `${workload.name.padEnd(14)}${type.name.padEnd(10)}${countsOf(subject.plans)}  known ${known}  ${passed(started)}`,
    );
  }
}
console.log(`\n${played} plans, ${unexpected} not as expected, in ${passed(began)}`);
process.exit(unexpected === 0 ? 0 : 1);

function countsOf(plans: readonly Plan[]): string {
  const kinds = Map.groupBy(plans, ({ fault }) => fault.kind);
  return [...kinds].map(([kind, of]) => `${kind} ${String(of.length).padStart(3)}`).join('  ');
}
