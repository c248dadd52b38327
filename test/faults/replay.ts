// One plan, alone: node test/faults/replay.ts workload/kind/number[@Registry] [defence that is switched off]
// Prints the shortened story: events, writes and faults in order, in virtual time, and what the oracles say.
import { knownFailure } from './known.ts';
import { findPlan } from './laboratory.ts';
import { buildWithout, defences } from './naive/builds.ts';
import { told } from './plan.ts';
import { shortened } from './story.ts';

const [id = '', without] = process.argv.slice(2);
if (without !== undefined && !defences.includes(without)) {
  console.error(`no defence is called ${without}: they are ${defences.join(', ')}`);
  process.exit(2);
}
const { subject, plan } = await findPlan(id).catch((error: Error) => {
  console.error(error.message);
  process.exit(2);
});
const { run, wrong } = await subject.judge(plan, without === undefined ? undefined : await buildWithout(without));
console.log(`${plan.id}@${subject.type.name}: ${told(plan.fault)}\n`);
console.log(shortened(run.story));
console.log(
  wrong.length === 0
    ? '\nAs without the fault.'
    : `\nExpected as without the fault, but:\n${wrong.map((one) => `- ${one}`).join('\n')}`,
);
const known = knownFailure(plan);
if (known !== undefined) console.log(`\nKnown: ${known}`);
process.exit(wrong.length === 0 || known !== undefined ? 0 : 1);
