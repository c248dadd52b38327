// A registry that was emptied, and one that was away while much changed: how soon that is noticed and how fast it is mended, beside what a raw loop of
// the same package writes in the same minute.
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlPlaneServers } from '../servers/control-plane.ts';
import { type Operator, openOperator } from '../servers/operator.ts';
import { until } from '../servers/until.ts';
import type { Program } from './cold.ts';
import { type Add, atLeast, atMost } from './figures.ts';
import { CLUSTER, type Fleet, mirroring } from './fleet.ts';
import { acknowledged, answers, footprint, metric, type Written, writingRate } from './operator-eyes.ts';
import { type OpenSubject, type Subject, untilStanding } from './subjects/subject.ts';

export type OutageOptions = {
  readonly plane: ControlPlaneServers;
  readonly fleet: Fleet;
  readonly program: Program;
  readonly outageSeconds: number;
  readonly add: Add;
  say(line: string): void;
};

/** A backlog is written at this share of the raw rate, and the return of the registry noticed in this time. */
const SHARE = 0.7;
const NOTICE_MS = 10_000;
/** Of an operator that has just written everything: its statuses, above all. */
const AFTERMATH_MS = 3_000;

type Return = {
  /** What was acknowledged since, in order. */
  readonly written: readonly Written[];
  /** Milliseconds from the moment when the registry served again, until it had been listed and until the last acknowledgement. */
  readonly noticedMs: number;
  readonly lastMs: number;
};

/** With all that lies between: a registry acknowledges as late as it likes, so that the first acknowledgement says little. */
const rateOf = ({ written, noticedMs, lastMs }: Return): number =>
  (written.length * 1_000) / Math.max(1, lastMs - noticedMs);

export async function measureOutages(subject: Subject, options: OutageOptions): Promise<void> {
  const { plane, fleet, program, say } = options;
  say(`${subject.name}: cold sync, before its outages`);
  const server = await subject.open({ durable: true });
  const ends: (() => Promise<unknown>)[] = [server.stop];
  try {
    await plane.apply(mirroring(server.spec, subject.liveness));
    const { path, nodeArgs } = program;
    const { kubeconfig } = plane;
    const operator = await openOperator({ kubeconfig, clusterName: CLUSTER, program: path, nodeArgs });
    ends.push(operator.stop);
    await untilStanding(server, fleet.instances);
    await delay(AFTERMATH_MS);

    say(`${subject.name}: emptied`);
    const refill = await wipe(server, operator, fleet);
    await delay(AFTERMATH_MS);
    say(`${subject.name}: away for ${options.outageSeconds} s while ${fleet.services} Services change`);
    const backlog = await outage(server, operator, options);
    await operator.halt();
    await each(fleet, fleet.shrink);

    say(`${subject.name}: the raw loop`);
    const raw = await server.rawLoop();
    ends.push(raw.stop);
    tell(subject, { refill, backlog, R: await raw.rate() }, options);
  } finally {
    for (const end of ends.toReversed()) await end().catch(() => {});
  }
}

async function wipe(server: OpenSubject, operator: Operator, { instances }: Fleet): Promise<Return> {
  const before = (await acknowledged(operator)).length;
  await server.kill();
  await server.restart('wiped');
  return afterReturn(server, operator, { before, due: instances, standing: instances });
}

/** Every Service gets one endpoint more, spread over the outage. */
async function outage(server: OpenSubject, operator: Operator, { fleet, outageSeconds }: OutageOptions) {
  const before = (await acknowledged(operator)).length;
  const memory = await footprint(operator);
  await server.kill();
  const downAt = performance.now();
  const stepMs = (outageSeconds * 1_000) / fleet.services;
  const answers: Promise<void>[] = [];
  for (let service = 0; service < fleet.services; service++) {
    await delay(Math.max(0, downAt + service * stepMs - performance.now()));
    answers.push(fleet.grow(service));
  }
  await Promise.all(answers);
  await until('the operator to say that the registry is away', async () =>
    (await metric(operator, 'roster_registry_up{')) === 0 ? true : undefined,
  );
  const grown = (await footprint(operator)).rssMiB - memory.rssMiB;
  const waiting = await metric(operator, 'workqueue_depth{', `"${CLUSTER}"`);
  await server.restart('kept');
  const due = fleet.services;
  return { ...(await afterReturn(server, operator, { before, due, standing: fleet.instances + due })), grown, waiting };
}

async function afterReturn(
  server: OpenSubject,
  operator: Operator,
  { before, due, standing }: { readonly before: number; readonly due: number; readonly standing: number },
): Promise<Return> {
  const backAt = Date.now();
  await untilStanding(server, standing);
  const written = await until('every write to be logged', async () => {
    const since = (await acknowledged(operator)).slice(before);
    return since.length >= due ? since : undefined;
  });
  const noticedAt = (await answers(operator)).at(-1) ?? Number.NaN;
  // It may have been asked before we saw that it serves.
  return { written, noticedMs: noticedAt - backAt, lastMs: (written.at(-1)?.atMs ?? Number.NaN) - backAt };
}

function tell(
  { name, rawLoop }: Subject,
  { refill, backlog, R }: { refill: Return; backlog: Awaited<ReturnType<typeof outage>>; R: number },
  { fleet, outageSeconds, add }: OutageOptions,
): void {
  const emptied = `${name}, emptied`;
  add(emptied, `R: ${rawLoop}`, R, 'entries/s');
  add(
    emptied,
    'its return until it was noticed',
    Math.max(0, refill.noticedMs) / 1_000,
    's',
    atMost(NOTICE_MS / 1_000, '10 s'),
  );
  add(emptied, 'its return to the last entry', Math.max(0, refill.lastMs) / 1_000, 's');
  add(emptied, 'rate of the refill, since it was noticed', rateOf(refill), 'entries/s');
  add(emptied, 'rate as a share of R', rateOf(refill) / R, 'R', atLeast(SHARE, `${SHARE} R`));
  add(emptied, 'the same from the first acknowledgement on', writingRate(refill.written) / R, 'R');
  add(emptied, 'writes', refill.written.length, '', atMost(fleet.instances, String(fleet.instances)));

  const away = `${name}, away ${outageSeconds} s`;
  const limit = (NOTICE_MS + (fleet.services * 1_000) / (SHARE * R)) / 1_000;
  const text = `10 s + ${fleet.services} / ${SHARE} R (${limit.toFixed(1)} s)`;
  add(away, 'Services that wait', backlog.waiting, '', atMost(fleet.services, String(fleet.services)));
  add(away, 'RSS, grown', backlog.grown, 'MiB');
  add(away, 'its return to the last entry', Math.max(0, backlog.lastMs) / 1_000, 's', atMost(limit, text));
  add(away, 'its return until it was noticed', Math.max(0, backlog.noticedMs) / 1_000, 's');
  add(away, 'rate of the backlog, as a share of R', rateOf(backlog) / R, 'R');
  add(away, 'writes', backlog.written.length, '', atMost(fleet.services, String(fleet.services)));
  const removals = [...refill.written, ...backlog.written].filter(({ action }) => action === 'deregister').length;
  add(away, 'deregistrations', removals, '', atMost(0, '0'));
}

async function each({ services }: Fleet, change: (service: number) => Promise<void>): Promise<void> {
  for (let service = 0; service < services; service += 16)
    await Promise.all(Array.from({ length: Math.min(16, services - service) }, (_, at) => change(service + at)));
}
