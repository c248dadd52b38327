// The oracles: what a run with a fault must have in common with the run without one.
import { isDeepStrictEqual } from 'node:util';
import type { Judged, Run } from './run.ts';

/** How often each thing was done to one entry. */
interface Counts {
  register: number;
  update: number;
  deregister: number;
  repeat: number;
}

/**
 * What a fault may change of how often an entry is written. Anything else that differs from the run without a fault is a violation: a deregistration
 * more, an update more, and a write that changes nothing.
 *
 * - What nobody saw between two changes that cancel each other need not be carried out: a register with its deregister, or updates, may be missing.
 *   After a crash only where something was deleted of which no process was told in time: its proof takes longer than it stays deleted.
 *   Never with faults of the registry that are over before the next step.
 *   While a leader is frozen or suspended, nobody sees anything until another one leads.
 * - What the registry itself forgot is registered once more, or need not be deregistered any more.
 */
function mayMerge({ plan: { fault }, missedDeletion }: Judged): boolean {
  switch (fault.kind) {
    case 'none':
    case 'namesake':
      return false;
    case 'crash':
    case 'overtaken':
      return missedDeletion;
    case 'registry':
      return fault.trouble.endsWith('frozen');
    case 'frozen':
    case 'suspended':
    case 'stale':
    case 'hidden':
    case 'list':
    case 'watch':
      return true;
  }
}

/** Everything that is wrong with the run; empty when nothing is. `reference`: the run of the same workload and registry without a fault. */
export function violations(run: Judged, reference: Judged): readonly string[] {
  return [
    ...run.unplayed,
    ...run.absences,
    ...endState(run, reference),
    ...counts(run, reference),
    ...run.restless,
    ...run.defects.map((defect) => `the operator met a defect of its own: ${defect}`),
  ];
}

/** The reference has nothing to be compared with but what the cluster asks for, and so many entries that are held although it does not. */
export function violationsOfReference(run: Run, held = 0): readonly string[] {
  const standing = run.end.entries.filter(({ marks }) => !marks.retained).map(({ id }) => id);
  const lacking = [...run.wantedAtEnd].filter((id) => !standing.includes(id));
  const left = standing.filter((id) => !run.wantedAtEnd.has(id));
  const repeats = run.units.flatMap(({ written }) => written).filter(({ effect }) => effect === 'repeat');
  return [
    ...lacking.map((id) => `${id} is wanted and does not stand at the end`),
    ...(left.length === held ? [] : [`${left.length} stand at the end that nobody wants, and not ${held}: ${left}`]),
    ...(run.isBlocked === held > 0
      ? []
      : [`${held} are held, and the statuses say ${run.isBlocked ? 'so' : 'nothing'}`]),
    ...repeats.map(({ change }) => `${change.instance.id} was written without effect`),
    ...run.writes.filter(({ effective }) => !effective).map(({ what }) => `${what} said nothing new`),
    ...run.absences,
    ...run.restless,
    ...run.defects,
  ];
}

function endState({ end }: Judged, reference: Judged): readonly string[] {
  const entries = new Map(reference.end.entries.map((entry) => [entry.id, entry]));
  const standing = new Map(end.entries.map((entry) => [entry.id, entry]));
  const ids = new Set([...entries.keys(), ...standing.keys()]);
  const wrong = [...ids].flatMap((id) => {
    const [wanted, found] = [entries.get(id), standing.get(id)];
    if (isDeepStrictEqual(wanted, found)) return [];
    if (found === undefined) return [`at the end ${id} does not stand`];
    if (wanted === undefined) return [`at the end ${id} stands, and should not`];
    return [`at the end ${id} is ${JSON.stringify(found)}, and should be ${JSON.stringify(wanted)}`];
  });
  if (isDeepStrictEqual(end.objects, reference.end.objects)) return wrong;
  const other = end.objects.find((object, index) => !isDeepStrictEqual(object, reference.end.objects[index]));
  const expected = reference.end.objects[other === undefined ? end.objects.length : end.objects.indexOf(other)];
  return [...wrong, `at the end a status is ${JSON.stringify(other)}, and should be ${JSON.stringify(expected)}`];
}

export function counts(run: Judged, reference: Judged): readonly string[] {
  const [found, expected] = [countsOf(run), countsOf(reference)];
  const merges = mayMerge(run);
  return [...new Set([...found.keys(), ...expected.keys()])].flatMap((id) => {
    const [is, was] = [found.get(id) ?? NONE, expected.get(id) ?? NONE];
    const problems = differences({ is, was, merges, wiped: run.wiped.get(id) ?? 0 });
    return problems.map((problem) => `${id}: ${problem}`);
  });
}

const NONE: Readonly<Counts> = { register: 0, update: 0, deregister: 0, repeat: 0 };

interface Compared {
  readonly is: Counts;
  readonly was: Counts;
  readonly merges: boolean;
  readonly wiped: number;
}

function differences({ is, was, merges, wiped }: Compared): readonly string[] {
  const problems: string[] = [];
  const extra = is.deregister - was.deregister;
  if (extra > 0) problems.push(`deregistered ${is.deregister} times, not ${was.deregister}`);
  if (extra < -wiped && !merges) problems.push(`deregistered ${is.deregister} times only, not ${was.deregister}`);
  const registers = was.register + extra + wiped;
  if (is.register !== registers) problems.push(`registered ${is.register} times, not ${registers}`);
  if (is.update > was.update) problems.push(`updated ${is.update} times, not ${was.update}`);
  if (is.update < was.update && !merges && wiped === 0)
    problems.push(`updated ${is.update} times only, not ${was.update}`);
  if (is.repeat > 0) problems.push(`written ${is.repeat} times without effect`);
  return problems;
}

function countsOf({ units }: Judged): ReadonlyMap<string, Counts> {
  const counts = new Map<string, Counts>();
  for (const { effect, change } of units.flatMap(({ written }) => written)) {
    const of = counts.get(change.instance.id) ?? { ...NONE };
    counts.set(change.instance.id, of);
    of[effect]++;
  }
  return counts;
}
