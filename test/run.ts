// The runner of `make test`: one run of node:test over all files, cheap ones first, on servers that are started once.
//   node test/run.ts [file or folder …]     default: test
// Ends with a line for each test that failed and the totals of node:test, and with code 0 only when everything passed.
import { readdir, readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { openConsul } from './servers/consul.ts';
import { openControlPlane } from './servers/control-plane.ts';
import {
  openSharedNacos,
  sharedConsulVariable,
  sharedControlPlaneVariable,
  sharedNacosVariable,
} from './servers/shared.ts';

/** What stops a file that hangs; each of its waits has a far shorter deadline of its own. */
const fileTimeoutMs = 10 * 60_000;

/** Characters of each message in the list of what failed. */
const shown = 240;

// Cheap to dear. Files of no folder named here run after the first line of it.
const order = [
  ['architecture.test.ts', 'tools', 'mirror', 'telemetry', 'api', 'registries', 'cli'],
  ['servers', 'conformance', 'kubernetes', 'manifests'],
  ['operator', 'e2e', 'scenarios', 'demo', 'endurance'],
  ['faults'],
];

const testRoot = import.meta.dirname;
const filters = process.argv.slice(2);
const files = await chosenFiles(filters.length === 0 ? [testRoot] : filters);
if (files.length === 0) fail(`no test file (*.test.ts) matches ${filters.join(' ')}`);

const stops: (() => Promise<void>)[] = [];
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());

let passed = false;
try {
  await startShared();
  // Of the shared servers two cores are enough for two files at a time; more make every deadline of theirs a lie.
  const concurrency = Math.max(2, Math.min(4, availableParallelism() - 1));
  const events = run({ files: [...files], concurrency, timeout: fileTimeoutMs, signal: interruption.signal });
  events.on('test:summary', (summary) => {
    // One comes for every file, and a last one, without a file, for all.
    if (summary.file === undefined) passed = summary.success;
  });
  for await (const text of report(events)) process.stdout.write(text);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
} finally {
  await Promise.all(stops.map((stop) => stop()));
}
// Not process.exitCode: whatever still holds the event loop has no say any more.
process.exit(passed && !interruption.signal.aborted ? 0 : 1);

/** The spec reporter's text; after it, as the last lines, what failed, one line each, and node:test's own totals. */
async function* report(events: AsyncIterable<{ type: string; data: unknown }>): AsyncIterable<string> {
  const ending: Ending = { failed: [], totals: [], durations: new Map() };
  async function* withoutTotals() {
    for await (const event of events) if (!belongsToEnding(event, ending)) yield event;
    for (const message of slowest(ending.durations)) yield { type: 'test:diagnostic', data: { nesting: 0, message } };
  }
  for await (const chunk of Readable.from(withoutTotals()).compose(new spec())) yield String(chunk);
  yield* ending.failed;
  yield* ending.totals;
}

interface Ending {
  readonly failed: string[];
  readonly totals: string[];
  /** Milliseconds, by file. */
  readonly durations: Map<string, number>;
}

/** Notes what the last lines are made of; true for what is shown nowhere else. */
function belongsToEnding({ type, data: about }: { type: string; data: unknown }, ending: Ending): boolean {
  const data = about as {
    nesting?: number;
    file?: string;
    name?: string;
    message?: string;
    duration_ms?: number;
    details?: { error?: { failureType?: string; cause?: unknown } };
  };
  const file = data.file === undefined ? '' : relative(process.cwd(), data.file);
  if (type === 'test:summary' && file !== '') ending.durations.set(file, data.duration_ms ?? 0);
  const { error } = data.details ?? {};
  // A suite fails with what is in it; that is told by itself.
  if (type === 'test:fail' && error?.failureType !== 'subtestsFailed') {
    const name = data.name === data.file ? 'the file itself' : data.name;
    ending.failed.push(`failed: ${file} > ${name}: ${toldShortly(error?.cause)}\n`);
  }
  const isTotal = type === 'test:diagnostic' && data.nesting === 0 && data.file === undefined;
  if (isTotal) ending.totals.push(`# ${data.message}\n`);
  return isTotal;
}

/** In one line, with what it was caused by: of a property that is its seed and the beginning of the counterexample, and then what failed. */
function toldShortly(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).trim().replace(/\s+/g, ' ');
  const beginning = text.length > shown ? `${text.slice(0, shown)}…` : text;
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? beginning : `${beginning} | ${toldShortly(cause)}`;
}

function* slowest(durations: ReadonlyMap<string, number>): Iterable<string> {
  const sorted = [...durations].sort(([, a], [, b]) => b - a);
  for (const [file, ms] of sorted.slice(0, 10)) yield `${Math.round(ms / 1000)} s: ${file}`;
}

async function startShared(): Promise<void> {
  const sources = await sourcesOf(files);
  const uses = (call: string) => sources.some((source) => source.includes(call));
  const started = await Promise.allSettled([
    uses('sharedControlPlane(') && process.env[sharedControlPlaneVariable] === undefined
      ? startControlPlane()
      : undefined,
    uses('sharedConsul(') && process.env[sharedConsulVariable] === undefined ? startConsul() : undefined,
    uses('sharedNacos(') && process.env[sharedNacosVariable] === undefined ? startNacos() : undefined,
  ]);
  for (const result of started) if (result.status === 'rejected') throw result.reason;
}

async function startControlPlane(): Promise<void> {
  const servers = await openControlPlane();
  stops.push(servers.stop);
  process.env[sharedControlPlaneVariable] = servers.directory;
}

async function startConsul(): Promise<void> {
  const server = await openConsul();
  stops.push(server.stop);
  process.env[sharedConsulVariable] = server.address;
}

async function startNacos(): Promise<void> {
  const server = await openSharedNacos();
  stops.push(server.stop);
  process.env[sharedNacosVariable] = server.address;
}

/** The text of the files and of all that they import from this folder, except of shared.ts itself. */
async function sourcesOf(entries: readonly string[]): Promise<readonly string[]> {
  const seen = new Set<string>([join(testRoot, 'servers', 'shared.ts')]);
  const texts: string[] = [];
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const text = await readFile(path, 'utf8').catch(() => '');
    texts.push(text);
    for (const [, imported] of text.matchAll(/from '(\.[^']+)'/g)) {
      const target = resolve(dirname(path), imported ?? '');
      if (target.startsWith(testRoot)) waiting.push(target);
    }
  }
  return texts;
}

async function chosenFiles(paths: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const path of paths.map((given) => resolve(given))) {
    const status = await stat(path).catch(() => fail(`there is no ${path}`));
    const names = status.isDirectory() ? await readdir(path, { recursive: true }) : [''];
    for (const name of names) if (name === '' || name.endsWith('.test.ts')) found.add(join(path, name));
  }
  return [...found].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

function rank(file: string): number {
  const top = relative(testRoot, file).split('/')[0] ?? '';
  const index = order.findIndex((group) => group.includes(top));
  return index === -1 ? 0.5 : index;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}
