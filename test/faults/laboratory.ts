// Every plan of every workload with every registry, and what became of it.
import { openOperator } from '../../src/operator/operator.ts';
import { plansOf } from './enumerate.ts';
import { violations, violationsOfReference } from './judge.ts';
import type { Plan } from './plan.ts';
import { type RegistryType, registryTypes } from './registry-rules.ts';
import type { Run } from './run.ts';
import { type Build, NAMES, play } from './virtual.ts';
import { WORKLOADS, type Workload } from './workload.ts';

export const REAL: Build = { open: openOperator };

/** A workload with one registry: its run without a fault, and the plans that follow from it. */
export interface Subject {
  readonly workload: Workload;
  readonly type: RegistryType;
  readonly reference: Run;
  readonly calm: Plan;
  readonly plans: readonly Plan[];
  /** What is wrong with the run by this plan. */
  judge(plan: Plan, build?: Build): Promise<{ readonly run: Run; readonly wrong: readonly string[] }>;
}

export async function subjectOf(workload: Workload, type: RegistryType): Promise<Subject> {
  const calm: Plan = { id: `${workload.name}/none/1`, workload: workload.name, fault: { kind: 'none' } };
  const reference = await play({ workload, type, plan: calm, build: REAL });
  const wrong = violationsOfReference(reference, workload.held);
  if (wrong.length > 0)
    throw new Error(`${workload.name}@${type.name} is wrong without any fault:\n${wrong.join('\n')}`);
  return {
    workload,
    type,
    reference,
    calm,
    plans: plansOf(reference, workload.steps(NAMES).length, type.rules.capabilities.fenced),
    async judge(plan, build = REAL) {
      const run = await play({ workload, type, plan, build });
      return { run, wrong: violations(run, reference) };
    },
  };
}

export async function subjects(): Promise<readonly Subject[]> {
  const types = await registryTypes();
  return Promise.all(WORKLOADS.flatMap((workload) => types.map((type) => subjectOf(workload, type))));
}

/**
 * The quick subset: every plan number once, with one registry after the other. `index` is that of the registry, among `of`.
 */
export const isQuick = (position: number, index: number, of: number): boolean => position % of === index;

/** `workload/kind/number@Registry`; Memory when none is named. */
export async function findPlan(id: string): Promise<{ readonly subject: Subject; readonly plan: Plan }> {
  const [name = '', registry = 'Memory'] = id.split('@');
  const workload = WORKLOADS.find((one) => name.startsWith(`${one.name}/`));
  const type = (await registryTypes()).find((one) => one.name === registry);
  if (workload === undefined || type === undefined)
    throw new Error(`${id} is no plan: it is written workload/kind/number@Registry`);
  const subject = await subjectOf(workload, type);
  const plan = [subject.calm, ...subject.plans].find((one) => one.id === name);
  if (plan === undefined)
    throw new Error(`there is no plan ${name} with ${registry}: ${subject.plans.length} others are`);
  return { subject, plan };
}
