// The operator as a process of its own, from the bundle that ships or from the sources with a defence switched off.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openProcess } from '../../servers/process.ts';
import type { Json } from '../api-server.ts';
import type { Defence } from '../naive/builds.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const BUNDLE = join(ROOT, 'dist', 'roster.mjs');
const NAIVE = join(ROOT, 'test', 'faults', 'naive', 'process.ts');

/** So that a start takes a third of what it takes from the sources. */
export const bundle = async (): Promise<void> => {
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts', 'bundle.ts')]);
};

export interface OperatorOptions {
  readonly directory: string;
  /** Of the files that it leaves. */
  readonly name: string;
  /** `http://127.0.0.1:port` of an API server. */
  readonly api: string;
  readonly token: string;
  readonly clusterName: string;
  readonly elects: boolean;
  readonly without: Defence | undefined;
}

export interface Operator {
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** One object a line. */
  log(): Promise<readonly Json[]>;
  /** What the process has written that is no line of the log. */
  stray(): Promise<readonly string[]>;
}

/** It does not wait until it is ready: whether it ever becomes so is for the plan. */
export async function startOperator(options: OperatorOptions): Promise<Operator> {
  const { directory, name, clusterName, without } = options;
  const kubeconfig = join(directory, `${name}.kubeconfig`);
  await writeFile(kubeconfig, JSON.stringify(kubeconfigOf(options)), { mode: 0o600 });
  const flags = [
    `--cluster-name=${clusterName}`,
    `--kubeconfig=${kubeconfig}`,
    '--endpoints-source=EndpointSlice',
    '--http-address=127.0.0.1:0',
    `--leader-elect=${options.elects}`,
  ];
  const started = await openProcess({
    name: `roster-${name}`,
    command: process.execPath,
    args: without === undefined ? [BUNDLE, 'run', ...flags] : [NAIVE, 'run', ...flags],
    env: without === undefined ? {} : { ROSTER_WITHOUT: without },
    logPath: join(directory, `${name}.log`),
    ready: async () => true,
  });
  const lines = async () => (await readFile(started.logPath, 'utf8')).split('\n').filter((line) => line !== '');
  return {
    kill: started.kill,
    // The last one may still be on its way.
    log: async () => (await lines()).flatMap((line) => (/^\{.*\}$/.test(line) ? [JSON.parse(line)] : [])),
    stray: async () => (await lines()).filter((line) => !line.startsWith('{')),
  };
}

const kubeconfigOf = ({ api, token }: OperatorOptions) => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'lab',
  clusters: [{ name: 'lab', cluster: { server: api, 'insecure-skip-tls-verify': true } }],
  users: [{ name: 'lab', user: { token } }],
  contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
});
