// One real server as a child process: started, probed until it serves, ended by its id.
//
// The child hangs on a pipe held by this process. A small `sh` (nothing else is needed, so it works on Linux and macOS
// alike) starts the server, and ends it when the pipe closes: that happens on every kind of death of this process,
// SIGKILL included, where no handler of ours would run.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/** A running server. `pid` is the id of the server itself, and changes with `restart`. */
export type ServerProcess = {
  readonly name: string;
  readonly pid: number;
  /** Standard output and error of the server, appended over restarts. */
  readonly logPath: string;
  /** Sends a signal and does not wait: SIGSTOP freezes the server, SIGCONT lets it go on, SIGKILL crashes it. */
  kill(signal: NodeJS.Signals): void;
  /** Ends the server if it still runs, starts it with the same arguments, ports and data, and waits until it serves. */
  restart(): Promise<void>;
  /** Ends the server (SIGTERM, after 5 s SIGKILL) and waits for its end. May be called twice. */
  stop(): Promise<void>;
};

export type EndingProcess = ServerProcess & {
  /** Waits for the end of the program and gives its exit code; 128 and the number of the signal when one ended it. */
  exitCode(): Promise<number | null>;
};

export type ProcessOptions = {
  name: string;
  command: string;
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  logPath: string;
  /** True once the server serves; asked every 50 ms. A rejection counts as "not yet". */
  ready: () => Promise<boolean>;
  readyTimeoutMs?: number;
  /** Removed when this process dies without having stopped the server. */
  scratch?: string;
  /** The server goes on when this process ends (`make dev-up`). */
  outlive?: boolean;
};

/** The server ended before it served because another program had taken its port: worth a try on other ports. */
class PortTaken extends Error {}

// $1 directory to remove or empty, $2 log, the rest is the command. fd 3: our pipe. fd 4: the way of the pid back.
// Once the pipe is closed, the watch must not be ended by the last lines, which follow the server's end.
const supervisor = `
scratch=$1; log=$2; shift 2
"$@" </dev/null >>"$log" 2>&1 3<&- 4>&- &
server=$!
echo "$server" >&4
exec 4>&-
( read -r _ <&3; trap '' TERM; kill -KILL "$server" 2>/dev/null; [ -z "$scratch" ] || rm -rf "$scratch" || { sleep 1; rm -rf "$scratch"; } ) >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$server"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
`;

type Child = {
  readonly pid: number;
  readonly ended: Promise<number | null>;
  hasEnded(): boolean;
  /** Lets the event loop wait for the end; a running server alone does not keep a finished test file alive. */
  hold(): void;
};

async function spawnSupervised(options: ProcessOptions): Promise<Child> {
  const child = spawn(
    'sh',
    ['-c', supervisor, options.name, options.scratch ?? '', options.logPath, options.command, ...options.args],
    {
      // A process group of its own: Ctrl-C reaches us alone, and we end the servers in order.
      detached: true,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    },
  );
  const end = endOf(child);
  let text = '';
  for await (const chunk of child.stdio[4] as Readable) text += String(chunk);
  const pid = Number(text.trim());
  if (text === '' || !Number.isInteger(pid))
    throw new Error(`${options.name}: could not start sh to run ${options.command}`);
  child.unref();
  (child.stdio[3] as Socket).unref();
  return { pid, ...end, hold: () => child.ref() };
}

async function spawnOutliving(options: ProcessOptions): Promise<Child> {
  const log = openSync(options.logPath, 'a');
  try {
    const child = spawn(options.command, [...options.args], {
      detached: true,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', log, log],
    });
    const end = endOf(child);
    if (child.pid === undefined) throw new Error(`${options.name}: could not start ${options.command}`);
    child.unref();
    return { pid: child.pid, ...end, hold: () => child.ref() };
  } finally {
    closeSync(log);
  }
}

function endOf(child: ChildProcess): Pick<Child, 'ended' | 'hasEnded'> {
  let over = false;
  const ended = new Promise<number | null>((resolve) => {
    const end = (code: number | null) => {
      over = true;
      resolve(code);
    };
    child.once('exit', end);
    child.once('error', () => end(null));
  });
  return { ended, hasEnded: () => over };
}

/** Starts a server and resolves once `ready` says so. Rejects with the end of the log when the server ends before. */
export async function openProcess(options: ProcessOptions): Promise<EndingProcess> {
  let child = await start(options);

  async function stop(): Promise<void> {
    if (child.hasEnded()) return;
    child.hold();
    signal(child.pid, 'SIGTERM');
    // A frozen process hears SIGTERM only once it goes on.
    signal(child.pid, 'SIGCONT');
    const timer = setTimeout(() => signal(child.pid, 'SIGKILL'), 5000);
    await child.ended;
    clearTimeout(timer);
  }

  return {
    name: options.name,
    logPath: options.logPath,
    get pid() {
      return child.pid;
    },
    kill(name) {
      if (!child.hasEnded()) signal(child.pid, name);
    },
    stop,
    exitCode() {
      if (!child.hasEnded()) child.hold();
      return child.ended;
    },
    async restart() {
      await stop();
      child = await start(options);
    },
  };
}

async function start(options: ProcessOptions): Promise<Child> {
  const child = options.outlive ? await spawnOutliving(options) : await spawnSupervised(options);
  const timeoutMs = options.readyTimeoutMs ?? 60_000;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    if (child.hasEnded()) {
      const log = await readFile(options.logPath, 'utf8').catch(() => '');
      const message = `${options.name} ended before it served. The end of ${options.logPath}:\n${lastLines(log, 15)}`;
      throw /address already in use/i.test(log) ? new PortTaken(message) : new Error(message);
    }
    if (await options.ready().catch(() => false)) return child;
    if (Date.now() > deadline) {
      signal(child.pid, 'SIGKILL');
      const log = await readFile(options.logPath, 'utf8').catch(() => '');
      throw new Error(
        `${options.name} did not serve within ${timeoutMs / 1000} s. The end of ${options.logPath}:\n${lastLines(log, 15)}`,
      );
    }
    await delay(50);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/**
 * Picks a free port for each name and opens the server on them; other ports are tried when one was taken in between.
 * The ports are below the range from which systems serve outgoing connections, so those cannot take them.
 * `beside`: distances from each port at which the server takes further ones.
 */
export async function onFreePorts<Name extends string, Opened>(
  names: readonly Name[],
  open: (ports: Readonly<Record<Name, number>>) => Promise<Opened>,
  beside: readonly number[] = [],
): Promise<Opened> {
  for (let attempt = 1; ; attempt += 1) {
    const ports = {} as Record<Name, number>;
    const taken = new Set<number>();
    for (const name of names) {
      ports[name] = await freePort(taken, beside);
      taken.add(ports[name]);
    }
    try {
      return await open(ports);
    } catch (error) {
      if (!isTaken(error) || attempt === 5) throw error;
    }
  }
}

const isTaken = (error: unknown): boolean =>
  error instanceof PortTaken || (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE');

async function freePort(taken: ReadonlySet<number>, beside: readonly number[]): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    if (taken.has(port)) continue;
    const all = await Promise.all([0, ...beside].map((distance) => isFree(port + distance)));
    if (all.every((free) => free)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A new directory for the data of servers, with the means to remove it. A given path is created and kept. */
export async function openScratch(name: string, path?: string): Promise<{ path: string; remove(): Promise<void> }> {
  if (path !== undefined) {
    await mkdir(path, { recursive: true });
    return { path, remove: async () => {} };
  }
  const made = await mkdtemp(join(tmpdir(), `roster-${name}-`));
  return { path: made, remove: () => rm(made, { recursive: true, force: true, maxRetries: 5 }) };
}

/** True when the address answers with a status below 400. */
export async function answers(url: string, headers: Record<string, string> = {}): Promise<boolean> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(2000) });
  await response.arrayBuffer();
  return response.ok;
}
