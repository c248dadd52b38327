// `roster run` as a process, as users run it.
import { join } from 'node:path';
import { answers, onFreePorts, openProcess, openScratch, type ServerProcess } from './process.ts';

export type OperatorOptions = {
  /** Default: the current context by the rules of kubectl. */
  kubeconfig?: string;
  clusterName: string;
  /** What Node runs. Default: src/main.ts. */
  program?: string;
  /** Flags of Node itself. */
  nodeArgs?: readonly string[];
};

/** Ready when it serves `/readyz`. Its log, one JSON object a line, is at `logPath`. */
export type Operator = ServerProcess & {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Ends it, and keeps its log for the start that follows. */
  halt(): Promise<void>;
};

const root = join(import.meta.dirname, '..', '..');

export async function openOperator(options: OperatorOptions): Promise<Operator> {
  const { kubeconfig, clusterName, program = join(root, 'src', 'main.ts'), nodeArgs = [] } = options;
  const scratch = await openScratch('operator');
  return onFreePorts(['web'], async ({ web }) => {
    const url = `http://127.0.0.1:${web}`;
    const server = await openProcess({
      name: 'roster',
      command: process.execPath,
      args: [
        ...nodeArgs,
        program,
        'run',
        `--cluster-name=${clusterName}`,
        // Where the real servers of the tests are, also for Registries of namespaces.
        '--tenant-registry-networks=127.0.0.0/8',
        `--http-address=127.0.0.1:${web}`,
        ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
      ],
      logPath: join(scratch.path, 'roster.log'),
      ready: () => answers(`${url}/readyz`),
      scratch: scratch.path,
    });
    return {
      url,
      name: server.name,
      logPath: server.logPath,
      get pid() {
        return server.pid;
      },
      kill: server.kill,
      halt: server.stop,
      restart: server.restart,
      async stop() {
        await server.stop();
        await scratch.remove();
      },
    };
  });
}
