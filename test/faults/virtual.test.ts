// The virtual laboratory: every plan once, each with one of the five registries in turn. All of them with each: `make faults`.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { knownFailure } from './known.ts';
import { isQuick, subjectOf } from './laboratory.ts';
import { told } from './plan.ts';
import { registryTypes } from './registry-rules.ts';
import { shortened } from './story.ts';
import { WORKLOADS } from './workload.ts';

const types = await registryTypes();

for (const workload of WORKLOADS) {
  describe(`whatever goes wrong once while ${workload.name} is played`, () => {
    for (const [index, type] of types.entries()) {
      test(`${type.name} ends as without it, loses nothing that is wanted, and is then left alone`, async () => {
        const subject = await subjectOf(workload, type);
        assert.ok(subject.plans.length > 100);
        const failures: string[] = [];
        for (const plan of subject.plans.filter((_, position) => isQuick(position, index, types.length))) {
          const { run, wrong } = await subject.judge(plan);
          const known = knownFailure(plan);
          if (wrong.length > 0 && known === undefined)
            failures.push(
              `make faults PLAN=${plan.id}@${type.name}\n${told(plan.fault)}\n${wrong.join('\n')}\n${shortened(run.story)}`,
            );
          if (wrong.length === 0 && known !== undefined)
            failures.push(`${plan.id} is not red any more: take it from known.ts`);
        }
        assert.equal(failures.join('\n\n'), '');
      });
    }
  });
}
