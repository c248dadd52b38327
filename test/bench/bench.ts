// `make bench`: what the operator reaches, beside what the same registries can do at best in the same run on the same machine.
// Nothing here fails for being slow: it ends with 1 only when something did not converge.
//   BENCH_SERVICES=1000 BENCH_ENDPOINTS=5 BENCH_RUNS=3     the fleet, and how often it is synced from nothing
//   BENCH_CHANGE_SECONDS=60 BENCH_IDLE_SECONDS=300 BENCH_FLAP_SECONDS=60
//   BENCH_OUTAGE_SECONDS=60                                how long a registry is away while every Service changes
//   BENCH_OUTPUT=.dev/bench.json
//   BENCH_PARTS="speed outages"                            one of the two alone
//   BENCH_REGISTRIES="consul etcd etcd-leased …"            after Consul in depth, each of these; empty: none. Outages: of those whose entries are persistent
//   BENCH_PROGRAMS="bundle source"                         dist/roster.mjs as the image runs it, and src/main.ts as it is
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { type KubeClient, openKubeClient } from '../../src/kubernetes/client.ts';
import { type ControlPlaneServers, openControlPlane } from '../servers/control-plane.ts';
import { coldSyncIntoMemory, type Program } from './cold.ts';
import { measureConsul } from './consul-in-depth.ts';
import { measureRegistry } from './each-registry.ts';
import { type Figure, render, save } from './figures.ts';
import { createFleet, type Fleet, mirroring } from './fleet.ts';
import { measureOutages } from './outages.ts';
import { consulSubject } from './subjects/consul.ts';
import { etcdSubject } from './subjects/etcd.ts';
import { nacosSubject } from './subjects/nacos.ts';
import type { Subject } from './subjects/subject.ts';
import { zooKeeperSubject } from './subjects/zookeeper.ts';

const root = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

const number = (name: string, fallback: number): number => Number(process.env[name] || fallback);
const settings = {
  services: number('BENCH_SERVICES', 1_000),
  endpoints: number('BENCH_ENDPOINTS', 5),
  runs: number('BENCH_RUNS', 3),
  changeSeconds: number('BENCH_CHANGE_SECONDS', 60),
  idleSeconds: number('BENCH_IDLE_SECONDS', 300),
  flapSeconds: number('BENCH_FLAP_SECONDS', 60),
  outageSeconds: number('BENCH_OUTAGE_SECONDS', 60),
};
const PARTS = ['speed', 'outages'] as const;
const parts = (process.env['BENCH_PARTS'] || PARTS.join(' ')).split(/\s+/).map(partOf);
const PROGRAMS: readonly Program[] = [
  { name: 'bundle', path: join(root, 'dist', 'roster.mjs'), nodeArgs: await imageArgs() },
  { name: 'source', path: join(root, 'src', 'main.ts'), nodeArgs: [] },
];
const programs = (process.env['BENCH_PROGRAMS'] || 'bundle source').split(/\s+/).map(programOf);
/** The first one is what is installed, and goes through every part. */
const [installed = programOf('bundle')] = programs;

const SUBJECTS: ReadonlyMap<string, Subject> = new Map([
  ['consul', consulSubject],
  ['etcd', etcdSubject('Persistent')],
  ['etcd-leased', etcdSubject('Leased')],
  ['zookeeper', zooKeeperSubject('Persistent')],
  ['zookeeper-leased', zooKeeperSubject('Leased')],
  ['nacos', nacosSubject('Persistent')],
  ['nacos-leased', nacosSubject('Leased')],
]);
const subjects = (process.env['BENCH_REGISTRIES'] ?? [...SUBJECTS.keys()].join(' '))
  .split(/\s+/)
  .filter((name) => name !== '')
  .map(subjectOf);

const figures: Figure[] = [];
/** What else keeps the machine busy: the figures are worth as much as it is idle. */
const loadBefore = loadavg()[0] ?? 0;
const closers: (() => Promise<unknown>)[] = [];

process.exitCode = await measure().then(
  () => 0,
  (error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  },
);
for (const close of closers.toReversed()) await close().catch(() => {});
if (figures.length > 0) {
  process.stdout.write(`\n${render(figures)}`);
  const path = process.env['BENCH_OUTPUT'] || join(root, '.dev', 'bench.json');
  const machine = {
    cpus: cpus().length,
    loadBefore,
    model: cpus()[0]?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
  const at = {
    date: new Date().toISOString(),
    commit: await commit(),
    node: process.version,
    platform: process.platform,
  };
  await save(path, { ...at, machine, settings, complete: process.exitCode === 0, figures });
  const where = `${machine.cpus} × ${machine.model}, load ${loadBefore.toFixed(1)} before it, Node ${at.node}`;
  process.stdout.write(`\n${at.date}, commit ${at.commit}, ${where}; also in ${relative(process.cwd(), path)}\n`);
}
process.exit();

async function measure(): Promise<void> {
  if (programs.some(({ name }) => name === 'bundle')) await run('npm', ['run', '--silent', 'build'], { cwd: root });
  const plane = await openControlPlane();
  closers.push(() => plane.stop());
  await plane.kubectl(['apply', '--server-side', '-f', join(root, 'crds')]);
  await plane.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', join(root, 'crds')]);
  const openClient = async () => {
    const client = await openKubeClient({ kubeconfig: plane.kubeconfig });
    closers.push(() => client.close());
    return client;
  };
  const client = await openClient();
  say(`writing ${settings.services} Services with ${settings.endpoints} endpoints each to the API server`);
  const clients = await Promise.all([client, openClient(), openClient(), openClient()]);
  const fleet = await createFleet(clients, settings.services, settings.endpoints);

  if (parts.includes('speed')) await measureSpeed(plane, client, fleet);
  if (!parts.includes('outages')) return;
  for (const subject of subjects.filter(({ liveness }) => liveness === 'Persistent'))
    await measureOutages(subject, { plane, fleet, program: installed, ...settings, add, say });
}

async function measureSpeed(plane: ControlPlaneServers, client: KubeClient, fleet: Fleet): Promise<void> {
  const closeLater = (close: () => Promise<unknown>) => void closers.push(close);
  await measureConsul({ plane, client, fleet, programs, ...settings, add, say, closeLater });
  await memory(plane, fleet);
  for (const subject of subjects) {
    const { changeSeconds, idleSeconds } = settings;
    await measureRegistry(subject, {
      plane,
      client,
      fleet,
      program: installed,
      changeSeconds,
      idleSeconds: Math.min(60, idleSeconds),
      add,
      say,
    });
  }
}

async function memory(plane: ControlPlaneServers, { instances }: Fleet): Promise<void> {
  await plane.apply(mirroring({ type: 'Memory', memory: {} }));
  for (const program of programs) {
    say(`cold sync into Memory, ${program.name}`);
    const { lastMs } = await coldSyncIntoMemory({ kubeconfig: plane.kubeconfig, program, instances });
    add(`cold Memory, ${program.name}`, 'start to the last entry visible', lastMs / 1_000, 's');
  }
}

function programOf(wanted: string): Program {
  return (
    PROGRAMS.find(({ name }) => name === wanted) ??
    unknown(
      'BENCH_PROGRAMS',
      wanted,
      PROGRAMS.map(({ name }) => name),
    )
  );
}

function partOf(wanted: string): (typeof PARTS)[number] {
  return PARTS.find((part) => part === wanted) ?? unknown('BENCH_PARTS', wanted, PARTS);
}

function subjectOf(wanted: string): Subject {
  return SUBJECTS.get(wanted) ?? unknown('BENCH_REGISTRIES', wanted, [...SUBJECTS.keys()]);
}

function unknown(variable: string, wanted: string, names: readonly string[]): never {
  process.stderr.write(`${variable}: there is no ${wanted}; there are ${names.join(', ')}\n`);
  process.exit(2);
}

/** The flags that the image gives to Node. */
async function imageArgs(): Promise<readonly string[]> {
  const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8');
  const entrypoint: readonly string[] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '[]');
  return entrypoint.filter((word) => word.startsWith('--'));
}

function add(
  part: string,
  name: string,
  value: number,
  unit: string,
  target?: Figure['target'],
  runs?: readonly number[],
) {
  figures.push({ part, name, value, unit, ...(target && { target }), ...(runs && { runs }) });
}

function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

async function commit(): Promise<string> {
  const { stdout } = await run('git', ['rev-parse', '--short', 'HEAD'], { cwd: root }).catch(() => ({
    stdout: 'unknown',
  }));
  return stdout.trim();
}
