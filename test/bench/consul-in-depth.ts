// Consul, the registry that the design was measured with, in depth: runs from nothing in turn with the raw loop, changes, bursts, silence, a restart, flapping.
import type { KubeClient } from '../../src/kubernetes/client.ts';
import { type ConsulServer, openConsul } from '../servers/consul.ts';
import type { ControlPlaneServers } from '../servers/control-plane.ts';
import { burstSteps, type ChangeOptions, steadySteps, timeChanges } from './changes.ts';
import { type ColdSync, coldSync, type Program } from './cold.ts';
import { type Entry, readEntries } from './consul-eyes.ts';
import { type Add, atLeast, atMost, type Figure, median, quantile } from './figures.ts';
import { type Fleet, mirroring } from './fleet.ts';
import { flapping, idle, restart } from './quiet.ts';
import { rawLatencies, rawRate } from './raw.ts';

const CHANGES_PER_SECOND = 20;
const BURST_PER_SECOND = 500;

export type DepthOptions = {
  readonly plane: ControlPlaneServers;
  readonly client: KubeClient;
  readonly fleet: Fleet;
  /** The first one goes through every part, the others are synced from nothing. */
  readonly programs: readonly Program[];
  /** How often the fleet is synced from nothing. */
  readonly runs: number;
  readonly changeSeconds: number;
  readonly idleSeconds: number;
  readonly flapSeconds: number;
  readonly add: Add;
  say(line: string): void;
  /** What must be ended when the benchmark fails. */
  closeLater(close: () => Promise<unknown>): void;
};

export async function measureConsul(options: DepthOptions): Promise<void> {
  const { consul, operator, rawMs } = await coldSyncs(options);
  const { client, fleet } = options;
  const eyes = { client, consul, operator, fleet };
  await changes(eyes, rawMs, options);
  await quiet(eyes, options);
  await operator.stop();
  await consul.stop();
}

/** Roster and the raw loop take turns, so that a slow minute of the machine hits both. The last operator goes on. */
async function coldSyncs(options: DepthOptions) {
  const { programs, runs, add, say } = options;
  const syncs = new Map<Program, ColdSync[]>(programs.map((program) => [program, []]));
  const rates: number[] = [];
  const parallelRates: number[] = [];
  let rawMs: readonly number[] = [];
  for (let round = 1; round <= runs; round++) {
    for (const program of programs.toReversed()) {
      say(`cold sync ${round} of ${runs}, ${program.name}`);
      const { sync, consul } = await oneColdSync(program, options);
      syncs.get(program)?.push(sync);
      const entries = await readEntries(consul);
      const goesOn = round === runs && program === programs[0];
      if (!goesOn) {
        await sync.operator.stop();
        await consul.stop();
      }
      if (program !== programs[0]) continue;
      say('the raw loop with the same entries');
      rates.push(await onFreshConsul((server) => rawRate(server, entries, 1)));
      parallelRates.push(await onFreshConsul((server) => rawRate(server, entries, 4)));
      if (!goesOn) continue;
      rawMs = await latencies(entries, add);
      coldFigures(syncs, rates, parallelRates, add);
      return { consul, operator: sync.operator, rawMs };
    }
  }
  throw new Error('BENCH_RUNS must be 1 or more');
}

async function oneColdSync(program: Program, { plane, fleet, closeLater }: DepthOptions) {
  const consul = await openConsul();
  closeLater(() => consul.stop());
  await plane.apply(mirroring({ type: 'Consul', consul: { address: consul.address } }));
  const sync = await coldSync(consul, { kubeconfig: plane.kubeconfig, program, instances: fleet.instances });
  closeLater(() => sync.operator.stop());
  return { sync, consul };
}

async function onFreshConsul<T>(use: (server: ConsulServer) => Promise<T>): Promise<T> {
  const server = await openConsul();
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

function latencies(entries: readonly Entry[], add: Add): Promise<readonly number[]> {
  return onFreshConsul(async (server) => {
    await rawRate(server, entries, 1);
    await rawLatencies(server, entries, { count: 200, paceMs: 0 });
    const tight = await rawLatencies(server, entries, { count: 1_000, paceMs: 0 });
    const paced = await rawLatencies(server, entries, { count: 400, paceMs: 1_000 / CHANGES_PER_SECOND });
    add('raw', 'L: one change, tight loop, p50', median(tight), 'ms');
    add('raw', 'one change, tight loop, p99', quantile(tight, 0.99), 'ms');
    add('raw', `one change, ${CHANGES_PER_SECOND} a second, p50`, median(paced), 'ms');
    add('raw', `one change, ${CHANGES_PER_SECOND} a second, p99`, quantile(paced, 0.99), 'ms');
    return tight;
  });
}

function coldFigures(syncs: Map<Program, ColdSync[]>, rates: readonly number[], parallel: readonly number[], add: Add) {
  const R = median(rates);
  add('raw', 'R: one full transaction after the other', R, 'entries/s', undefined, rates);
  add('raw', 'four full transactions at once', median(parallel), 'entries/s', undefined, parallel);
  for (const [{ name }, all] of syncs) {
    const part = `cold, ${name}`;
    const each = (what: (sync: ColdSync) => number) => all.map(what);
    const tell = (what: string, values: readonly number[], unit: string, target?: Figure['target']) =>
      add(part, what, median(values), unit, target, values);
    tell(
      'start to the last entry visible',
      each(({ lastMs }) => lastMs / 1_000),
      's',
      atMost(5, '5 s'),
    );
    tell(
      'start to the first entry visible',
      each(({ firstMs }) => firstMs / 1_000),
      's',
      atMost(3, '3 s'),
    );
    tell(
      'start to /readyz',
      each(({ readyMs }) => readyMs / 1_000),
      's',
    );
    tell(
      'first to last entry',
      each(({ firstMs, lastMs }) => (lastMs - firstMs) / 1_000),
      's',
    );
    tell(
      'rate between the two',
      each(({ perSecond }) => perSecond),
      'entries/s',
    );
    tell(
      'rate as a share of R',
      each(({ perSecond }) => perSecond / R),
      'R',
      atLeast(0.5, '0.5 R'),
    );
    tell(
      'RSS after it',
      each(({ footprint }) => footprint.rssMiB),
      'MiB',
      atMost(200, '200 MiB'),
    );
    const peaks = each(({ footprint }) => footprint.peakRssMiB ?? Number.NaN);
    if (peaks.every(Number.isFinite)) tell('RSS at its peak', peaks, 'MiB', atMost(200, '200 MiB'));
  }
}

async function changes(eyes: ChangeOptions, rawMs: readonly number[], options: DepthOptions): Promise<void> {
  const { changeSeconds, add, say } = options;
  const { services } = eyes.fleet;
  const L = median(rawMs);
  say(`${CHANGES_PER_SECOND} changes a second for ${changeSeconds} s`);
  const steady = await timeChanges(eyes, steadySteps(services, CHANGES_PER_SECOND, changeSeconds));
  const part = `changes, ${CHANGES_PER_SECOND}/s`;
  const limit = atMost(L + 10, `L + 10 ms (${(L + 10).toFixed(1)})`);
  add(part, 'watch to acknowledgement, p50', median(steady.toAcknowledgement), 'ms', limit);
  add(part, 'watch to acknowledgement, p99', quantile(steady.toAcknowledgement, 0.99), 'ms', atMost(100, '100 ms'));
  add(part, "watch to Consul's own API, p50", median(steady.toConsul), 'ms');
  add(part, "watch to Consul's own API, p99", quantile(steady.toConsul, 0.99), 'ms');

  const burst: { toAcknowledgement: number[]; perSecond: number[] } = { toAcknowledgement: [], perSecond: [] };
  for (const ready of [false, true]) {
    say(`a burst of ${BURST_PER_SECOND} changes in a second`);
    const lags = await timeChanges(eyes, burstSteps(services, BURST_PER_SECOND, ready));
    burst.toAcknowledgement.push(...lags.toAcknowledgement);
    burst.perSecond.push(lags.perSecond);
  }
  const name = `burst, ${BURST_PER_SECOND}/s`;
  add(name, 'changes that the API server really took', median(burst.perSecond), '/s', undefined, burst.perSecond);
  add(name, 'watch to acknowledgement, p50', median(burst.toAcknowledgement), 'ms');
  add(name, 'watch to acknowledgement, p99', quantile(burst.toAcknowledgement, 0.99), 'ms', atMost(1_000, '1 s'));
}

async function quiet(
  { client, consul, operator, fleet }: Required<ChangeOptions>,
  { idleSeconds, flapSeconds, add, say }: DepthOptions,
): Promise<void> {
  const none = atMost(0, '0');
  // The status of the last change may still be due.
  await new Promise((resolve) => setTimeout(resolve, 15_000));
  say(`idle for ${idleSeconds} s`);
  const silent = await idle(client, consul, operator, idleSeconds);
  const part = `idle, ${idleSeconds} s`;
  add(part, 'registry writes (raft entries)', silent.registry, '', none);
  add(part, 'status writes (versions)', silent.status, '', none);
  add(part, 'CPU', silent.cpuShare * 100, '% of a core', atMost(1, '1 %'));
  add(part, 'RSS', silent.footprint.rssMiB, 'MiB', atMost(200, '200 MiB'));

  say('restart with nothing changed');
  const again = await restart(client, consul, operator, fleet);
  add('restart', 'registry writes (raft entries)', again.registry, '', none);
  add('restart', 'status writes (versions)', again.status, '', none);
  add('restart', 'deregistrations', again.deregistrations, '', none);
  add('restart', 'start to /readyz', again.readyMs / 1_000, 's');
  add('restart', 'start to everything compared', again.inStepMs / 1_000, 's', atMost(15, '15 s'));

  say(`one Pod flapping once a second for ${flapSeconds} s`);
  const flapped = await flapping(client, consul, operator, fleet, flapSeconds);
  const flaps = `flapping, ${flapped.changes} changes`;
  // The damping grows with the flapping: a shorter run says nothing about the target.
  const limit = flapSeconds === 60 ? atMost(24, '24') : undefined;
  add(flaps, 'registry writes (raft entries)', flapped.registry, '', limit);
  add(flaps, 'deregistrations', flapped.deregistrations, '', none);
}
