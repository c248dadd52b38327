// What the operator tells of itself: its log, its metrics, and what the system says of its process.
import { readFile } from 'node:fs/promises';
import type { Operator } from '../servers/operator.ts';

export type Written = {
  readonly action: 'register' | 'update' | 'deregister';
  readonly instance: string;
  /** Wall clock, in whole milliseconds. */
  readonly atMs: number;
};

/** The acknowledged changes that the log tells of, in their order. */
export async function acknowledged({ logPath }: Pick<Operator, 'logPath'>): Promise<readonly Written[]> {
  const lines = (await readFile(logPath, 'utf8')).split('\n');
  return lines.flatMap((line) => {
    if (!line.includes('"msg":"instance ')) return [];
    const { action, instance, time } = JSON.parse(line);
    return [{ action, instance, atMs: Date.parse(time) }];
  });
}

/** When the registry was seen to answer, and had been listed: wall clock. */
export async function answers({ logPath }: Pick<Operator, 'logPath'>): Promise<readonly number[]> {
  const lines = (await readFile(logPath, 'utf8')).split('\n');
  return lines.flatMap((line) =>
    line.includes('"msg":"the registry answers"') ? [Date.parse(JSON.parse(line).time)] : [],
  );
}

/** Entries a second between the first acknowledgement and the last. */
export function writingRate(written: readonly Written[]): number {
  const times = written.map(({ atMs }) => atMs);
  const [first = Number.NaN, last = Number.NaN] = [times[0], times.at(-1)];
  // What came with the first one was written before the clock began.
  const begun = times.filter((time) => time === first).length;
  return ((times.length - begun) * 1_000) / Math.max(1, last - first);
}

/** The value of one metric; series of that name with these labels are added up. */
export async function metric({ url }: Operator, name: string, labels = ''): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

export type Footprint = {
  readonly rssMiB: number;
  /** Highest since the start; undefined where the system does not tell. */
  readonly peakRssMiB: number | undefined;
  readonly cpuSeconds: number;
};

export async function footprint(operator: Operator): Promise<Footprint> {
  const status = await readFile(`/proc/${operator.pid}/status`, 'utf8').catch(() => '');
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return {
    rssMiB: (await metric(operator, 'process_resident_memory_bytes ')) / 2 ** 20,
    peakRssMiB: peak === undefined ? undefined : Number(peak) / 1024,
    cpuSeconds: await metric(operator, 'process_cpu_seconds_total '),
  };
}
