// The runner of `make test`: node:test over all files, cheap ones first, on servers that are started once.
//   node test/run.ts [file or folder …]     default: test
// Ends with a line for each test that failed and the totals of node:test, and with code 0 only when everything passed.
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { report } from './report.ts';
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

// Cheap to dear. Files of no folder named here run after the first line of it.
const order = [
  ['architecture.test.ts', 'tools', 'mirror', 'telemetry', 'api', 'registries', 'cli'],
  ['servers', 'conformance', 'kubernetes', 'manifests'],
  ['operator', 'e2e', 'scenarios', 'demo', 'endurance'],
  ['faults'],
];

/** Files that wait most of the time, for time-outs and for what must not happen: two at a time of these run beside the others. */
const waiting = new Set([
  'bench/bench.test.ts',
  'conformance/consul-leases.test.ts',
  'conformance/consul-outages.test.ts',
  'conformance/etcd-leases.test.ts',
  'conformance/etcd-watch.test.ts',
  'conformance/nacos-layers.test.ts',
  'conformance/nacos.test.ts',
  'conformance/zookeeper-leases.test.ts',
  'conformance/zookeeper-watch.test.ts',
  'e2e/continuity.test.ts',
  'e2e/deletion.test.ts',
  'e2e/deletion-guard.test.ts',
  'e2e/failover.test.ts',
  'e2e/liveness.test.ts',
  'e2e/restored-cluster.test.ts',
  'e2e/two-operators.test.ts',
  'faults/real.test.ts',
]);

const testRoot = import.meta.dirname;
const filters = process.argv.slice(2);
const files = await chosenFiles(filters.length === 0 ? [testRoot] : filters);
if (files.length === 0) fail(`no test file (*.test.ts) matches ${filters.join(' ')}`);

for (const name of waiting) if (!existsSync(join(testRoot, name))) fail(`run.ts names ${name}, which is not in test/`);

const stops: (() => Promise<void>)[] = [];
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());

let passed = false;
try {
  await startShared();
  const waits = (file: string) => waiting.has(relative(testRoot, file));
  // Of the shared servers two cores are enough for two files at a time; more make every deadline of theirs a lie.
  const atOnce = Math.max(2, Math.min(4, availableParallelism() - 1));
  const lanes = [
    { files: files.filter((file) => !waits(file)), concurrency: atOnce },
    { files: files.filter(waits), concurrency: 2 },
  ];
  const runs = lanes
    .filter((lane) => lane.files.length > 0)
    .map((lane) => run({ ...lane, timeout: fileTimeoutMs, signal: interruption.signal }));
  passed = await report(runs, (text) => process.stdout.write(text));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
} finally {
  await Promise.all(stops.map((stop) => stop()));
}
// Not process.exitCode: whatever still holds the event loop has no say any more.
process.exit(passed && !interruption.signal.aborted ? 0 : 1);

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
