// Two leaders of one cluster: the old one stands still in the middle of what it decided, the new one claims, reads and writes, and the old one goes on.
import { setTimeout as delay } from 'node:timers/promises';
import type { Change } from '../../src/mirror/change.ts';
import { canonical, type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import { never, stored } from '../conformance/expectations.ts';
import { deregister, freshCluster, register, sampleOf, update } from '../conformance/samples.ts';
import { until } from '../servers/until.ts';
import type { Moment, RacePlan, Shape } from './race-plan.ts';
import type { RaceSubject } from './race-subjects.ts';

/** Changes of the old leader by what it was told of them. `open`: the answer was lost, or nothing got through. */
export type Told = Readonly<Record<'ok' | 'fenced' | 'open', number>>;

export interface Race {
  readonly wrong: readonly string[];
  readonly told: Told;
  /** Where nothing is compared: how often the new leader had to write over what the old one wrote, and when it last had, after the last answer to that one. */
  readonly repairs: number;
  readonly repairMs: number;
}

/** What stands, what the old leader makes of it in how many batches, and what the new one wants then, and after that. */
interface Scene {
  readonly base: readonly Instance[];
  readonly batches: readonly (readonly Change[])[];
  readonly first: readonly Instance[];
  readonly second: readonly Instance[];
}

const OWNER = 'roster/races';

export function sceneOf(registry: ServiceRegistry, cluster: string, shape: Shape, many: number): Scene {
  const of = (number: number, weight = 100): Instance => {
    const service = shape === 'several services' ? `${cluster}-${number % 3}` : `${cluster}-web`;
    return stored(registry, sampleOf(cluster, { number, weight, service }));
  };
  const changes: readonly Change[] = [
    update(of(1, 11), of(1)),
    deregister(of(2)),
    register(of(7)),
    update(of(3, 13), of(3)),
    // The new leader never writes this one: nothing but its claim stands before it.
    deregister(of(4)),
    register(of(8)),
  ];
  const more = Array.from({ length: many }, (_, number) => register(of(10 + number)));
  return {
    base: [1, 2, 3, 4, 5, 6].map((number) => of(number)),
    batches: batchesOf(shape, changes, more),
    first: [of(1, 21), of(2, 22), of(4), of(5), of(9, 29)],
    second: [of(1, 31), of(3, 33), of(4), of(5, 35), of(7, 37), of(9, 29)],
  };
}

function batchesOf(shape: Shape, changes: readonly Change[], more: readonly Change[]): Scene['batches'] {
  switch (shape) {
    case 'one batch':
    case 'several services':
      return [changes];
    case 'two in flight':
      return [changes.slice(0, 3), changes.slice(3)];
    case 'six in flight':
      return changes.map((change) => [change]);
    case 'more than a batch':
      return [[...changes, ...more]];
  }
}

/** What the old leader sends for the batches of a shape when nothing stops it: of these bytes a plan names a share. */
export async function rehearse(subject: RaceSubject, shape: Shape): Promise<number> {
  const cluster = freshCluster();
  const { registry, line } = subject.openOld(false);
  try {
    const { base, batches } = sceneOf(registry, cluster, shape, subject.many);
    await registry.claim({ cluster, owner: OWNER }, never);
    assertAll(await registry.apply(base.map(register), never));
    const before = line.sent();
    for (const results of await Promise.all(batches.map((batch) => registry.apply(batch, never)))) assertAll(results);
    return line.sent() - before;
  } finally {
    await registry.close();
    await subject.harness.sweep(cluster);
  }
}

export async function playRace(subject: RaceSubject, plan: RacePlan, bytes: number): Promise<Race> {
  const { harness } = subject;
  const [cluster, elsewhere] = [freshCluster(), freshCluster()];
  const { registry: old, line } = subject.openOld(plan.retry);
  const next = subject.openNew();
  const scene = sceneOf(next, cluster, plan.shape, subject.many);
  const wrong: string[] = [];
  const mending = next.capabilities.fenced ? undefined : mendingBy(next, cluster);
  try {
    await old.claim({ cluster, owner: OWNER }, never);
    assertAll(await old.apply(scene.base.map(register), never));
    const theirs = stored(next, sampleOf(elsewhere, { service: scene.base[0]?.service ?? '', address: '10.8.8.8' }));
    const free = subject.openNew();
    assertAll(await free.apply([register(theirs)], never).finally(() => free.close()));
    const stranger = await harness.intruder.addStranger(theirs.service);

    line.stopAfter(plan.sent === 'unread' ? 'answers' : Math.round(plan.sent * bytes));
    const answers = Promise.all(scene.batches.map((batch) => old.apply(batch, never)));
    await Promise.race([line.stands(), answers]);

    let quietSince: string | undefined;
    let going: Promise<void> | undefined;
    const goOn = () => {
      going = line.goOn(plan.fate);
      return going;
    };
    const beside = (moment: Moment) => (plan.moment === moment ? goOn() : undefined);
    const step = async (name: string, run: () => Promise<void>) => {
      await Promise.all([beside(`beside the ${name}` as Moment), run()]);
      if (name === 'second write' && next.capabilities.fenced) quietSince = await harness.revision(cluster);
      await beside(`after the ${name}` as Moment);
    };
    let standing: readonly Instance[] = [];
    await step('claim', () => next.claim({ cluster, owner: OWNER }, never));
    await step('list', async () => {
      standing = await next.list(cluster, never);
    });
    for (const [name, wanted] of [
      ['first write', scene.first],
      ['second write', scene.second],
    ] as const) {
      await step(name, async () => {
        const write = () => next.apply(differences(standing, wanted), never);
        const results = await (mending?.write(wanted, write) ?? write());
        for (const result of results) if (!result.ok) wrong.push(`the new leader was refused: ${told(result)}`);
        standing = wanted;
      });
    }
    await going;
    const results = (await answers).flat();
    const answeredAt = performance.now();
    for (const result of results) if (codeOf(result) === 'wrong') wrong.push(`the old leader was told ${told(result)}`);

    await mending?.untilRight(() => harness.peek(cluster), scene.second);
    const repairMs = Math.max(0, Math.round((mending?.repairedAt() ?? 0) - answeredAt));
    if (repairMs > REPAIR_MS) wrong.push(`it was right after ${repairMs} ms only`);
    wrong.push(...lost(await harness.peek(cluster), scene.second));
    if (quietSince !== undefined && (await harness.revision(cluster)) !== quietSince)
      wrong.push('something was written after the last write of the new leader');
    wrong.push(...(await isFencedOff(old, scene)));
    wrong.push(...lost(await harness.peek(cluster), scene.second).map((one) => `after all: ${one}`));
    if (!(await stranger.isIntact())) wrong.push('the entry of a stranger was touched');
    const others = await harness.peek(elsewhere);
    if (others.length !== 1 || !others.every((one) => sameInstance(one, theirs)))
      wrong.push('the entry of another cluster was touched');
    return { wrong, told: counted(results), repairs: mending?.repairs() ?? 0, repairMs };
  } finally {
    await mending?.end();
    await line.goOn('lost');
    await Promise.all([old.close(), next.close()]);
    await harness.sweep(cluster);
    await harness.sweep(elsewhere);
  }
}

/** Of what Nacos promises, and what is promised of it. */
const REPAIR_MS = 5_000;

const AGAIN_MS = 100;

/** It hears that its time is over, and writes nothing of what it decided. */
async function isFencedOff(old: ServiceRegistry, { batches }: Scene): Promise<readonly string[]> {
  const check = () =>
    old.check(never).then(
      () => 'ok',
      (error) => RegistryError.from(error, 'check').code,
    );
  // A client whose connection broke has another after a while.
  const code = await until('the old leader to hear of the claim', async () => {
    const heard = await check();
    return heard === 'unreachable' || heard === 'unavailable' ? undefined : heard;
  });
  const wrong = code === 'fenced' ? [] : [`the old leader was told ${code} by its check`];
  const results = await old.apply(batches.flat(), never);
  const other = results.filter((result) => codeOf(result) !== 'fenced');
  return [
    ...wrong,
    ...other.slice(0, 1).map((result) => `the old leader, which tries again, was told ${told(result)}`),
  ];
}

function differences(standing: readonly Instance[], wanted: readonly Instance[]): readonly Change[] {
  const before = new Map(standing.map((instance) => [instance.id, instance]));
  const after = new Set(wanted.map(({ id }) => id));
  return [
    ...standing.filter(({ id }) => !after.has(id)).map(deregister),
    ...wanted.flatMap((instance) => {
      const previous = before.get(instance.id);
      if (previous === undefined) return [register(instance)];
      return sameInstance(previous, instance) ? [] : [update(instance, previous)];
    }),
  ];
}

function lost(standing: readonly Instance[], wanted: readonly Instance[]): readonly string[] {
  const texts = new Set(standing.map(canonical));
  const expected = new Set(wanted.map(canonical));
  return [
    ...wanted.filter((one) => !texts.has(canonical(one))).map(({ id }) => `lost: what the new leader wrote at ${id}`),
    ...standing.filter((one) => !expected.has(canonical(one))).map(({ id }) => `the old leader wrote ${id}`),
  ];
}

/** As the operator does it where nothing is compared: whatever its watch hints at is read, and mended, and nothing of it is in flight beside its writes. */
function mendingBy(registry: ServiceRegistry, cluster: string) {
  const ending = new AbortController();
  let wanted: readonly Instance[] | undefined;
  let repairs = 0;
  let repairedAt = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = turn.then(run, run);
    turn = next.catch(() => {});
    return next;
  };
  const mend = async (): Promise<void> => {
    if (wanted === undefined || ending.signal.aborted) return;
    const changes = differences(await registry.list(cluster, never), wanted);
    if (changes.length === 0) return;
    repairs++;
    const results = await registry.apply(changes, never);
    repairedAt = performance.now();
    if (!results.every(({ ok }) => ok)) throw new Error('some of it was not written');
  };
  const onHint = (): void =>
    void inTurn(mend).catch(async () => {
      await delay(AGAIN_MS);
      onHint();
    });
  const follow = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      await registry.watch({ cluster }, onHint, ending.signal).catch(() => {});
      await delay(AGAIN_MS);
    }
  };
  const watched = follow();
  return {
    write: <T>(next: readonly Instance[], write: () => Promise<T>): Promise<T> =>
      inTurn(() => {
        wanted = next;
        return write();
      }),
    repairs: () => repairs,
    repairedAt: () => repairedAt,
    untilRight: (peek: () => Promise<readonly Instance[]>, target: readonly Instance[]) =>
      until('what the new leader wants to stand', async () =>
        lost(await peek(), target).length === 0 ? true : undefined,
      ),
    async end(): Promise<void> {
      ending.abort();
      await watched;
      await turn;
    },
  };
}

function counted(results: readonly ChangeResult[]): Told {
  const told = { ok: 0, fenced: 0, open: 0 };
  for (const result of results) {
    const code = codeOf(result);
    if (code !== 'wrong') told[code]++;
  }
  return told;
}

function codeOf(result: ChangeResult): keyof Told | 'wrong' {
  if (result.ok) return 'ok';
  const { code, ambiguous } = result.error;
  if (code === 'fenced') return 'fenced';
  return ambiguous || code === 'unreachable' ? 'open' : 'wrong';
}

const told = (result: ChangeResult): string => (result.ok ? 'ok' : `${result.error.code}: ${result.error.message}`);

function assertAll(results: readonly ChangeResult[]): void {
  const failed = results.find(({ ok }) => !ok);
  if (failed !== undefined) throw new Error(`what every run begins with failed: ${told(failed)}`);
}
