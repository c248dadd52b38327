// Where the demo plays: on servers of its own that end with it, on those of `make dev-up` (KEEP=1), or on the cluster of
// the kubeconfig (CLUSTER=current).
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openConsul } from '../servers/consul.ts';
import { openControlPlane } from '../servers/control-plane.ts';
import { paths } from '../servers/dev-state.ts';
import { openOperator } from '../servers/operator.ts';
import { ensureTools } from '../tools/build.ts';

export type RegistryType = 'memory' | 'consul';

export type Stage = {
  readonly clusterName: string;
  readonly namespace: string;
  /** Of the ClusterRegistry. */
  readonly registryName: string;
  /** Absent: the current context by the rules of kubectl. */
  readonly kubeconfig: string | undefined;
  readonly consulAddress: string | undefined;
  /** Runs kubectl and resolves with what it prints. */
  kubectl(args: readonly string[], stdin?: string): Promise<string>;
  /** The operator, started now unless it runs already. Gives its URL and, where it is ours, the path of its log. */
  startOperator(): Promise<{ readonly url: string; readonly logPath?: string }>;
  /** The last words, after \`close\`. */
  readonly farewell: string;
};

/** What must be ended: the last opened goes first. */
export type Closing = { add(close: () => Promise<unknown>): void; close(): Promise<void> };

export function openClosing(): Closing {
  const closers: (() => Promise<unknown>)[] = [];
  return {
    add: (close) => closers.push(close),
    async close() {
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
    },
  };
}

/** Tells that a part is there: its name, and a word about it. */
export type OnPart = (part: string) => void;

const crds = join(paths.root, 'crds');

export async function openLocalStage(registry: RegistryType, closing: Closing, onPart: OnPart): Promise<Stage> {
  const plane = await openControlPlane();
  closing.add(plane.stop);
  onPart('control plane: kube-apiserver, controller manager, etcd, and KWOK for the Pods');
  const consulAddress = registry === 'consul' ? await startConsul(closing, onPart) : undefined;
  await installKinds((args) => plane.kubectl(args));
  onPart("Roster's four kinds installed");
  return {
    clusterName: 'demo',
    namespace: 'roster-demo',
    registryName: registry,
    kubeconfig: plane.kubeconfig,
    consulAddress,
    kubectl: (args, stdin) => plane.kubectl(args, stdin === undefined ? {} : { stdin }),
    async startOperator() {
      const operator = await openOperator({ kubeconfig: plane.kubeconfig, clusterName: 'demo' });
      closing.add(operator.stop);
      return operator;
    },
    farewell: 'Everything is down again. KEEP=1 leaves it up to look around, REGISTRY=consul takes a real Consul.',
  };
}

/** With all that `make dev-up ROSTER=1` starts, left up in the end. */
export async function openKeptStage(registry: RegistryType, onPart: OnPart): Promise<Stage> {
  const env = { ...process.env, ROSTER: '1', REGISTRIES: registry === 'consul' ? 'consul' : '' };
  await run(process.execPath, [join(paths.root, 'test', 'servers', 'dev-up.ts')], env);
  const lines = (await readFile(paths.env, 'utf8')).split('\n').map((line) => line.split(/=(.*)/));
  const { KUBECONFIG: kubeconfig = '', CONSUL_ADDR, ROSTER_URL: url = '' } = Object.fromEntries(lines);
  onPart('control plane, registry and operator of make dev-up');
  return {
    clusterName: 'dev',
    namespace: 'roster-demo',
    registryName: registry,
    kubeconfig,
    consulAddress: registry === 'consul' ? CONSUL_ADDR : undefined,
    kubectl: (args, stdin) =>
      run(join(paths.bin, 'kubectl'), [`--kubeconfig=${kubeconfig}`, ...args], process.env, stdin),
    startOperator: async () => ({ url }),
    farewell: [
      'Everything is still up. Look around, and end it with `make dev-down`:',
      '  set -a; . .dev/env; set +a; PATH=$PWD/.dev/bin:$PATH',
      '  kubectl get roster -A; roster status -A; roster explain roster-demo/web --cluster-name dev',
    ].join('\n'),
  };
}

/** In a namespace of its own, with the operator as a process of this machine. Leaves the cluster as it found it. */
export async function openCurrentStage(registry: RegistryType, closing: Closing, onPart: OnPart): Promise<Stage> {
  const name = `roster-demo-${randomBytes(3).toString('hex')}`;
  const kubectlPath = await run('kubectl', ['version', '--client'], process.env).then(
    () => 'kubectl',
    async () => (await ensureTools(['kubectl'])).kubectl,
  );
  const kubectl = (args: readonly string[], stdin?: string) => run(kubectlPath, args, process.env, stdin);
  const context = (await kubectl(['config', 'current-context'])).trim();
  const hadKinds = await checkIsUnused(kubectl, context);
  onPart(`cluster of the context ${context}, namespace ${name}`);
  if (!hadKinds) {
    closing.add(() => kubectl(['delete', '--ignore-not-found', '-f', crds]));
    await installKinds(kubectl);
    onPart("Roster's four kinds installed, until the end of this demo");
  }
  const consulAddress = registry === 'consul' ? await startConsul(closing, onPart) : undefined;
  closing.add(() => kubectl(['delete', '--ignore-not-found', `clusterregistry/${name}`, `namespace/${name}`]));
  return {
    clusterName: name,
    namespace: name,
    registryName: name,
    kubeconfig: undefined,
    consulAddress,
    kubectl,
    async startOperator() {
      const operator = await openOperator({ clusterName: name });
      closing.add(operator.stop);
      // While the operator runs: it holds the registrations until their entries are gone.
      const registrations = [`clusterserviceregistration/${name}`, '-n', name, 'serviceregistration/web'];
      closing.add(() => kubectl(['delete', '--ignore-not-found', ...registrations]));
      return operator;
    },
    farewell: 'The cluster is as it was before.',
  };
}

async function startConsul(closing: Closing, onPart: OnPart): Promise<string> {
  const consul = await openConsul();
  closing.add(consul.stop);
  onPart(`Consul at ${consul.address}`);
  return consul.address;
}

/** True when the kinds are there. Rejects when objects of them are: the demo's operator would act on those too. */
async function checkIsUnused(kubectl: Stage['kubectl'], context: string): Promise<boolean> {
  const found = await kubectl(['get', 'crd', '-o', 'name']);
  if (!found.includes('.roster.dev')) return false;
  const objects = (await kubectl(['get', 'roster', '-A', '-o', 'name'])).trim();
  if (objects === '') return true;
  const count = objects.split('\n').length;
  throw new Error(
    `the cluster of the context ${context} has ${count} objects of Roster already, on which the operator of this demo would act too; choose another cluster`,
  );
}

async function installKinds(kubectl: Stage['kubectl']): Promise<void> {
  await kubectl(['apply', '--server-side', '-f', crds]);
  await kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', crds]);
}

/** Resolves with the standard output; rejects with what the program said when it ends with another code than 0. */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv, stdin?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      [...args],
      { env, timeout: 600_000, maxBuffer: 16 * 1024 * 1024 },
      (error, out, err) => {
        if (error === null) resolve(out);
        else reject(new Error(err.trim() === '' ? error.message : err.trim()));
      },
    );
    // A program may end, with an error that says more, before it has read everything.
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin ?? '');
  });
}
