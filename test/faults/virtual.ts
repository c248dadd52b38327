// The virtual laboratory: the whole operator, a model of the API server and a registry server, on a clock that is turned by hand.
import { isBlocked } from '../../src/mirror/held-removals.ts';
import type { openOperator } from '../../src/operator/operator.ts';
import { withLayers } from '../../src/registries/layers/layers.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { namespace } from '../e2e/objects.ts';
import { virtualClock } from '../virtual-clock.ts';
import { type ApiLink, type ApiWrite, goodConditions, openApiLink } from './api-link.ts';
import { type ApiServer, addressOf, type Json, openApiServer, timeOf } from './api-server.ts';
import { createDeletions } from './deletions.ts';
import { openDirector } from './director.ts';
import type { Plan } from './plan.ts';
import { type ProcessClock, processClock } from './process-clock.ts';
import type { RegistryType } from './registry-rules.ts';
import { openRegistryServer, type RegistryServer, type WriteUnit } from './registry-server.ts';
import type { Call, Run, UserEvent } from './run.ts';
import { createStory } from './story.ts';
import { requestOf } from './users.ts';
import { wantedEntries } from './wanted.ts';
import { type Names, stageOf, type UserWrite, type Workload } from './workload.ts';

/** An operator as it is, or with a defence switched off. */
export interface Build {
  readonly open: typeof openOperator;
  /** Between the operator and its cluster or registry, where that is what a defence lacks. */
  readonly client?: (client: ApiLink['client']) => ApiLink['client'];
  readonly registry?: (registry: ServiceRegistry) => ServiceRegistry;
}

export const CLUSTER = 'lab';
export const NAMES: Names = { ns: 'shop', registry: 'registry', of: (name) => name };

const STEP_MS = 10_000;
const BETWEEN_WRITES_MS = 20;
/** Watches that were open when a machine was suspended tell nothing at first when it goes on; what is asked anew is answered. */
const DEAF_MS = 5_000;
const SECOND_MS = 1_000;
const PATIENCE_MS = 180_000;
/** Issue 5: converged so soon after the last change and the last fault, and then silent for so long. */
export const CONVERGED_MS = 30_000;
export const SILENT_MS = 60_000;
/** Rule 2c: what vanished while nobody looked goes after two looks 30 s apart, and a live read. */
export const PROOF_MS = 31_000;

/** Every cluster has it, and is known by its UID. */
const SYSTEM: UserWrite = { put: namespace('kube-system', { 'kubernetes.io/metadata.name': 'kube-system' }) };

const SLICES = 'endpointslices.discovery.k8s.io';
const REGISTRATIONS = ['serviceregistrations.roster.dev', 'clusterserviceregistrations.roster.dev'];
const SHOWN = [...REGISTRATIONS, 'clusterregistries.roster.dev'];
const DEADLINES = { batchMs: 45_000, listMs: 90_000, discoverMs: 15_000, checkMs: 30_000 };

export interface Play {
  readonly workload: Workload;
  readonly type: RegistryType;
  readonly plan: Plan;
  readonly build: Build;
}

interface Process {
  readonly clock: ProcessClock;
  readonly link: ApiLink;
  /** Its connections to the registry break. */
  lose(): void;
}

export async function play({ workload, type, plan, build }: Play): Promise<Run> {
  const clock = virtualClock({ turns: 3 });
  const story = createStory(clock);
  const api = openApiServer(clock);
  const conditions = goodConditions();
  const units: WriteUnit[] = [];
  const writes: ApiWrite[] = [];
  const calls: Call[] = [];
  const events: UserEvent[] = [];
  const defects: string[] = [];
  const absences: string[] = [];
  const wanted: ReadonlySet<string>[] = [new Set()];
  const registeredAt = new Map<string, number>();
  const deletions = createDeletions(clock);
  let lastWriteAt = 0;
  let claims = 0;
  let process: Process | undefined;
  const processes: Process[] = [];
  /** Replicas stand by where a plan asks for a leader that freezes. */
  const elects = plan.fault.kind === 'frozen' || plan.fault.kind === 'suspended';

  const director = openDirector(plan.fault, {
    clock,
    story,
    api,
    conditions,
    kill: () => kill(),
    restart() {
      process = start();
    },
    link: () => process?.link,
    others: {
      startNamesake() {
        const namesake = start(anotherCluster());
        return () => stop(namesake);
      },
      freeze: (version) => freeze(process, version, 'stopped'),
      suspend: (own, version) =>
        freeze(
          processes.find((one) => one.clock === own),
          version,
          'suspended',
        ),
    },
  });

  const registry: RegistryServer = openRegistryServer({
    type,
    clock,
    onCall(operation, number) {
      calls.push({ operation, number, at: clock.now() });
      return director.onCall(operation, number);
    },
    onUnit(unit) {
      units.push(unit);
      for (const { effect, change } of unit.written) {
        const { instance, reason } = change;
        lastWriteAt = clock.now();
        story.tell(
          'registry',
          `write ${unit.number}: ${effect} ${instance.id} as ${instance.service}, ${instance.health} (${reason})`,
        );
        if (effect === 'register') registeredAt.set(instance.id, wanted.length - 1);
        if (effect === 'deregister') checkAbsence(instance.id);
      }
      director.onUnit(unit.number, 'before the answer');
    },
    onAnswered: (unit) => director.onUnit(unit.number, 'after the answer'),
    onClaiming: director.onClaiming,
    onClaim(unit) {
      claims++;
      story.tell('registry', `claim ${unit.number}: the operator may write from now on`);
      director.onClaim(unit.number, 'before the answer');
    },
    onClaimAnswered: (unit) => director.onClaim(unit.number, 'after the answer'),
    onTrouble: (trouble) => story.tell('fault', `the registry: ${trouble}`),
    onArrivedLate() {
      story.tell('fault', 'what the operator that froze had sent has arrived');
      director.over();
    },
    onHealed() {
      story.tell('fault', 'the registry is well again');
      director.over();
    },
  });

  /** Whatever the operator may have seen so far: was there a moment since it registered the entry when nobody wanted it? */
  function checkAbsence(id: string): void {
    const since = registeredAt.get(id) ?? 0;
    if (wanted.slice(since).some((ids) => !ids.has(id))) return;
    absences.push(`${id} was wanted all the time, and was removed at ${story.time()}`);
  }

  api.listen((event) => {
    const services = api.all('services');
    const registrations = REGISTRATIONS.flatMap((one) => api.all(one));
    wanted.push(wantedEntries({ services, slices: api.all(SLICES), registrations }, CLUSTER));
    if (event.by !== 'user') return;
    story.tell('users', `${events.length + 1}: ${event.type} ${event.resource} ${event.key}`);
    events.push({ number: events.length + 1, event, wanted: wanted.at(-1) ?? new Set() });
    director.onUserEvent(events.length, event.version);
  });

  function start(foreign?: ApiServer): Process {
    story.tell('operator', foreign === undefined ? 'starts' : 'of another cluster starts');
    const own = processClock(clock);
    const ours = {
      server: api,
      conditions,
      onWrite(what: string, effective: boolean) {
        const write = { number: writes.length + 1, what, effective, at: clock.now() };
        writes.push(write);
        lastWriteAt = clock.now();
        story.tell('operator', `status write ${write.number}: ${what}${effective ? '' : ' (nothing new)'}`);
        director.onApiWrite(write.number, 'before the answer');
        return write.number;
      },
      onAnswered: (number: number) => director.onApiWrite(number, 'after the answer'),
      onDeletionSeen: deletions.seen,
    };
    const unheard = { conditions: goodConditions(), onWrite: () => 0, onAnswered() {}, onDeletionSeen() {} };
    const link = openApiLink({ ...(foreign === undefined ? ours : { ...unheard, server: foreign }), clock: own });
    const sessions: (() => Promise<void>)[] = [];
    const operator = build.open({
      config: {
        clusterName: CLUSTER,
        endpointsSource: 'EndpointSlice',
        operatorNamespace: 'roster-system',
        leaderElect: elects,
      },
      client: build.client?.(link.client) ?? link.client,
      clock: own,
      random: () => 0.5,
      wallClock: () => timeOf(clock),
      metrics: createMetrics({ version: 'lab', defaults: false }),
      log: {
        debug: () => {},
        info: () => {},
        warn: (fields, message) => story.tell('log', `${message} ${JSON.stringify(fields)}`),
        error(fields, message) {
          defects.push(
            `${message} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? value.stack : value))}`,
          );
        },
      },
      create(_spec, _secrets, options) {
        const session = registry.connect(own);
        sessions.push(session.lose);
        return withLayers(build.registry?.(session) ?? session, {
          clock: own,
          deadlines: DEADLINES,
          context: { type: type.name },
          retry: undefined,
          maxInFlight: 16,
          observe: options?.observe,
        });
      },
    });
    operator.run(new AbortController().signal).catch((error: unknown) => defects.push(`the operator failed: ${error}`));
    const started: Process = {
      clock: own,
      link,
      lose() {
        for (const end of sessions) end().catch((error: unknown) => defects.push(String(error)));
      },
    };
    processes.push(started);
    return started;
  }

  /** It has a UID of its own, the same registry, and nothing else. */
  function anotherCluster(): ApiServer {
    const server = openApiServer(clock);
    for (const one of [...stageOf(NAMES, type.spec), SYSTEM]) server.write(requestOf(one), 'user');
    return server;
  }

  function freeze(one: Process | undefined, version: number, how: 'stopped' | 'suspended'): () => void {
    one?.link.readUpTo(version);
    one?.clock.freeze(how);
    return () => {
      one?.clock.goOn();
      clock.setTimer(how === 'suspended' ? DEAF_MS : 1, () => one?.link.readUpTo(Number.POSITIVE_INFINITY));
    };
  }

  function stop(one: Process | undefined): void {
    one?.clock.die();
    one?.lose();
  }

  function kill(): void {
    story.tell('fault', 'the operator dies');
    deletions.forget();
    stop(process);
    process = undefined;
  }

  async function write(one: UserWrite): Promise<void> {
    for (let waited = 0; mustWait(one) && waited < PATIENCE_MS; waited += 500) await clock.advance(500);
    if ('put' in one) api.write(requestOf(one), 'user');
    else if (api.get(addressOf(requestOf(one).path)) !== undefined) api.write(requestOf(one), 'user');
    await clock.advance(BETWEEN_WRITES_MS);
  }

  /** Nobody makes an object anew before the old one is gone, or leaves entries behind that do not stand yet. */
  function mustWait(one: UserWrite): boolean {
    const object = api.get(addressOf(requestOf(one).path));
    if ('put' in one) return object?.metadata.deletionTimestamp !== undefined;
    const id = `${object?.kind}/${object?.metadata.namespace}/${object?.metadata.name}`;
    const stands = [...registry.entries.values()].some(({ marks }) => marks.registration === id);
    return object?.spec?.deletionPolicy === 'Retain' && !stands;
  }

  const allStands = () => [...(wanted.at(-1) ?? [])].every((id) => registry.entries.has(id));

  for (const one of [SYSTEM, ...stageOf(NAMES, type.spec)]) await write(one);
  process = start();
  if (elects) await clock.advance(SECOND_MS);
  const standby = elects ? start() : undefined;
  await clock.advance(STEP_MS - (clock.now() % STEP_MS));
  let changedAt = 0;
  for (const [index, { step, onceAllStands = false, writes, aSecondLater = [] }] of workload.steps(NAMES).entries()) {
    for (let waited = 0; onceAllStands && !allStands() && waited < PATIENCE_MS; waited += STEP_MS)
      await clock.advance(STEP_MS);
    story.tell('users', `step ${index + 1}: ${step}`);
    director.onStep(index + 1);
    for (const one of writes) await write(one);
    if (aSecondLater.length > 0) await clock.advance(SECOND_MS);
    for (const one of aSecondLater) await write(one);
    changedAt = clock.now();
    do await clock.advance(STEP_MS - (clock.now() % STEP_MS));
    while (director.isLong());
  }
  for (let waited = 0; !director.isOver() && waited < 300; waited++) await clock.advance(1_000);
  const calmFrom = Math.max(changedAt, director.overAt());
  const missedDeletion = deletions.wasMissed(api.history);
  const judgedFrom = calmFrom + CONVERGED_MS + (missedDeletion ? PROOF_MS : 0);
  story.tell('judge', `all is calm from ${story.time(calmFrom)}, and must be right from ${story.time(judgedFrom)}`);
  await clock.advance(Math.max(0, judgedFrom - clock.now()));
  const end = stateOf(registry, api);
  const before = lastWriteAt;
  await clock.advance(SILENT_MS);
  for (const one of [process, standby]) one?.clock.die();
  return {
    plan,
    story: story.lines,
    units,
    writes,
    claims,
    calls,
    events,
    end,
    isBlocked: SHOWN.some((resource) => api.all(resource).some(({ status }) => isBlocked(status))),
    wantedAtEnd: wanted.at(-1) ?? new Set(),
    wiped: registry.wiped,
    absences,
    defects,
    restless: lastWriteAt > before ? [`something was written at ${story.time(lastWriteAt)}, after all was calm`] : [],
    unplayed: director.isOver() ? [] : ['the fault of the plan never came about'],
    missedDeletion,
    history: api.history,
  };
}

function stateOf(registry: RegistryServer, api: ReturnType<typeof openApiServer>) {
  const entries = [...registry.entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const objects = SHOWN.flatMap((resource) =>
    api.all(resource).map((object) => ({ resource, ...withoutTimes(object) })),
  ).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return { entries, objects };
}

/** What a status says; not since when, nor of which version. */
export function withoutTimes({ metadata, status }: Json): object {
  const { name, finalizers = [] } = metadata;
  const conditions = (status?.conditions ?? []).map(({ lastTransitionTime: _, ...rest }: Json) => rest);
  return { name, finalizers, status: { ...status, conditions } };
}
