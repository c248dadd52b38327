import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { join } from 'node:path';
import { ensureTools, toolFiles } from '../tools/build.ts';
import { type Etcd, openEtcd } from './etcd.ts';
import { onFreePorts, openProcess, openScratch, type ServerProcess } from './process.ts';

export type ControlPlaneOptions = {
  /** Kept. Default: a temporary directory that `stop` removes. */
  directory?: string;
  outlive?: boolean;
  /** Further flags of the API server. */
  apiServerArgs?: readonly string[];
};

/** What a client of a control plane needs; all there is to one that somebody else started. */
export type ControlPlane = {
  /** `https://127.0.0.1:port` */
  readonly url: string;
  /** PEM file that the API server's certificate is to be checked with. */
  readonly caFile: string;
  /** Path of a kubeconfig with every right (group system:masters). */
  readonly kubeconfig: string;
  /** Path of kubectl. */
  readonly kubectlPath: string;
  /** Bearer tokens: `admin` may do everything, `nobody` is a known user without a single role. */
  readonly tokens: { readonly admin: string; readonly nobody: string };
  /** Name of the Node on which Pods become ready. Pods that name no Node are put there. */
  readonly nodeName: string;
  /**
   * Runs kubectl as admin and resolves with its standard output. Rejects with `KubectlError` when it ends with another
   * code than 0. Ended after 60 s.
   */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** Applies manifests, in YAML or as objects, by server-side apply. */
  apply(manifests: string | readonly object[]): Promise<string>;
  /** Writes a kubeconfig for a token, with `namespace` as that of its context, and gives its path. */
  kubeconfigFor(token: string, namespace?: string): Promise<string>;
  /** A token of a ServiceAccount, valid for an hour, to act with that account's rights. */
  serviceAccountToken(namespace: string, name: string): Promise<string>;
};

export type KubectlOptions = {
  stdin?: string;
  /** Instead of admin's. */
  kubeconfig?: string;
};

export class KubectlError extends Error {
  readonly stderr: string;
  readonly stdout: string;
  readonly code: number;
  constructor(args: readonly string[], result: { code: number; stdout: string; stderr: string }) {
    super(`kubectl ${args.join(' ')} ended with ${result.code}: ${result.stderr.trim()}`);
    this.stderr = result.stderr;
    this.stdout = result.stdout;
    this.code = result.code;
  }
}

/** A control plane whose parts can be frozen, crashed and restarted one by one. */
export type ControlPlaneServers = ControlPlane & {
  readonly servers: Readonly<Record<'apiServer' | 'controllerManager' | 'kwok', ServerProcess>> & {
    readonly etcd: Etcd;
  };
  readonly directory: string;
  stop(): Promise<void>;
};

export const nodeName = 'fake-node';

/** A client of the control plane behind an admin kubeconfig of `openControlPlane`, found in that one's directory. */
export async function controlPlaneIn(directory: string): Promise<ControlPlane> {
  const { kubectl: kubectlPath } = await ensureTools(['kubectl']);
  const { url, tokens } = JSON.parse(await readFile(join(directory, 'access.json'), 'utf8'));
  const caFile = join(directory, 'certificates', 'apiserver.crt');
  const kubeconfig = join(directory, 'admin.kubeconfig');

  function kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        kubectlPath,
        [`--kubeconfig=${options.kubeconfig ?? kubeconfig}`, ...args],
        // A cache of discovery of its own: another control plane may have served on the same port.
        {
          timeout: 60_000,
          maxBuffer: 256 * 1024 * 1024,
          env: { ...process.env, KUBECACHEDIR: join(directory, 'cache') },
        },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else
            reject(new KubectlError(args, { code: typeof error.code === 'number' ? error.code : 1, stdout, stderr }));
        },
      );
      // kubectl may end, with an error that says more, before it has read everything.
      child.stdin?.on('error', () => {});
      child.stdin?.end(options.stdin ?? '');
    });
  }

  return {
    url,
    caFile,
    kubeconfig,
    kubectlPath,
    tokens,
    nodeName,
    kubectl,
    apply(manifests) {
      const stdin =
        typeof manifests === 'string'
          ? manifests
          : JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests });
      return kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { stdin });
    },
    async kubeconfigFor(token, namespace) {
      const path = join(directory, `${randomUUID()}.kubeconfig`);
      await writeKubeconfig(path, { url, caFile, token, ...(namespace === undefined ? {} : { namespace }) });
      return path;
    },
    async serviceAccountToken(namespace, name) {
      return (await kubectl(['create', 'token', name, `--namespace=${namespace}`, '--duration=1h'])).trim();
    },
  };
}

/** etcd, API server, controller manager (Deployments to EndpointSlices, garbage, namespaces) and KWOK with one Node. */
export async function openControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlaneServers> {
  const tools = await ensureTools(['etcd', 'kube-apiserver', 'kube-controller-manager', 'kwok', 'kubectl']);
  const scratch = await openScratch('control-plane', options.directory);
  const at = (name: string) => join(scratch.path, name);
  const common = {
    ...(options.directory === undefined ? { scratch: scratch.path } : {}),
    ...(options.outlive === undefined ? {} : { outlive: options.outlive }),
  };
  const opened: ServerProcess[] = [];
  async function stop(): Promise<void> {
    // The last one started goes first: nothing then complains about what it depends on.
    for (const server of opened.toReversed()) await server.stop();
    await scratch.remove();
  }

  try {
    const etcd = await openEtcd({ ...common, fsync: false, directory: at('etcd') });
    opened.push(etcd);
    const tokens = { admin: randomUUID(), nobody: randomUUID() };
    await mkdir(at('certificates'), { recursive: true });
    await writeFile(
      at('tokens.csv'),
      `${tokens.admin},admin,admin,"system:masters"\n${tokens.nobody},nobody,nobody,"nobodies"\n`,
      { mode: 0o600 },
    );
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(at('service-account.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });

    const { apiServer, url } = await onFreePorts(['secure'], async (ports) => {
      const url = `https://127.0.0.1:${ports.secure}`;
      const apiServer = await openProcess({
        ...common,
        name: 'kube-apiserver',
        command: tools['kube-apiserver'],
        args: [
          `--etcd-servers=${etcd.address}`,
          `--secure-port=${ports.secure}`,
          '--bind-address=127.0.0.1',
          // Only written into the Endpoints of the Service kubernetes. By default the address of the network card, and
          // no start at all on a machine without one.
          '--advertise-address=198.51.100.1',
          `--cert-dir=${at('certificates')}`,
          `--service-account-key-file=${at('service-account.key')}`,
          `--service-account-signing-key-file=${at('service-account.key')}`,
          '--service-account-issuer=https://kubernetes.default.svc',
          '--service-cluster-ip-range=10.96.0.0/16',
          '--authorization-mode=RBAC',
          `--token-auth-file=${at('tokens.csv')}`,
          // It would wait for tokens to be mounted into Pods that nobody runs.
          '--disable-admission-plugins=ServiceAccount',
          // Tests and benchmarks are many clients under one name; fairness among them is not what is tested.
          '--max-requests-inflight=2000',
          '--max-mutating-requests-inflight=1000',
          ...(options.apiServerArgs ?? []),
        ],
        logPath: at('kube-apiserver.log'),
        ready: () => isReady(`${url}/readyz`, at('certificates/apiserver.crt')),
      });
      return { apiServer, url };
    });
    opened.push(apiServer);
    await writeFile(at('access.json'), JSON.stringify({ url, tokens }), { mode: 0o600 });
    const admin = { url, caFile: at('certificates/apiserver.crt'), token: tokens.admin };
    await writeKubeconfig(at('admin.kubeconfig'), admin);
    const access = await controlPlaneIn(scratch.path);
    await access.apply(await readFile(join(import.meta.dirname, 'control-plane.yaml'), 'utf8'));

    const controllerManager = await onFreePorts(['secure'], (ports) =>
      openProcess({
        ...common,
        name: 'kube-controller-manager',
        command: tools['kube-controller-manager'],
        args: [
          `--kubeconfig=${at('admin.kubeconfig')}`,
          '--bind-address=127.0.0.1',
          `--secure-port=${ports.secure}`,
          `--cert-dir=${at('certificates')}`,
          `--service-account-private-key-file=${at('service-account.key')}`,
          `--controllers=${controllers.join(',')}`,
          '--leader-elect=false',
          '--kube-api-qps=1000',
          '--kube-api-burst=2000',
          '--concurrent-gc-syncs=5',
        ],
        logPath: at('kube-controller-manager.log'),
        ready: () =>
          isReady(`https://127.0.0.1:${ports.secure}/healthz`, at('certificates/kube-controller-manager.crt')),
      }),
    );
    opened.push(controllerManager);

    const stages = toolFiles(tools.kwok, 'kwok');
    const kwok = await onFreePorts(['web'], (ports) =>
      openProcess({
        ...common,
        name: 'kwok',
        command: tools.kwok,
        args: [
          `--kubeconfig=${at('admin.kubeconfig')}`,
          '--manage-all-nodes=true',
          '--node-ip=10.90.0.1',
          '--cidr=10.128.0.1/16',
          `--server-address=127.0.0.1:${ports.web}`,
          ...stageFiles.map((file) => `--config=${join(stages, file)}`),
        ],
        logPath: at('kwok.log'),
        ready: async () => {
          const ready = `jsonpath={.status.conditions[?(@.type=="Ready")].status}`;
          return (await access.kubectl(['get', 'node', nodeName, '-o', ready])) === 'True';
        },
      }),
    );
    opened.push(kwok);
    return { ...access, servers: { etcd, apiServer, controllerManager, kwok }, directory: scratch.path, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const controllers = [
  'endpoints-controller',
  'endpointslice-controller',
  'endpointslice-mirroring-controller',
  'namespace-controller',
  'garbage-collector-controller',
  'deployment-controller',
  'replicaset-controller',
  'serviceaccount-controller',
  'service-cidr-controller',
];

const stageFiles = ['node-initialize.yaml', 'pod-ready.yaml', 'pod-delete.yaml', 'pod-complete.yaml'];

async function isReady(url: string, certificatePath: string): Promise<boolean> {
  const ca = await readFile(certificatePath);
  return new Promise((resolve, reject) => {
    const request = get(url, { ca, agent: false, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy(new Error('no answer within 2 s')));
    request.once('error', reject);
  });
}

type Access = { url: string; caFile: string; token: string; namespace?: string };

async function writeKubeconfig(path: string, { url, caFile, token, namespace }: Access): Promise<void> {
  // By value: the file is enough by itself, wherever it is copied to.
  const ca = await readFile(caFile, 'base64');
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'roster',
    clusters: [{ name: 'roster', cluster: { server: url, 'certificate-authority-data': ca } }],
    users: [{ name: 'roster', user: { token } }],
    contexts: [
      {
        name: 'roster',
        context: { cluster: 'roster', user: 'roster', ...(namespace === undefined ? {} : { namespace }) },
      },
    ],
  };
  // JSON is YAML.
  await writeFile(path, `${JSON.stringify(kubeconfig, null, 2)}\n`, { mode: 0o600 });
}
