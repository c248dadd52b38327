// One run of a workload against the operator as a process, the real API server and a real registry, in real time.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Target } from '../../e2e/kube.ts';
import { slice } from '../../e2e/objects.ts';
import { type CallLink, openCallLink } from '../../links/call-link.ts';
import { goodConditions } from '../api-link.ts';
import { addressOf, keyOf, openApiServer, type Recorded } from '../api-server.ts';
import { createDeletions } from '../deletions.ts';
import { openDirector } from '../director.ts';
import type { Defence } from '../naive/builds.ts';
import { type Fault, type Plan, told } from '../plan.ts';
import type { Judged } from '../run.ts';
import { createStory, type StoryLine } from '../story.ts';
import { requestOf } from '../users.ts';
import { CONVERGED_MS, PROOF_MS, withoutTimes } from '../virtual.ts';
import { wantedEntries } from '../wanted.ts';
import { type Names, stageOf, type UserWrite, type Workload } from '../workload.ts';
import { type ApiProxy, openApiProxy } from './api-proxy.ts';
import { openGate, type Written } from './gate.ts';
import { type Operator, startOperator } from './process.ts';
import { byId, difference, type RealRegistry, type Standing } from './registries.ts';
import type { World } from './world.ts';

/** What is compared: without the names that the run has for itself, and without times. */
export interface State {
  readonly entries: readonly { readonly id: string; readonly content: string }[];
  readonly objects: readonly object[];
}

export interface RealRun extends Judged {
  readonly story: readonly StoryLine[];
  /** When each step was done, and at the end. */
  readonly states: readonly State[];
  readonly wantedAtEnd: ReadonlySet<string>;
  /** From when all was calm to when all was right for good. */
  readonly convergedMs: number | undefined;
  readonly tookMs: number;
}

export interface RealPlay {
  readonly world: World;
  readonly workload: Workload;
  readonly registry: RealRegistry;
  readonly plan: Plan;
  /** The run without a fault; undefined for that run itself. */
  readonly reference: RealRun | undefined;
  readonly without?: Defence;
}

const AUDIT_SECONDS = 5;
/** Three audits. */
export const SILENT_MS = 16_000;
const LOOK_MS = 250;
/** Without any write for so long, a step of the run without a fault is done: a status may wait 5 s for its turn. */
const CALM_MS = 6_500;
const STILL_MS = 12_000;
const SECOND_MS = 1_000;
/** As long as a step of the virtual laboratory. */
const STEP_MS = 10_000;
/** Of what is hidden nobody waits for. */
const HIDDEN_STEP_MS = 4_000;
const PATIENCE_MS = 60_000;

const SLICES = 'endpointslices.discovery.k8s.io';
const REGISTRATIONS = ['serviceregistrations.roster.dev', 'clusterserviceregistrations.roster.dev'];
const SHOWN = [...REGISTRATIONS, 'clusterregistries.roster.dev'];
const SYSTEM: UserWrite = { put: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' } } };

export async function playReal({ world, workload, registry, plan, reference, without }: RealPlay): Promise<RealRun> {
  const began = performance.now();
  const clock = { now: () => performance.now() - began, setTimer: world.clock.setTimer };
  const story = createStory(clock);
  const token = world.nextToken();
  const names: Names = { ns: `shop-${token}`, registry: `registry-${token}`, of: (name) => `${name}-${token}` };
  const clusterName = `lab-${token}`;
  const canonical = (text: string) => text.replaceAll(`-${token}`, '');
  const scope = { namespace: names.ns, token };
  const history = world.recorder.follow(scope);
  const conditions = goodConditions();
  const directory = join(world.directory, token);
  await mkdir(directory, { recursive: true });

  const units: { written: Judged['units'][number]['written'] }[] = [];
  const defects: string[] = [];
  const absences: string[] = [];
  const wanted: ReadonlySet<string>[] = [new Set()];
  const registeredAt = new Map<string, number>();
  const wiped = new Map<string, number>();
  const deletions = createDeletions(clock);
  const operators: Operator[] = [];
  const place = registry.place(clusterName, token, operators);
  const proxies: ApiProxy[] = [];
  let known: ReadonlyMap<string, Standing> = new Map();
  let apiWrites = 0;
  let userEvents = 0;
  let lastWriteAt = 0;
  let alive: { readonly operator: Operator; readonly proxy: ApiProxy; readonly number: number } | undefined;
  let starting: Promise<void> = Promise.resolve();
  let frozen: Operator | undefined;
  let starts = 0;
  let link: CallLink | undefined;
  let lost: Promise<void> = Promise.resolve();

  const director = openDirector(plan.fault, {
    clock,
    story,
    api: {
      get version() {
        return Math.max(...history.events.map(({ version }) => version));
      },
    },
    conditions,
    kill: () => (plan.fault.kind === 'overtaken' ? freeze() : kill()),
    restart: () => {
      starting = start();
    },
    link: () => alive?.proxy,
  });

  function noteWritten(written: readonly Written[], number: number): void {
    for (const { effect, id } of written) {
      lastWriteAt = clock.now();
      story.tell('registry', `write ${number}: ${effect} ${canonical(id)}`);
      if (effect === 'register') registeredAt.set(id, wanted.length - 1);
      if (effect === 'deregister') checkAbsence(id);
    }
    units.push({ written: written.map(({ effect, id }) => ({ effect, change: { instance: { id: canonical(id) } } })) });
  }

  /** Whatever the operator may have seen so far: was there a moment since it registered the entry when nobody wanted it? */
  function checkAbsence(id: string): void {
    if (wanted.slice(registeredAt.get(id) ?? 0).some((ids) => !ids.has(id))) return;
    absences.push(`${canonical(id)} was wanted all the time, and was removed at ${story.time()}`);
  }

  const gate = openGate({
    clock,
    truth: {
      async changes() {
        const now = byId(await place.standing());
        const written = (await place.changes?.()) ?? difference(known, now);
        known = now;
        return written;
      },
      async wipe() {
        const ids = [...byId(await place.standing()).keys()];
        await place.wipe();
        known = new Map();
        return ids;
      },
    },
    onCall: director.onCall,
    onUnit(number, written) {
      noteWritten(written, number);
      director.onUnit(number, 'before the answer');
    },
    onUnitAnswered: (number) => director.onUnit(number, 'after the answer'),
    onClaim(number) {
      story.tell('registry', `claim ${number}: the operator may write from now on`);
      director.onClaim(number, 'before the answer');
    },
    onClaimAnswered: (number) => director.onClaim(number, 'after the answer'),
    onTrouble: (trouble) => story.tell('fault', `the registry: ${trouble}`),
    onWiped: forget,
    onArrivedLate() {
      story.tell('fault', 'what the operator that froze had sent has arrived, and it goes on');
      frozen?.kill('SIGCONT');
      director.over();
    },
    onHealed() {
      story.tell('fault', 'the registry is well again');
      director.over();
    },
    onDefect: (error) => defects.push(`the laboratory: ${error}`),
    breakConnections: () => link?.breakConnections(),
  });

  async function start(): Promise<void> {
    await lost;
    const number = ++starts;
    story.tell('operator', 'starts');
    const isCurrent = () => alive?.number === number;
    const proxy = await openApiProxy({
      upstream: world.upstream,
      scope,
      history,
      clock,
      conditions,
      onWrite(what, effective) {
        lastWriteAt = clock.now();
        story.tell('operator', `status write ${++apiWrites}: ${canonical(what)}${effective ? '' : ' (nothing new)'}`);
        director.onApiWrite(apiWrites, 'before the answer');
        return apiWrites;
      },
      onAnswered: (write) => void clock.setTimer(10, () => director.onApiWrite(write, 'after the answer')),
      onDeletionSeen(version) {
        if (isCurrent()) deletions.seen(version);
      },
    });
    proxies.push(proxy);
    const operator = await startOperator({
      directory,
      name: `${token}-${number}`,
      api: proxy.url,
      token: await world.operatorToken(),
      clusterName,
      elects: plan.fault.kind === 'overtaken',
      without,
    });
    operators.push(operator);
    alive = { operator, proxy, number };
  }

  /** Of a registry that nothing is in front of. */
  async function followLog(): Promise<void> {
    const written = (await place.changes?.()) ?? [];
    if (written.length > 0) noteWritten(written, units.length + 1);
    const standing = new Map(known);
    for (const { effect, id } of written) {
      if (effect === 'deregister') standing.delete(id);
      else standing.set(id, { id, content: '', stamp: '' });
    }
    known = standing;
  }

  function forget(ids: Iterable<string>): void {
    for (const id of ids) wiped.set(canonical(id), (wiped.get(canonical(id)) ?? 0) + 1);
    known = new Map();
  }

  function kill(): void {
    story.tell('fault', 'the operator dies');
    alive?.operator.kill('SIGKILL');
    // With all that is in it.
    if (link === undefined) lost = followLog().then(() => forget(known.keys()));
    alive?.proxy.close();
    alive = undefined;
    deletions.forget();
  }

  function freeze(): void {
    story.tell('fault', 'the operator freezes');
    frozen = alive?.operator;
    frozen?.kill('SIGSTOP');
    alive = undefined;
    deletions.forget();
  }

  // What users want, apart from what stands: a model of the API server that only they write to.
  const model = openApiServer(clock);
  model.listen(() => {
    const registrations = REGISTRATIONS.flatMap((one) => model.all(one));
    wanted.push(
      wantedEntries({ services: model.all('services'), slices: model.all(SLICES), registrations }, clusterName),
    );
  });

  async function write(one: UserWrite): Promise<void> {
    const { path } = requestOf(one);
    for (let waited = 0; mustWait(one) && waited < PATIENCE_MS; waited += LOOK_MS) await delay(LOOK_MS);
    if ('remove' in one && model.get(addressOf(path)) === undefined) return;
    const before = model.history.length;
    model.write(requestOf(one), 'user');
    const event = model.history.at(-1);
    if (event === undefined || model.history.length === before) return;
    const number = ++userEvents;
    story.tell('users', `${number}: ${event.type} ${event.resource} ${canonical(event.key)}`);
    director.beforeUserEvent(number);
    if (one !== SYSTEM) director.onUserEvent(number, await reallyWrite(one, event));
  }

  /** Gives the version that it made. */
  async function reallyWrite(one: UserWrite, { resource, key }: Recorded): Promise<number> {
    if ('put' in one) return Number((await world.kube.apply(one.put)).metadata.resourceVersion);
    const from = history.events.length;
    await world.kube.remove(one.remove as Target);
    const isIt = (event: Recorded) =>
      event.resource === resource &&
      event.key === key &&
      history.events.indexOf(event) >= from &&
      (event.type === 'DELETED' || event.object.metadata.deletionTimestamp !== undefined);
    return (await history.find(isIt)).version;
  }

  /** Nobody makes an object anew before the old one is gone, or leaves entries behind that do not stand yet. */
  function mustWait(one: UserWrite): boolean {
    const { resource, key } = addressOf(requestOf(one).path);
    const object = history.all(resource).find((other) => keyOf(other) === key);
    if ('put' in one) return object?.metadata.deletionTimestamp !== undefined;
    if (object?.spec?.deletionPolicy !== 'Retain') return false;
    const { name } = object.spec.serviceRef;
    return ![...known.keys()].some((id) => id.startsWith(`${clusterName}/${names.ns}/${name}/`));
  }

  async function state(): Promise<State> {
    if (link === undefined) await followLog();
    const entries = (await place.standing())
      .map(({ id, content }) => ({ id: canonical(id), content: canonical(content) }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    const objects = SHOWN.flatMap((resource) =>
      history
        .all(resource)
        .map((object): object =>
          JSON.parse(anywhere(canonical(JSON.stringify({ resource, ...withoutTimes(object) })))),
        ),
    ).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    return { entries, objects };
  }

  /** What was before is shown two seconds after the write, which a step may not last. */
  const isDue = () =>
    plan.fault.kind === 'stale' && userEvents >= plan.fault.after && !director.isOn() && !director.isOver();

  /** What is wanted stands, and nothing was written for a while; or nothing was for longer: not all that is wanted comes to stand, and the other way round. */
  function isCalm(from: number): boolean {
    const stillMs = clock.now() - Math.max(from, lastWriteAt);
    return lastWriteAt > 0 && stillMs > (isDeepStrictEqual(new Set(known.keys()), wanted.at(-1)) ? CALM_MS : STILL_MS);
  }

  /** Until the step is done, or cannot be expected to be. */
  async function finishStep(index: number): Promise<State> {
    const from = clock.now();
    for (;;) {
      const now = await state();
      const expected = reference?.states[index];
      const isDone = expected === undefined ? isCalm(from) : isDeepStrictEqual(now, expected);
      const limitMs = director.isOn() ? stepLimitMs(plan.fault) : PATIENCE_MS;
      const isPast = clock.now() - from > limitMs;
      // Whoever is overtaken must find that the world has gone on.
      if (isDone && !isDue() && (!director.isOn() || plan.fault.kind === 'overtaken')) return now;
      if (isPast && !director.isLong()) {
        story.tell('judge', `the users go on, although this is not done: ${differenceOf(now, expected)}`);
        return now;
      }
      await delay(LOOK_MS);
    }
  }

  const states: State[] = [];
  let convergedMs: number | undefined;
  let missedDeletion = false;
  try {
    if (registry.name !== 'Memory') link = await openCallLink(registry.name, registry.address ?? '', gate);
    const spec = {
      ...place.spec(link?.address ?? ''),
      allowedNamespaces: { all: true },
      audit: { intervalSeconds: AUDIT_SECONDS },
    };
    try {
      for (const one of [SYSTEM, ...stageOf(names, spec)]) await write(one);
      // No cluster is without any, and a first list that is empty may be one of a server that cannot say yet: removals would wait for the next one.
      await world.kube.apply(slice(names.ns, names.of('nobody'), ['10.70.9.9']));
      await start();
      states.push(await finishStep(0));
      for (const [index, { step, onceAllStands = false, writes, aSecondLater = [] }] of workload
        .steps(names)
        .entries()) {
        for (let waited = 0; onceAllStands && !allStands() && waited < PATIENCE_MS; waited += LOOK_MS)
          await delay(LOOK_MS);
        story.tell('users', `step ${index + 1}: ${step}`);
        director.onStep(index + 1);
        for (const one of writes) await write(one);
        if (aSecondLater.length > 0) await delay(SECOND_MS);
        for (const one of aSecondLater) await write(one);
        states.push(await finishStep(index + 1));
      }
      const changedAt = clock.now();
      for (let waited = 0; director.isOn() && waited < 300_000; waited += LOOK_MS) await delay(LOOK_MS);
      const calmFrom = Math.max(changedAt, director.overAt());
      await starting;
      const right = reference?.states.at(-1);
      story.tell('judge', `all is calm from ${story.time(calmFrom)}`);
      // Until it is right and stays so. What has to be proved absent takes longer.
      for (;;) {
        missedDeletion = deletions.wasMissed(history.events);
        const deadline = calmFrom + CONVERGED_MS + (missedDeletion ? PROOF_MS : 0);
        const from = Math.max(lastWriteAt, calmFrom);
        const isRight = right === undefined || isDeepStrictEqual(await state(), right);
        if (isRight && from <= deadline) convergedMs = from - calmFrom;
        else convergedMs = undefined;
        if (isRight && clock.now() - from > SILENT_MS) break;
        if (clock.now() > deadline + SILENT_MS) break;
        await delay(LOOK_MS);
      }
      // Of Memory nothing is left when the process has ended.
      states.push(await state());
    } finally {
      for (const operator of operators) operator.kill('SIGKILL');
      await link?.close();
    }
    const end = states.at(-1) ?? { entries: [], objects: [] };
    for (const operator of operators) {
      for (const line of await operator.log())
        if (line.level === 'error') defects.push(canonical(JSON.stringify(line)));
      for (const line of await operator.stray()) defects.push(canonical(line));
    }
    return {
      plan,
      story: story.lines,
      states,
      units,
      end,
      wiped,
      absences,
      defects,
      restless:
        convergedMs === undefined && isDeepStrictEqual(end, reference?.states.at(-1))
          ? [`something was written at ${story.time(lastWriteAt)}, after all was calm`]
          : [],
      unplayed: director.isOver() ? [] : [`the fault of the plan never came about: ${told(plan.fault)}`],
      missedDeletion,
      wantedAtEnd: new Set([...(wanted.at(-1) ?? [])].map(canonical)),
      convergedMs,
      tookMs: performance.now() - began,
    };
  } finally {
    for (const proxy of proxies) proxy.close();
    await world.sweep(names.ns, history);
    history.forget();
    await place.wipe();
    await rm(directory, { recursive: true, force: true });
  }

  function allStands(): boolean {
    return [...(wanted.at(-1) ?? [])].every((id) => known.has(id));
  }
}

const stepLimitMs = (fault: Fault): number => {
  switch (fault.kind) {
    case 'hidden':
      return HIDDEN_STEP_MS;
    case 'stale':
    case 'list':
    case 'watch':
      return STEP_MS;
    case 'none':
    case 'crash':
    case 'overtaken':
    case 'registry':
    case 'frozen':
    case 'namesake':
      return PATIENCE_MS;
  }
};

function differenceOf(now: State, expected: State | undefined): string {
  const lines = ({ entries, objects }: State) => [...entries, ...objects].map((one) => JSON.stringify(one));
  const [is, was] = [lines(now), expected === undefined ? [] : lines(expected)];
  const lacking = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`);
  return [...lacking, ...is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`)].join('\n');
}

/** Where and when is another thing in every run. */
const anywhere = (text: string): string =>
  text.replace(/127\.0\.0\.1:\d+/g, 'LINK').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'THEN');
