// What `make dev-up` started, so that a later `make dev-down` ends exactly that and nothing else.
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const root = join(import.meta.dirname, '..', '..');
// The test of these commands has a directory of its own, beside what somebody has up in this checkout.
const dev = process.env['ROSTER_DEV_DIRECTORY'] ?? join(root, '.dev');

export const paths = { root, env: join(dev, 'env'), bin: join(dev, 'bin'), run: join(dev, 'run') };

type StartedProcess = { name: string; pid: number; startedAt: string };

/** A group of processes that is up or down as a whole, with its variables for `.dev/env`. */
export type Unit = { processes: readonly StartedProcess[]; env: Readonly<Record<string, string>> };

export async function saveUnit(
  name: string,
  servers: readonly { name: string; pid: number }[],
  env: Unit['env'],
): Promise<Unit> {
  const processes: StartedProcess[] = [];
  for (const server of servers) {
    const startedAt = await startTime(server.pid);
    // Without a start time the process is gone, and so is the need to end it.
    if (startedAt !== undefined) processes.push({ name: server.name, pid: server.pid, startedAt });
  }
  const unit = { processes, env };
  await mkdir(paths.run, { recursive: true });
  await writeFile(join(paths.run, `${name}.json`), `${JSON.stringify(unit, null, 2)}\n`, { mode: 0o600 });
  return unit;
}

/** The unit, if it was started and every process of it still runs. */
export async function runningUnit(name: string): Promise<Unit | undefined> {
  const unit = await savedUnit(name);
  if (unit === undefined) return undefined;
  for (const process of unit.processes) if (!(await isStill(process))) return undefined;
  return unit;
}

/** Ends what still runs of a unit, the last one started first, and removes its data. */
export async function endUnit(name: string): Promise<void> {
  const unit = await savedUnit(name);
  for (const process of unit?.processes.toReversed() ?? []) await end(process);
  await rm(join(paths.run, name), { recursive: true, force: true });
  await rm(join(paths.run, `${name}.json`), { force: true });
}

export async function savedUnits(): Promise<readonly string[]> {
  const files = await readdir(paths.run).catch(() => []);
  return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
}

async function savedUnit(name: string): Promise<Unit | undefined> {
  const text = await readFile(join(paths.run, `${name}.json`), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

async function end(started: StartedProcess): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (let signal: NodeJS.Signals = 'SIGTERM'; await isStill(started); await delay(50)) {
    if (Date.now() > deadline) signal = 'SIGKILL';
    try {
      process.kill(started.pid, signal);
    } catch {
      // It ended in between.
    }
  }
}

/** A process id is given again after its process has ended; its start time tells the two apart. */
async function isStill(started: StartedProcess): Promise<boolean> {
  return (await startTime(started.pid)) === started.startedAt;
}

async function startTime(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    // The second field is the program's name in parentheses and may hold anything; the 22nd is the start in clock ticks.
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; it only waits for its parent to notice.
    return fields === undefined || fields[0] === 'Z' ? undefined : fields[19];
  }
  const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.trim() === '' ? undefined : stdout.trim();
}
