import type { Plan } from '../plan.ts';

/** Of which there are hundreds that differ in the resource or the step alone: one in so many of them. Not here: what needs a second cluster, or a machine that is suspended. */
const ONE_IN: Readonly<Partial<Record<Plan['fault']['kind'], number>>> = {
  none: 1,
  crash: 6,
  overtaken: 4,
  frozen: 20,
  stale: 4,
  hidden: 4,
  registry: 12,
  list: 60,
  watch: 40,
};

/** A spread over all workloads and kinds, and another one with each registry. */
export function isChosen({ id, fault }: Plan, registry: number): boolean {
  const number = Number(id.slice(id.lastIndexOf('/') + 1));
  const share = ONE_IN[fault.kind];
  if (share === undefined) return false;
  const oneIn = Math.max(1, Math.round(share * Number(process.env['EVERY'] ?? 1)));
  return (number + registry * 7) % oneIn === 0;
}
