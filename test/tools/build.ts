// The real servers of the tests: found, or built from their Go modules or Maven artifacts once and kept in a cache for all checkouts.
//   node test/tools/build.ts etcd kubectl …     prints one path per line; progress goes to standard error
import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findOrBuild, isExecutable, progress, withProgress } from './cache.ts';
import { ensureJavaTool, type JavaTool } from './maven.ts';

const run = promisify(execFile);

type Tool = {
  /** Folder beside this file with the go.mod that pins the version. */
  folder: string;
  module: string;
  package: string;
  /** Arguments that make an installed program print its version. Absent: only our own build is used. */
  versionArgs?: readonly string[];
  /** Extra -ldflags for a version such as 1.37.2. */
  stamp?: (version: string) => string;
  /** Files of the module that the tool needs, copied into the directory `<name>-files` beside it. */
  files?: readonly string[];
};

const kubernetes = (name: string, versionArgs: readonly string[]): Tool => ({
  folder: 'kubernetes',
  module: 'k8s.io/kubernetes',
  package: `k8s.io/kubernetes/cmd/${name}`,
  versionArgs,
  stamp: stampKubernetes,
});

const tools = {
  etcd: {
    folder: 'etcd',
    module: 'go.etcd.io/etcd/server/v3',
    package: 'go.etcd.io/etcd/server/v3',
    versionArgs: ['--version'],
  },
  kubectl: kubernetes('kubectl', ['version', '--client']),
  'kube-apiserver': kubernetes('kube-apiserver', ['--version']),
  'kube-controller-manager': kubernetes('kube-controller-manager', ['--version']),
  // Its stages belong to one version, and an installed program has none beside it.
  kwok: {
    folder: 'kwok',
    module: 'sigs.k8s.io/kwok',
    package: 'sigs.k8s.io/kwok/cmd/kwok',
    files: [
      'kustomize/stage/node/fast/node-initialize.yaml',
      'kustomize/stage/pod/fast/pod-ready.yaml',
      'kustomize/stage/pod/fast/pod-delete.yaml',
      'kustomize/stage/pod/fast/pod-complete.yaml',
    ],
  },
  consul: {
    folder: 'consul',
    module: 'github.com/hashicorp/consul',
    package: 'github.com/hashicorp/consul',
    versionArgs: ['version'],
  },
} satisfies Record<string, Tool>;

const javaTools = {
  zookeeper: { folder: 'zookeeper', mainClass: 'org.apache.zookeeper.server.quorum.QuorumPeerMain' },
  // An older Hessian among the jars has classes of the same names.
  nacos: { folder: 'nacos', mainClass: 'NacosServer', source: 'NacosServer.java', firstJar: 'hessian-4' },
} satisfies Record<string, JavaTool>;

type JavaToolName = keyof typeof javaTools;

export type ToolName = keyof typeof tools | JavaToolName;

export const toolNames = Object.keys({ ...tools, ...javaTools }) as readonly ToolName[];

function isJavaTool(name: ToolName): name is JavaToolName {
  return name in javaTools;
}

/**
 * The path of each program: from KUBEBUILDER_ASSETS, else PATH, else the cache, into which it is built when missing.
 * An installed program is taken when it has the pinned minor version: what tests rely on (admission rules, API versions,
 * transaction limits) changes between minor versions, not between patches.
 * Servers that are Java libraries are a start script in the cache.
 * Rejects, naming what is missing, when Go, or Java and Maven, are needed and not there.
 */
export async function ensureTools<Name extends ToolName>(names: readonly Name[]): Promise<Record<Name, string>> {
  const paths = {} as Record<Name, string>;
  for (const name of names) paths[name] = await ensureTool(name);
  return paths;
}

function ensureTool(name: ToolName): Promise<string> {
  return isJavaTool(name) ? ensureJavaTool(name, javaTools[name]) : ensureGoTool(name, tools[name]);
}

async function ensureGoTool(name: string, tool: Tool): Promise<string> {
  const pins = { folder: join(import.meta.dirname, tool.folder), files: ['go.mod', 'go.sum'] };
  return (await findInstalled(name, tool)) ?? findOrBuild(name, pins, (path) => build(name, tool, path));
}

/** Directory of the extra files of a tool that `ensureTools` gave. */
export function toolFiles(path: string, name: ToolName): string {
  return join(dirname(path), `${name}-files`);
}

async function findInstalled(name: string, tool: Tool): Promise<string | undefined> {
  if (tool.versionArgs === undefined) return undefined;
  const wanted = minorOf(await pinnedVersion(tool));
  const directories = [process.env['KUBEBUILDER_ASSETS'], ...(process.env['PATH'] ?? '').split(delimiter)];
  for (const directory of directories) {
    if (directory === undefined || directory === '') continue;
    const path = join(directory, name);
    if (!(await isExecutable(path))) continue;
    const { stdout } = await run(path, [...tool.versionArgs], { timeout: 20_000 }).catch(() => ({ stdout: '' }));
    // A suffix (+ent, -dev, -beta.0) is another program than the one that is pinned.
    const version = /\bv?(\d+\.\d+\.\d+)(?![\w.+-])/.exec(stdout)?.[1];
    if (version !== undefined && minorOf(version) === wanted) return path;
    if (directory === process.env['KUBEBUILDER_ASSETS'])
      progress(`${path} is ${version ?? 'of unknown version'}, not ${wanted}: not used`);
  }
  return undefined;
}

async function build(name: string, tool: Tool, path: string): Promise<void> {
  const cwd = join(import.meta.dirname, tool.folder);
  const version = await pinnedVersion(tool);
  const { stdout: goVersion } = await run('go', ['version']).catch(() => {
    throw new Error(
      `${name} ${version} is not installed and has to be built, but the Go compiler is missing: ` +
        `install Go (see ${join(cwd, 'go.mod')} for the version) from https://go.dev/dl, or put ${name} ${minorOf(version)} on PATH`,
    );
  });
  const temporary = `${path}.${process.pid}`;
  const ldflags = `-s -w ${tool.stamp?.(version) ?? ''}`.trim();
  const how = `building with ${goVersion.split(' ')[2]} (minutes when Go's cache is cold)`;
  await withProgress(`${name} ${version}`, how, async () => {
    try {
      await go(name, cwd, ['build', '-trimpath', `-ldflags=${ldflags}`, '-o', temporary, tool.package]);
      if (tool.files !== undefined) await copyFiles(tool, cwd, `${path}-files`);
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  });
}

function go(name: string, cwd: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    // GOWORK: a workspace above the checkout would replace the pinned versions.
    const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' };
    const child = spawn('go', [...args], { cwd, env, stdio: ['ignore', 'inherit', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors = (errors + chunk).slice(-4000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${name} could not be built in ${cwd} (go ended with ${code}):\n${errors.trim()}`));
    });
  });
}

async function copyFiles(tool: Tool, cwd: string, directory: string): Promise<void> {
  const { stdout } = await run('go', ['list', '-m', '-f', '{{.Dir}}', tool.module], { cwd });
  await mkdir(directory, { recursive: true });
  for (const file of tool.files ?? [])
    await copyFile(join(stdout.trim(), file), join(directory, file.replace(/.*\//, '')));
}

async function pinnedVersion(tool: Tool): Promise<string> {
  const text = await readFile(join(import.meta.dirname, tool.folder, 'go.mod'), 'utf8');
  const line = text.split('\n').find((candidate) => candidate.trim().startsWith(`${tool.module} v`));
  const version = line === undefined ? undefined : / v(\S+)/.exec(line)?.[1];
  if (version === undefined) throw new Error(`test/tools/${tool.folder}/go.mod does not require ${tool.module}`);
  return version;
}

function stampKubernetes(version: string): string {
  const [major, minor] = version.split('.');
  const fields = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean', gitCommit: '' };
  return Object.entries(fields)
    .map(([field, value]) => `-X k8s.io/component-base/version.${field}=${value}`)
    .join(' ');
}

function minorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

if (import.meta.main) {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !toolNames.some((known) => known === name));
  if (asked.length === 0 || unknown.length > 0) {
    process.stderr.write(
      `${unknown.length > 0 ? `unknown: ${unknown.join(' ')}; ` : ''}tools are: ${toolNames.join(' ')}\n`,
    );
    process.exit(2);
  }
  try {
    for (const path of Object.values(await ensureTools(asked as ToolName[]))) process.stdout.write(`${path}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
