import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerProcess } from '../../servers/process.ts';
import { until } from '../../servers/until.ts';

/** A registry as the benchmark of every registry sees it: by its own protocol, and by the package that Roster uses for it. */
export interface Subject {
  readonly name: string;
  readonly liveness: 'Persistent' | 'Leased';
  /** How the raw loop writes, in a few words. */
  readonly rawLoop: string;
  /** `durable`: what it holds outlives a crash, where that costs something. */
  open(options?: { readonly durable?: boolean }): Promise<OpenSubject>;
}

export interface OpenSubject {
  /** Of the ClusterRegistry. */
  readonly spec: object;
  /** How many entries stand. */
  count(): Promise<number>;
  /** Differs after every write, whoever made it. */
  revision(): Promise<string>;
  /** What stands, to be written again by a raw loop into a server that has nothing yet. */
  rawLoop(): Promise<RawLoop>;
  /** Where the server shows a change only some time after it took it: whether consumers get this address with this health. */
  shows?(service: string, address: string, healthy: boolean): Promise<boolean>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** After that, with what it held, or with nothing. Resolves when it serves. */
  restart(data: 'kept' | 'wiped'): Promise<void>;
  stop(): Promise<void>;
}

export interface RawLoop {
  /** Writes all entries, as many at once as the server takes, and gives entries a second. */
  rate(): Promise<number>;
  /** Milliseconds of single changes, one after the other, to entries that stand. */
  latencies(count: number): Promise<readonly number[]>;
  /** Where there is `shows`: milliseconds from the start of a change until it is shown. */
  untilShown?(count: number): Promise<readonly number[]>;
  stop(): Promise<void>;
}

/** Of a server with its data where all of ours have them. */
export const crashing = (server: ServerProcess): Pick<OpenSubject, 'kill' | 'restart'> => ({
  kill: async () => server.kill('SIGKILL'),
  async restart(data) {
    if (data === 'wiped') await rm(join(dirname(server.logPath), 'data'), { recursive: true, maxRetries: 5 });
    await server.restart();
  },
});

const PATIENCE_MS = 900_000;

/** Looks once a second: counting costs the server what is being measured. */
export const untilStanding = (server: OpenSubject, entries: number): Promise<true> =>
  until(
    `${entries} entries to stand`,
    async () => {
      await delay(1_000);
      return (await server.count()) === entries ? true : undefined;
    },
    PATIENCE_MS,
  );

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

export const perSecond = (count: number, ms: number): number => (count * 1_000) / ms;

/** One after the other, each handed over with its number. */
export async function timesOf(count: number, work: (at: number) => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let at = 0; at < count; at++) times.push(await timed(() => work(at)));
  return times;
}

export const chunks = <T>(items: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));

/** Takes work from one list with so many hands. */
export async function inParallel<T>(
  items: readonly T[],
  hands: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const waiting = items.values();
  const hand = async () => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: hands }, hand));
}

/** Asks without a pause: what is measured is shorter than one. */
export async function untilTrue(ask: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 30_000; !(await ask()); )
    if (performance.now() > deadline) throw new Error('a change was not shown within 30 s');
}
