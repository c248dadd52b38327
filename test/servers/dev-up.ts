// `make dev-up`: a control plane and registries on loopback that go on when the shell ends; `make dev-down` ends them.
// Units that already run are left as they are.
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ensureTools, type ToolName } from '../tools/build.ts';
import { openConsul } from './consul.ts';
import { controlPlaneIn, openControlPlane } from './control-plane.ts';
import { endUnit, paths, runningUnit, savedUnits, saveUnit, type Unit } from './dev-state.ts';
import { openEtcd } from './etcd.ts';
import { openNacos } from './nacos.ts';
import { answers, onFreePorts, openProcess } from './process.ts';
import { openZooKeeper } from './zookeeper.ts';

const registries = {
  async consul(): Promise<Unit> {
    const server = await openConsul({ directory: join(paths.run, 'consul'), outlive: true });
    return saveUnit('consul', [server], { CONSUL_ADDR: server.address });
  },
  async etcd(): Promise<Unit> {
    const server = await openEtcd({ directory: join(paths.run, 'etcd'), outlive: true });
    return saveUnit('etcd', [server], { ETCD_ADDR: server.address });
  },
  async nacos(): Promise<Unit> {
    const server = await openNacos({ directory: join(paths.run, 'nacos'), outlive: true });
    return saveUnit('nacos', [server], { NACOS_ADDR: server.address });
  },
  async zookeeper(): Promise<Unit> {
    const server = await openZooKeeper({ directory: join(paths.run, 'zookeeper'), outlive: true });
    return saveUnit('zookeeper', [server], { ZOOKEEPER_ADDR: server.address });
  },
};

type RegistryName = keyof typeof registries;

function isRegistry(name: string): name is RegistryName {
  return name in registries;
}

function askedRegistries(text: string): readonly RegistryName[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  for (const name of names) {
    if (isRegistry(name)) continue;
    const known = Object.keys(registries).join(', ');
    throw new Error(`REGISTRIES: there is no ${name}; available are: ${known}`);
  }
  return names.filter(isRegistry);
}

async function startControlPlane(): Promise<Unit> {
  const plane = await openControlPlane({ directory: join(paths.run, 'control-plane'), outlive: true });
  const { etcd, apiServer, controllerManager, kwok } = plane.servers;
  // An operator that was connected to an earlier control plane has nothing to come back to.
  await endUnit('roster');
  return saveUnit('control-plane', [etcd, apiServer, controllerManager, kwok], { KUBECONFIG: plane.kubeconfig });
}

async function startRoster(): Promise<Unit> {
  const cluster = await controlPlaneIn(join(paths.run, 'control-plane'));
  const crds = join(paths.root, 'crds');
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', crds]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', crds]);
  const directory = join(paths.run, 'roster');
  await mkdir(directory, { recursive: true });
  return onFreePorts(['web'], async (ports) => {
    const url = `http://127.0.0.1:${ports.web}`;
    const flags = (process.env['ROSTER_FLAGS'] ?? '').split(/\s+/).filter((flag) => flag !== '');
    const server = await openProcess({
      name: 'roster',
      command: join(paths.bin, 'roster'),
      args: [
        'run',
        '--cluster-name',
        'dev',
        '--kubeconfig',
        cluster.kubeconfig,
        ...flags,
        '--http-address',
        `127.0.0.1:${ports.web}`,
      ],
      logPath: join(directory, 'roster.log'),
      ready: () => answers(`${url}/readyz`),
      outlive: true,
    });
    return saveUnit('roster', [server], { ROSTER_URL: url });
  });
}

async function up(name: string, start: () => Promise<Unit>): Promise<void> {
  if ((await runningUnit(name)) !== undefined) {
    report(`${name}: already up`);
    return;
  }
  await endUnit(name);
  const unit = await start();
  report(`${name}: up, ${unit.processes.map((started) => `${started.name} ${started.pid}`).join(', ')}`);
}

async function writeBin(registryNames: readonly RegistryName[]): Promise<void> {
  const names: ToolName[] = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kwok', 'kubectl', ...registryNames];
  const tools = await ensureTools([...new Set(names)]);
  await mkdir(paths.bin, { recursive: true });
  for (const target of Object.values(tools)) {
    const link = join(paths.bin, basename(target));
    await rm(link, { force: true });
    await symlink(target, link);
  }
  const node = join(paths.root, 'node_modules', '.bin', 'node');
  const roster = join(paths.bin, 'roster');
  // The registries of this environment are on loopback, which Registries of namespaces may not name by default.
  const variable = 'ROSTER_TENANT_REGISTRY_NETWORKS';
  const networks = `${variable}="\${${variable}-127.0.0.0/8}"`;
  const command = `${quote(node)} ${quote(join(paths.root, 'src', 'main.ts'))} "$@"`;
  await writeFile(roster, `#!/bin/sh\nexport ${networks}\nexec ${command}\n`);
  await chmod(roster, 0o755);
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function report(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  const names = askedRegistries(process.env['REGISTRIES'] ?? 'consul');
  await writeBin(names);
  const starting = [up('control-plane', startControlPlane), ...names.map((name) => up(name, registries[name]))];
  // All are awaited before a failure is told, so that nothing is still starting when this process ends.
  const settled = await Promise.allSettled(starting);
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  if (process.env['ROSTER'] === '1') await up('roster', startRoster);
  // What an earlier run started goes on, so it is told of as well.
  const units = await Promise.all((await savedUnits()).map(runningUnit));
  const env: Record<string, string> = Object.assign({}, ...units.map((unit) => unit?.env));
  const lines = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  await writeFile(paths.env, `${lines.join('\n')}\n`);
  for (const line of lines) report(line);
  report(`Use them with: set -a; . ${paths.env}; set +a; PATH=${paths.bin}:$PATH`);
} catch (error) {
  process.stderr.write(`dev-up: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
