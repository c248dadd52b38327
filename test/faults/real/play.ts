// One run of a workload against the operator as a process, the real API server and a real registry, in real time.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { slice } from '../../e2e/objects.ts';
import { type CallLink, openCallLink } from '../../links/call-link.ts';
import { goodConditions } from '../api-link.ts';
import { openApiServer } from '../api-server.ts';
import { createDeletions } from '../deletions.ts';
import { openDirector } from '../director.ts';
import type { Defence } from '../naive/builds.ts';
import { type Fault, type Plan, told } from '../plan.ts';
import type { Judged } from '../run.ts';
import { createStory, type StoryLine } from '../story.ts';
import { CONVERGED_MS, PROOF_MS } from '../virtual.ts';
import { wantedEntries } from '../wanted.ts';
import { type Names, stageOf, type Workload } from '../workload.ts';
import { openGate } from './gate.ts';
import { createLedger } from './ledger.ts';
import type { Operator } from './process.ts';
import type { RealRegistry } from './registries.ts';
import { createReplicas, defectsOf } from './replicas.ts';
import { differenceOf, REGISTRATIONS, type State, stateOf } from './state.ts';
import { createUsers, SYSTEM } from './users.ts';
import type { World } from './world.ts';

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
/** What is made in two steps differs in age, of which the API server tells whole seconds. */
const APART_MS = 1_100;
/** As long as a step of the virtual laboratory. */
const STEP_MS = 10_000;
/** Of what is hidden nobody waits for. */
const HIDDEN_STEP_MS = 4_000;
const PATIENCE_MS = 60_000;

const SLICES = 'endpointslices.discovery.k8s.io';

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

  const defects: string[] = [];
  const wanted: ReadonlySet<string>[] = [new Set()];
  const deletions = createDeletions(clock);
  const operators: Operator[] = [];
  const place = registry.place(clusterName, token, operators);
  const ledger = createLedger({ place, wanted, story, canonical });
  let apiWrites = 0;
  let apiWrittenAt = 0;
  let link: CallLink | undefined;

  const director = openDirector(plan.fault, {
    clock,
    story,
    api: {
      get version() {
        return Math.max(...history.events.map(({ version }) => version));
      },
    },
    conditions,
    kill: () => (plan.fault.kind === 'overtaken' ? replicas.freeze() : replicas.kill()),
    restart: () => replicas.start(),
    link: () => replicas.proxy(),
    ...(plan.fault.kind === 'frozen' && { others: { freeze } }),
  });
  const replicas = createReplicas({
    world,
    scope,
    history,
    clock,
    conditions,
    directory,
    clusterName,
    elects: isOvertaken(plan.fault),
    without,
    operators,
    onWrite(what, effective) {
      apiWrittenAt = clock.now();
      story.tell('operator', `status write ${++apiWrites}: ${canonical(what)}${effective ? '' : ' (nothing new)'}`);
      director.onApiWrite(apiWrites, 'before the answer');
      return apiWrites;
    },
    onAnswered: (write) => director.onApiWrite(write, 'after the answer'),
    onDeletionSeen: deletions.seen,
    onStart: () => story.tell('operator', 'starts'),
    onEnd(how) {
      story.tell('fault', `the operator ${how}`);
      deletions.forget();
    },
    // Nothing is in front of it, and it is lost with the process.
    beforeNext: () => (link === undefined ? ledger.follow().then(ledger.forgetAll) : Promise.resolve()),
  });

  const lastWriteAt = () => Math.max(apiWrittenAt, ledger.writtenAt());

  const gate = openGate({
    clock,
    truth: ledger,
    onCall: director.onCall,
    onUnit(number, written) {
      ledger.note(written, number);
      director.onUnit(number, 'before the answer');
    },
    onUnitAnswered: (number) => director.onUnit(number, 'after the answer'),
    onClaim(number) {
      story.tell('registry', `claim ${number}: the operator may write from now on`);
      director.onClaim(number, 'before the answer');
    },
    onClaimAnswered: (number) => director.onClaim(number, 'after the answer'),
    onTrouble: (trouble) => story.tell('fault', `the registry: ${trouble}`),
    onWiped: ledger.forget,
    onArrivedLate() {
      story.tell('fault', 'what the operator that froze had sent has arrived, and it goes on');
      replicas.thaw();
      director.over();
    },
    onHealed() {
      story.tell('fault', 'the registry is well again');
      director.over();
    },
    onDefect: (error) => defects.push(`the laboratory: ${error}`),
    breakConnections: () => link?.breakConnections(),
  });

  // What users want, apart from what stands: a model of the API server that only they write to.
  const model = openApiServer(clock);
  model.listen(() => {
    const registrations = REGISTRATIONS.flatMap((one) => model.all(one));
    wanted.push(
      wantedEntries({ services: model.all('services'), slices: model.all(SLICES), registrations }, clusterName),
    );
  });

  const users = createUsers({
    world,
    history,
    model,
    standing: (service) =>
      [...ledger.known().keys()].some((id) => id.startsWith(`${clusterName}/${names.ns}/${service}/`)),
    onWrite(number, { type, resource, key }) {
      story.tell('users', `${number}: ${type} ${resource} ${canonical(key)}`);
      director.beforeUserEvent(number);
    },
    onWritten: director.onUserEvent,
  });

  async function state(): Promise<State> {
    if (link === undefined) await ledger.follow();
    return stateOf(await place.standing(), history, canonical);
  }

  /** What was before is shown two seconds after the write, which a step may not last. */
  const isDue = () =>
    plan.fault.kind === 'stale' && users.writes() >= plan.fault.after && !director.isOn() && !director.isOver();

  /** What is wanted stands, and nothing was written for a while; or nothing was for longer: not all that is wanted comes to stand, and the other way round. */
  function isCalm(from: number): boolean {
    const stillMs = clock.now() - Math.max(from, lastWriteAt());
    return (
      lastWriteAt() > 0 &&
      stillMs > (isDeepStrictEqual(new Set(ledger.known().keys()), wanted.at(-1)) ? CALM_MS : STILL_MS)
    );
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
      if (isDone && clock.now() - from > APART_MS && !isDue() && (!director.isOn() || isOvertaken(plan.fault)))
        return now;
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
      for (const one of [SYSTEM, ...stageOf(names, spec)]) await users.write(one);
      // No cluster is without any, and a first list that is empty may be one of a server that cannot say yet: removals would wait for the next one.
      await world.kube.apply(slice(names.ns, names.of('nobody'), ['10.70.9.9']));
      await replicas.start();
      if (plan.fault.kind === 'frozen') await replicas.start();
      states.push(await finishStep(0));
      for (const [index, { step, onceAllStands = false, writes, aSecondLater = [] }] of workload
        .steps(names)
        .entries()) {
        for (let waited = 0; onceAllStands && !allStands() && waited < PATIENCE_MS; waited += LOOK_MS)
          await delay(LOOK_MS);
        story.tell('users', `step ${index + 1}: ${step}`);
        director.onStep(index + 1);
        for (const one of writes) await users.write(one);
        if (aSecondLater.length > 0) await delay(SECOND_MS);
        for (const one of aSecondLater) await users.write(one);
        states.push(await finishStep(index + 1));
      }
      const changedAt = clock.now();
      for (let waited = 0; director.isOn() && waited < 300_000; waited += LOOK_MS) await delay(LOOK_MS);
      const calmFrom = Math.max(changedAt, director.overAt());
      await replicas.started();
      const right = reference?.states.at(-1);
      story.tell('judge', `all is calm from ${story.time(calmFrom)}`);
      // Until it is right and stays so. What has to be proved absent takes longer.
      for (;;) {
        missedDeletion = deletions.wasMissed(history.events);
        const deadline = calmFrom + CONVERGED_MS + (missedDeletion ? PROOF_MS : 0);
        const from = Math.max(lastWriteAt(), calmFrom);
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
    defects.push(...(await defectsOf(operators)).map(canonical));
    return {
      plan,
      story: story.lines,
      states,
      units: ledger.units,
      end,
      wiped: ledger.wiped,
      absences: ledger.absences,
      defects,
      restless:
        convergedMs === undefined && isDeepStrictEqual(end, reference?.states.at(-1))
          ? [`something was written at ${story.time(lastWriteAt())}, after all was calm`]
          : [],
      unplayed: director.isOver() ? [] : [`the fault of the plan never came about: ${told(plan.fault)}`],
      missedDeletion,
      wantedAtEnd: new Set([...(wanted.at(-1) ?? [])].map(canonical)),
      convergedMs,
      tookMs: performance.now() - began,
    };
  } finally {
    replicas.close();
    await world.sweep(names.ns, history);
    history.forget();
    await place.wipe();
    await rm(directory, { recursive: true, force: true });
  }

  /** In real time nobody can tell it what to read first. */
  function freeze(): () => void {
    replicas.freezeLeader();
    return replicas.thaw;
  }

  function allStands(): boolean {
    return [...(wanted.at(-1) ?? [])].every((id) => ledger.known().has(id));
  }
}

/** Another one takes its place, and it goes on after that. */
const isOvertaken = ({ kind }: Fault): boolean => kind === 'overtaken' || kind === 'frozen';

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
    case 'suspended':
    case 'namesake':
      return PATIENCE_MS;
  }
};
