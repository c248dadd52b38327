import { counts } from '../judge.ts';
import type { Run } from '../run.ts';
import type { RealRun } from './play.ts';

/** A run without a fault has the virtual one of the same workload and registry to be compared with: what stands at its end, and how often it was written. */
export function violationsOfReference(run: RealRun, virtual: Run): readonly string[] {
  const [standing, expected] = [run, virtual].map(({ end }) => end.entries.map(({ id }) => id));
  const lacking = (expected ?? []).filter((id) => !standing?.includes(id));
  const left = (standing ?? []).filter((id) => !expected?.includes(id));
  return [
    ...lacking.map((id) => `at the end ${id} does not stand`),
    ...left.map((id) => `at the end ${id} stands, and should not`),
    ...counts(run, virtual),
    ...run.absences,
    ...run.defects.map((defect) => `the operator met a defect of its own: ${defect}`),
  ];
}
