// The quick part of the real half: some plans of the virtual one, against the operator as a process, a real API server and each real registry. All that are
// chosen: `make faults REAL=1`.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { inLanes } from '../lanes.ts';
import { told } from './plan.ts';
import { findRealPlan, openRealLaboratory, REAL_REGISTRIES } from './real/laboratory.ts';
import { shortened } from './story.ts';

interface Job {
  readonly plan: string;
  /** A defence that is switched off, and what becomes of it, in the words of an oracle. */
  readonly without?: readonly [defence: string, wrong: RegExp];
}

/** One workload with each registry, and all kinds of faults between them. None that lasts longer than half a minute. */
const JOBS: readonly Job[] = [
  { plan: 'scale/overtaken/6@Etcd', without: ['the fence', /deregistered 2 times, not 1/] },
  { plan: 'scale/stale/3@Etcd', without: ['older lists are refused', /was wanted all the time, and was removed/] },
  { plan: 'scale/overtaken/6@Etcd' },
  { plan: 'scale/stale/3@Etcd' },
  { plan: 'scale/crash/5@Etcd' },
  { plan: 'scale/registry/57@Etcd' },
  { plan: 'scale/watch/60@Etcd' },
  { plan: 'service/crash/47@Consul' },
  { plan: 'service/hidden/1@Consul' },
  { plan: 'service/registry/49@Consul' },
  { plan: 'service/list/10@Consul' },
  { plan: 'readiness/crash/4@Nacos' },
  { plan: 'readiness/registry/57@Nacos' },
  { plan: 'readiness/watch/61@Nacos' },
  { plan: 'move/crash/3@ZooKeeper' },
  { plan: 'move/registry/41@ZooKeeper' },
  { plan: 'rename/crash/10@Memory' },
  { plan: 'rename/list/60@Memory' },
];
const LANES = 18;

describe('a fault that really strikes', { timeout: 560_000 }, async () => {
  const jobs = await Promise.all(JOBS.map(async (job) => ({ ...job, ...(await findRealPlan(job.plan)) })));
  assert.deepEqual([...new Set(jobs.map(({ subject }) => subject.registry))].sort(), [...REAL_REGISTRIES].sort());
  const laboratory = await openRealLaboratory(REAL_REGISTRIES);
  after(laboratory.stop);

  test('changes nothing of what stands at the end, and only an operator without a defence loses what is wanted over it', async (t) => {
    const failures: string[] = [];
    await inLanes(jobs, LANES, async ({ subject, plan, without }) => {
      const id = `${plan.id}@${subject.registry}`;
      const { run, wrong } = await laboratory.judge(subject, plan, without?.[0]);
      t.diagnostic(
        `${id}: ${(run.tookMs / 1000).toFixed(0)} s${without === undefined ? '' : `, without this: ${without[0]}`}`,
      );
      const isExpected = without === undefined ? wrong.length === 0 : without[1].test(wrong.join('\n'));
      if (isExpected) return;
      const command = `make faults REAL=1 PLAN=${id}${without === undefined ? '' : ` WITHOUT='${without[0]}'`}`;
      failures.push(`${command}\n${told(plan.fault)}\n${wrong.join('\n')}\n${shortened(run.story)}`);
    });
    assert.equal(failures.join('\n\n'), '');
  });
});
