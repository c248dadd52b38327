// What a status must obey so that Flux, kstatus, Argo CD and the API server read it right. Every status that is ever written in a test is
// run through this.
//   FAIL and WARN: the rules of github.com/fluxcd/pkg, runtime/conditions/check, under its numbers
//   KSTATUS: what sigs.k8s.io/cli-utils, pkg/kstatus computes must be what `Ready` means to say
//   ROSTER: what the API of Roster promises on top
//   KUBERNETES: what the schema of metav1.Condition demands
import { CONDITION_REASONS } from '../../src/api/reasons.ts';

export interface RuleOptions {
  /** The object as it was before this write: adds the rules on how a status may follow another. */
  readonly previous?: unknown;
  /**
   * Whether the status is final (Flux has fewer rules for one that is not). Without it the status tells itself: it is while neither
   * Reconciling nor of an older generation, as one is that landed just after the spec was changed.
   */
  readonly settled?: boolean;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number | undefined;
  readonly lastTransitionTime: string;
}

/** Which conditions a kind may have, and which of them are bad when True, the worst first. */
const KINDS: Readonly<Record<string, { readonly positive: readonly string[]; readonly negative: readonly string[] }>> =
  {
    ServiceRegistration: {
      positive: ['Ready', 'Accepted', 'Synced'],
      negative: ['DeletionBlocked', 'Stalled', 'Reconciling'],
    },
    ClusterServiceRegistration: {
      positive: ['Ready', 'Accepted', 'Synced'],
      negative: ['DeletionBlocked', 'Stalled', 'Reconciling'],
    },
    Registry: { positive: ['Ready', 'Reachable'], negative: ['DeletionBlocked', 'Stalled', 'Reconciling'] },
    ClusterRegistry: { positive: ['Ready', 'Reachable'], negative: ['DeletionBlocked', 'Stalled', 'Reconciling'] },
  };

/** What kstatus makes of an object; `Current` is what `kubectl wait`, Flux and Helm wait for. */
export type Kstatus = 'Terminating' | 'InProgress' | 'Failed' | 'Current';

/** The rules that the status of the object breaks, each as `RULE: what is wrong`. Empty: it is right. */
export function brokenRules(object: unknown, options: RuleOptions = {}): string[] {
  const read = readObject(object);
  if (typeof read === 'string') return [read];
  const broken: string[] = [...shape(read)];
  if (broken.length > 0) return broken;

  const { generation, observedGeneration, negative } = read;
  const { condition, is } = lookups(read);
  const [ready, reconciling, stalled] = [condition('Ready'), condition('Reconciling'), condition('Stalled')];
  const settled = options.settled ?? (!is('Reconciling', 'True') && observedGeneration >= generation);
  const rule = (id: string, holds: boolean, what: string) => {
    if (!holds) broken.push(`${id}: ${what}`);
  };
  const present = negative.flatMap((type) => condition(type) ?? []);
  const lagging = read.conditions.filter((one) => (one.observedGeneration ?? 0) < generation).map(({ type }) => type);
  const other = read.conditions.filter((one) => one.observedGeneration !== observedGeneration).map(({ type }) => type);

  rule('FAIL0002', ready !== undefined, 'Ready is always there');
  rule('FAIL0004', !is('Stalled', 'True') || is('Ready', 'False'), 'Ready is False when Stalled is True');
  rule(
    'FAIL0005',
    reconciling === undefined || stalled === undefined,
    'Reconciling and Stalled are never there together',
  );
  rule('FAIL0006', observedGeneration <= generation, 'observedGeneration is not above the generation');
  rule('FAIL0011', !is('Ready', 'Unknown') || is('Reconciling', 'True'), 'Ready is Unknown only with Reconciling=True');
  rule('WARN0003', !is('Reconciling', 'False'), 'Reconciling is removed, not False');
  rule('WARN0004', !is('Stalled', 'False'), 'Stalled is removed, not False');
  const unmarked = read.conditions.filter((one) => (one.observedGeneration ?? 0) < 1).map(({ type }) => type);
  rule('WARN0005', unmarked.length === 0, `every condition carries observedGeneration, but not ${unmarked}`);
  if (settled) {
    const bad = present.filter(({ status }) => status === 'True').map(({ type }) => type);
    rule('FAIL0001', !is('Ready', 'True') || bad.length === 0, `Ready is not True while ${bad} is True`);
    rule('FAIL0003', !is('Reconciling', 'True') || is('Ready', 'False'), 'Ready is False when Reconciling is True');
    rule(
      'FAIL0007',
      observedGeneration >= generation || !is('Ready', 'True'),
      'Ready is not True for an older generation',
    );
    rule(
      'FAIL0008',
      lagging.length === 0 || !is('Ready', 'True'),
      `Ready is not True while ${lagging} is of an older generation`,
    );
    rule(
      'FAIL0009',
      other.length === 0 || !is('Ready', 'True'),
      `with Ready=True ${other} is of the root's observedGeneration`,
    );
    rule(
      'WARN0001',
      present.length === 0 || !is('Ready', 'True'),
      `with Ready=True there is no ${present.map(({ type }) => type)}`,
    );
    const worst = present.find(({ type }) => type !== 'Reconciling' && type !== 'Stalled');
    const told = worst === undefined || (worst.reason === ready?.reason && worst.message === ready.message);
    rule('WARN0002', is('Ready', 'True') || told, `Ready tells what ${worst?.type} tells`);
  }

  const means = { True: 'Current', False: 'Failed', Unknown: 'InProgress' }[ready?.status ?? 'Unknown'];
  const computed = kstatus(object);
  if (computed !== 'Terminating')
    rule(
      'KSTATUS',
      computed === means || observedGeneration < generation,
      `Ready=${ready?.status} is read as ${computed}`,
    );
  rule(
    'ROSTER01',
    !is('Ready', 'False') || is('Stalled', 'True'),
    'Ready is False only with Stalled=True: it needs a person',
  );
  rule('ROSTER02', !is('DeletionBlocked', 'False'), 'DeletionBlocked is removed, not False');
  if (read.kind.endsWith('ServiceRegistration')) {
    rule('ROSTER03', !is('Ready', 'True') || !is('Accepted', 'False'), 'Ready is not True when Accepted is False');
    const exact = !is('Synced', 'True') || read.counts === undefined || read.counts.registered === read.counts.desired;
    rule('ROSTER04', exact, `Synced is not True with ${JSON.stringify(read.counts)}`);
  } else {
    rule('ROSTER03', !is('Ready', 'True') || is('Reachable', 'True'), 'Ready is not True unless Reachable is True');
  }
  return [...broken, ...followed(read, options.previous)];
}

/** The order in which kstatus looks at an object. */
export function kstatus(object: unknown): Kstatus {
  const read = readObject(object);
  if (typeof read === 'string') return 'Current';
  if (read.deleting) return 'Terminating';
  if (read.observedGeneration !== read.generation) return 'InProgress';
  const { is } = lookups(read);
  if (is('Reconciling', 'True')) return 'InProgress';
  if (is('Stalled', 'True')) return 'Failed';
  return is('Ready', 'False') || is('Ready', 'Unknown') ? 'InProgress' : 'Current';
}

interface ReadObject {
  readonly kind: string;
  readonly deleting: boolean;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly counts: { readonly desired: number; readonly registered: number } | undefined;
  readonly negative: readonly string[];
  readonly known: readonly string[];
}

function lookups({ conditions }: ReadObject) {
  const condition = (type: string) => conditions.find((one) => one.type === type);
  return { condition, is: (type: string, status: string) => condition(type)?.status === status };
}

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});

function readObject(object: unknown): ReadObject | string {
  const { kind, metadata, status } = fields(object);
  const types = KINDS[String(kind)];
  if (types === undefined) return `ROSTER00: ${String(kind)} is not a kind of ours`;
  if (status === undefined) return 'KSTATUS: without a status the object counts as healthy';
  const { generation, deletionTimestamp } = fields(metadata);
  const { observedGeneration, conditions, instances } = fields(status);
  if (typeof generation !== 'number') return 'KUBERNETES: the object has no metadata.generation';
  if (typeof observedGeneration !== 'number') return 'KSTATUS: status.observedGeneration is there as a number';
  if (!Array.isArray(conditions)) return 'FAIL0002: Ready is always there';
  const { desired, registered } = fields(instances);
  return {
    kind: String(kind),
    deleting: deletionTimestamp !== undefined,
    generation,
    observedGeneration,
    conditions: conditions.map((one: Condition) => one),
    counts: typeof desired === 'number' && typeof registered === 'number' ? { desired, registered } : undefined,
    negative: types.negative,
    known: [...types.positive, ...types.negative],
  };
}

const REASON = /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

function shape({ conditions, known }: ReadObject): readonly string[] {
  const broken: string[] = [];
  const seen = new Set<string>();
  for (const { type, status, reason, message, lastTransitionTime } of conditions) {
    const wrong = (what: string) => broken.push(`KUBERNETES: condition ${type} ${what}`);
    if (seen.has(type)) wrong('is there twice');
    seen.add(type);
    if (!known.includes(type)) broken.push(`ROSTER05: condition ${type} is not one of ${known}`);
    if (!['True', 'False', 'Unknown'].includes(status)) wrong(`has the status ${status}`);
    if (typeof reason !== 'string' || reason.length > 1024 || !REASON.test(reason)) wrong(`has the reason ${reason}`);
    else if (!CONDITION_REASONS.some((one) => one === reason))
      broken.push(`ROSTER06: condition ${type} has the reason ${reason}, which is not a documented one`);
    if (typeof message !== 'string' || message.length > 32_768) wrong('has no message, or too long a one');
    else if (message === '') broken.push(`ROSTER07: condition ${type} says nothing`);
    if (!TIME.test(lastTransitionTime) || Number.isNaN(Date.parse(lastTransitionTime)))
      wrong(`has the lastTransitionTime ${lastTransitionTime}`);
  }
  return broken;
}

/** How a status may follow another one of the same object. */
function followed(now: ReadObject, previous: unknown): readonly string[] {
  const before = previous === undefined ? undefined : readObject(previous);
  if (before === undefined || typeof before === 'string') return [];
  const broken: string[] = [];
  if (now.observedGeneration < before.observedGeneration)
    broken.push(
      `ROSTER08: observedGeneration went back from ${before.observedGeneration} to ${now.observedGeneration}`,
    );
  for (const after of now.conditions) {
    const earlier = before.conditions.find(({ type }) => type === after.type);
    if (earlier === undefined) continue;
    const moved = earlier.lastTransitionTime !== after.lastTransitionTime;
    if (earlier.status === after.status && moved)
      broken.push(`ROSTER09: lastTransitionTime of ${after.type} moved while it stayed ${after.status}`);
    if (Date.parse(after.lastTransitionTime) < Date.parse(earlier.lastTransitionTime))
      broken.push(`ROSTER10: lastTransitionTime of ${after.type} went back`);
  }
  return broken;
}
