import type { Change, LeftAlone, PlannedChange } from '../mirror/change.ts';
import type { Instance } from '../mirror/instance.ts';
import type { Inspection } from '../operator/reporting/inspect.ts';
import { type OutputFormat, rendered } from './output.ts';
import { oneLine, table } from './table.ts';

/** What `-o json` and `-o yaml` print. */
export interface PlanReport {
  readonly changes: readonly PlanLine[];
  readonly leftAlone: readonly PlanLine[];
  readonly problems: readonly PlanProblem[];
  readonly summary: PlanSummary;
}

export interface PlanLine {
  readonly action: Change['action'] | 'left alone';
  readonly registry: string;
  /** `namespace/name` of the Service. */
  readonly service: string;
  /** Under which it stands in the registry. */
  readonly name: string;
  readonly endpoint: string;
  readonly reason: string;
  /** What shows that a removal is right; else empty. */
  readonly evidence: string;
  /** Of an update what differs, of what is left alone why; else empty. */
  readonly detail: string;
  readonly instance: string;
  readonly registration: string;
}

export interface PlanProblem {
  readonly registry: string;
  readonly service: string;
  readonly code: string;
  readonly message: string;
}

export interface PlanSummary {
  readonly register: number;
  readonly update: number;
  readonly deregister: number;
  readonly leftAlone: number;
  /** Services that could not be compared with what stands in a registry. */
  readonly notCompared: number;
}

export function planReport({ keys }: Inspection): PlanReport {
  const sorted = keys.toSorted((a, b) => compare(a.registry, b.registry) || compare(a.service, b.service));
  const changes = sorted.flatMap(({ registry, plan }) => plan.changes.map((change) => changeLine(registry, change)));
  const leftAlone = sorted.flatMap(({ registry, plan }) => plan.leftAlone.map((one) => leftAloneLine(registry, one)));
  const problems = sorted.flatMap(({ registry, service, problems: found }) =>
    found.map(({ code, message }) => ({ registry, service, code, message })),
  );
  const count = (action: Change['action']) => changes.filter((line) => line.action === action).length;
  return {
    changes,
    leftAlone,
    problems,
    summary: {
      register: count('register'),
      update: count('update'),
      deregister: count('deregister'),
      leftAlone: leftAlone.length,
      notCompared: keys.filter(({ compared }) => !compared).length,
    },
  };
}

/** Whether the registries hold what they should, as far as Roster would mend it. */
export function driftIn({ changes, summary }: PlanReport): 'none' | 'drift' | 'unknown' {
  if (summary.notCompared > 0) return 'unknown';
  return changes.length > 0 ? 'drift' : 'none';
}

export const renderPlan = (report: PlanReport, format: OutputFormat): string => rendered(format, report, drawPlan);

function drawPlan({ changes, leftAlone, problems, summary }: PlanReport, wide: boolean): string {
  const heads = [
    'ACTION',
    'SERVICE',
    'NAME',
    'ENDPOINT',
    'REGISTRY',
    ...(wide ? ['INSTANCE', 'REGISTRATION'] : []),
    'REASON',
  ];
  const rows = [...changes, ...leftAlone].map((line) => [
    line.action,
    line.service,
    line.name,
    line.endpoint,
    line.registry,
    ...(wide ? [line.instance, line.registration] : []),
    why(line),
  ]);
  const { register, update, deregister, leftAlone: alone, notCompared } = summary;
  return [
    rows.length === 0 ? '' : `${table(heads, rows)}\n`,
    problems.length === 0 ? '' : `Problems:\n${problemLines(problems)}\n`,
    `${register} to register, ${update} to update, ${deregister} to deregister, ${alone} left alone`,
    notCompared === 0 ? '\n' : `, ${notCompared} not compared\n`,
  ].join('');
}

const why = ({ reason, evidence, detail }: PlanLine): string =>
  `${reason}${evidence === '' ? '' : ` (${evidence})`}${detail === '' ? '' : `: ${detail}`}`;

/** One line for what is told of many Services: a registry that does not answer concerns all of its own. */
function problemLines(problems: readonly PlanProblem[]): string {
  const same = Map.groupBy(problems, ({ registry, code, message }) => `${registry}: ${code}: ${message}`);
  return [...same]
    .map(([told, [first, ...others]]) => [others.length === 0 ? first?.service : `${others.length + 1} Services`, told])
    .map(([services, told]) => `  ${oneLine(`${services} in ${told}`)}\n`)
    .join('');
}

function changeLine(registry: string, change: PlannedChange): PlanLine {
  const detail = change.action === 'update' ? differences(change.previous, change.instance).join(', ') : '';
  const { action, reason } = change;
  const evidence = action === 'deregister' ? change.evidence : '';
  return { ...instanceLine(registry, change.instance), action, reason, evidence, detail };
}

const leftAloneLine = (registry: string, { instance, because, message }: LeftAlone): PlanLine => ({
  ...instanceLine(registry, instance),
  action: 'left alone',
  reason: because,
  evidence: '',
  detail: message,
});

const instanceLine = (registry: string, instance: Instance) => ({
  action: 'left alone' as const,
  registry,
  service: instance.marks.owner,
  name: instance.service,
  endpoint: endpointText(instance),
  instance: instance.id,
  registration: instance.marks.registration,
});

export const endpointText = ({ address, port }: { readonly address: string; readonly port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** Field by field, `health healthy -> unhealthy`. */
function differences(before: Instance, after: Instance): readonly string[] {
  const old = flat(before);
  const now = flat(after);
  const fields = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  return fields
    .filter((field) => old[field] !== now[field])
    .map((field) => `${field} ${old[field] ?? '(none)'} -> ${now[field] ?? '(none)'}`);
}

function flat({
  service,
  address,
  port,
  health,
  liveness,
  weight,
  tags,
  metadata,
  marks,
}: Instance): Record<string, string> {
  return {
    name: service,
    endpoint: endpointText({ address, port }),
    health,
    liveness,
    weight: String(weight),
    tags: `[${tags.join(' ')}]`,
    owner: marks.owner,
    registration: marks.registration,
    retained: String(marks.retained),
    ...Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, JSON.stringify(value)])),
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
