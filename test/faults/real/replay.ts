// One plan against the real servers: node test/faults/real/replay.ts workload/kind/number@Registry [defence that is switched off]
import { knownRealFailure } from '../known.ts';
import { told } from '../plan.ts';
import { shortened } from '../story.ts';
import { findRealPlan, openRealLaboratory } from './laboratory.ts';

const [id = '', without] = process.argv.slice(2);
const { subject, plan } = await findRealPlan(id).catch((error: Error) => {
  console.error(error.message);
  process.exit(2);
});
const laboratory = await openRealLaboratory([subject.registry]);
let isRight = false;
let known: string | undefined;
try {
  const { run, wrong } = await laboratory.judge(subject, plan, without);
  isRight = wrong.length === 0;
  known = knownRealFailure(`${plan.id}@${subject.registry}`, wrong);
  console.log(`${plan.id}@${subject.registry}: ${told(plan.fault)}\n`);
  console.log(shortened(run.story));
  console.log(
    isRight
      ? '\nAs without the fault.'
      : `\nExpected as without the fault, but:\n${wrong.map((one) => `- ${one}`).join('\n')}`,
  );
} finally {
  await laboratory.stop();
}
if (known !== undefined) console.log(`\nKnown: ${known}`);
process.exit(isRight || known !== undefined ? 0 : 1);
