// All plans of a workload, by what its run without a fault did. Nothing is drawn by lot: the same code gives the same plans.
import { isDeepStrictEqual } from 'node:util';
import type { ListTrouble, WatchTrouble } from './api-link.ts';
import type { Json } from './api-server.ts';
import type { Fault, Plan } from './plan.ts';
import type { RegistryTrouble } from './registry-server.ts';
import type { Run, UserEvent } from './run.ts';

const LIST_TROUBLES: readonly ListTrouble[] = [
  'delay',
  'hold',
  'silence',
  'refuse',
  'truncate',
  'reset',
  '410',
  '429',
  '500',
  'empty',
  'older',
];
const WATCH_TROUBLES: readonly WatchTrouble[] = [
  'delay',
  'hold',
  'end',
  'duplicate',
  'older',
  'truncate',
  'reset',
  '410',
  '429',
  '500',
  'dead',
];
const WRITE_TROUBLES: readonly RegistryTrouble[] = [
  'lost',
  'refused',
  'limited',
  'frozen',
  'long-frozen',
  'restart',
  'wiped',
];
const READ_TROUBLES: readonly RegistryTrouble[] = [
  'slow',
  'lost',
  'refused',
  'frozen',
  'long-frozen',
  'restart',
  'wiped',
];
/** Of lists, checks and claims, of which a run has many that are alike. */
const READS = 3;
const OVERTAKEN_MS = [5_000, 15_000, 25_000];
/** Its term is over, and nobody else has one yet; somebody has just begun; and was at work through a step. */
const FROZEN_MS = [12_000, 18_000, 28_000];
/** Somebody has just begun; and was at work through a step. */
const SUSPENDED_MS = [18_000, 28_000];
/** What is written before it is the stage, and no operator runs yet. */
const STAGED_MS = 10_000;
/** In which a registry that was wiped is full again. */
const REFILL_MS = 5_000;

export function plansOf(reference: Run, steps: number, isFenced: boolean): readonly Plan[] {
  const { workload } = reference.plan;
  const kinds = {
    crash: crashes(reference),
    stale: staleViews(reference),
    hidden: hiddenWindows(reference),
    list: troubles(reference, steps).flatMap(({ resource, step }) => listsOf(resource, step)),
    watch: troubles(reference, steps).flatMap(({ resource, step }) =>
      WATCH_TROUBLES.map((trouble): Fault => ({ kind: 'watch', resource, trouble, step })),
    ),
    registry: registryTroubles(reference),
    // Where the registry itself compares nothing, what is on its way is written.
    overtaken: isFenced ? overtakings(reference) : [],
    // What it decides when it goes on is not wanted any more, was done by another one, or comes of what it saw before.
    frozen: withEachWrite(reference, 'frozen', FROZEN_MS),
    namesake: Array.from({ length: steps }, (_, index): Fault => ({ kind: 'namesake', step: index + 1 })),
    suspended: withEachWrite(reference, 'suspended', SUSPENDED_MS),
  };
  return Object.entries(kinds).flatMap(([kind, faults]) =>
    faults.map((fault, index) => ({ id: `${workload}/${kind}/${index + 1}`, workload, fault })),
  );
}

/** One for each write, and for each moment at which its writer may die. */
function crashes({ units, writes, claims }: Run): readonly Fault[] {
  const whens = ['before the answer', 'after the answer'] as const;
  return [
    ...units.flatMap(({ number: write }) =>
      whens.map((when): Fault => ({ kind: 'crash', of: 'registry', write, when })),
    ),
    ...writes.flatMap(({ number: write }) =>
      whens.map((when): Fault => ({ kind: 'crash', of: 'status', write, when })),
    ),
    ...Array.from({ length: claims }, (_, index) => index + 1).flatMap((write) =>
      whens.map((when): Fault => ({ kind: 'crash', of: 'claim', write, when })),
    ),
  ];
}

/** Each apply of the old process arrives in one of the steps that follow, when the new one has done what was to do. */
const overtakings = ({ calls }: Run): readonly Fault[] =>
  calls
    .filter(({ operation }) => operation === 'apply')
    .flatMap(({ number: call }) => OVERTAKEN_MS.map((byMs): Fault => ({ kind: 'overtaken', call, byMs })));

/** A leader is out of it with each write of the users, for each of these times. */
const withEachWrite = ({ events }: Run, kind: 'frozen' | 'suspended', times: readonly number[]): readonly Fault[] =>
  events
    .filter(({ event }) => event.at >= STAGED_MS)
    .flatMap(({ number: event }) => times.map((forMs): Fault => ({ kind, event, forMs })));

/**
 * For each deletion, what was before it, shown right after it; and where it was undone later, what was before that, shown right after it was undone:
 * then something is lacking in what is shown.
 */
function staleViews({ events }: Run): readonly Fault[] {
  const faults: Fault[] = [];
  const show = (after: number, before: number) =>
    faults.push({ kind: 'stale', after, before, to: 'lists' }, { kind: 'stale', after, before, to: 'a new process' });
  for (const one of events.filter(isDeletion)) {
    show(one.number, one.number);
    const undone = events.find((later) => later.number > one.number && undoes(later, one));
    if (undone !== undefined) show(undone.number, undone.number);
  }
  return faults;
}

const isDeletion = (one: UserEvent, _index: number, all: readonly UserEvent[]): boolean =>
  one.event.type === 'DELETED' || isLeaving(one) || lost(one, all).length > 0;

const isLeaving = ({ event }: UserEvent): boolean =>
  event.object.metadata.deletionTimestamp !== undefined && event.before?.metadata.deletionTimestamp === undefined;

/** Entries that nobody wants any more because of it. */
function lost({ number, wanted }: UserEvent, events: readonly UserEvent[]): readonly string[] {
  const before = events.find((one) => one.number === number - 1)?.wanted ?? new Set<string>();
  return [...before].filter((id) => !wanted.has(id));
}

/** Entries that stand at the end although nobody wants them from then on: they are held, or their registration left them behind. */
function leavesBehind(one: UserEvent, events: readonly UserEvent[], end: Run['end']): boolean {
  const standing = new Set(end.entries.map(({ id }) => id));
  const later = events.filter(({ number }) => number > one.number);
  return lost(one, events).some((id) => standing.has(id) && !later.some(({ wanted }) => wanted.has(id)));
}

/** Events that cancel each other: of one object, which is then as it was before the first; or of one entry, which is wanted again or no more. */
function hiddenWindows({ events, end }: Run): readonly Fault[] {
  const pairs = new Map<string, readonly [UserEvent, UserEvent]>();
  // What leaves by our own hand does not go while nobody sees that it is to go.
  for (const first of events.filter((one) => !isLeaving(one))) {
    const later = events.filter(
      ({ number, event }) => number > first.number && event.resource === first.event.resource,
    );
    const second = later.find((one) => undoes(one, first) || togglesBack(first, one, events));
    // What is held or left behind at the end must have been seen.
    if (second !== undefined && !leavesBehind(second, events, end))
      pairs.set(`${first.number} ${second.number}`, [first, second]);
  }
  return [...pairs.values()].flatMap(([{ number: from, event }, { number: to }]) =>
    (['goes on', 'lists anew'] as const).map(
      (then): Fault => ({ kind: 'hidden', resource: event.resource, from, to, then }),
    ),
  );
}

function undoes(later: UserEvent, first: UserEvent): boolean {
  const { event } = later;
  if (event.resource !== first.event.resource || event.key !== first.event.key) return false;
  const before = contentOf(first.event.before);
  const after = event.type === 'DELETED' || isLeaving(later) ? undefined : contentOf(event.object);
  return isDeepStrictEqual(before, after);
}

function togglesBack(first: UserEvent, later: UserEvent, events: readonly UserEvent[]): boolean {
  const before = events.find(({ number }) => number === first.number - 1)?.wanted ?? new Set<string>();
  const toggled = [...new Set([...before, ...first.wanted])].filter((id) => before.has(id) !== first.wanted.has(id));
  return toggled.some((id) => before.has(id) === later.wanted.has(id));
}

/** What users write of it. */
function contentOf(object: Json): Json {
  if (object === undefined || object.metadata.deletionTimestamp !== undefined) return undefined;
  const { metadata, status: _, ...rest } = object;
  return { ...rest, labels: metadata.labels, annotations: metadata.annotations };
}

/** The resources that each step changes, and one that it does not. */
function troubles({ events }: Run, steps: number): readonly { readonly resource: string; readonly step: number }[] {
  return Array.from({ length: steps }, (_, index) => index + 1).flatMap((step) => {
    const within = events.filter(({ event }) => Math.floor(event.at / 10_000) === step);
    const changed = new Set(within.map(({ event }) => event.resource));
    return [...changed, ...(step === steps ? ALWAYS.filter((one) => !changed.has(one)) : [])].map((resource) => ({
      resource,
      step,
    }));
  });
}

const ALWAYS: readonly string[] = [
  'namespaces',
  'services',
  'endpointslices.discovery.k8s.io',
  'serviceregistrations.roster.dev',
  'clusterregistries.roster.dev',
];

function listsOf(resource: string, step: number): readonly Fault[] {
  return LIST_TROUBLES.flatMap((trouble) =>
    (['a watch', 'a new process'] as const)
      // What is older than the truth is shown to new processes by the plans of staleness.
      .filter((of) => !(trouble === 'older' && of === 'a new process'))
      .map((of): Fault => ({ kind: 'list', resource, trouble, step, of })),
  );
}

function registryTroubles({ calls, events, end }: Run): readonly Fault[] {
  // What stands although nobody wants it any more, nobody can register again.
  const leftBehind = events.find((one) => leavesBehind(one, events, end));
  return calls.flatMap(({ operation, number: call, at }) => {
    if (operation !== 'apply' && call > READS) return [];
    const canBeRefilled = leftBehind === undefined || at < leftBehind.event.at - REFILL_MS;
    const possible = (operation === 'apply' ? WRITE_TROUBLES : READ_TROUBLES).filter(
      (trouble) => trouble !== 'wiped' || canBeRefilled,
    );
    return possible.map((trouble): Fault => ({ kind: 'registry', operation, call, trouble }));
  });
}
