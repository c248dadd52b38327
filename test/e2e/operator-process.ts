import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MAIN } from '../cli/roster.ts';
import { answers, type EndingProcess, onFreePorts, openProcess, openScratch } from '../servers/process.ts';
import type { Json } from './kube.ts';

export interface OperatorProcess {
  readonly process: EndingProcess;
  /** `http://127.0.0.1:port`, the same after a restart. */
  readonly url: string;
  /** Status and text of one of its HTTP pages. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Everything that it wrote to its output, over restarts. */
  output(): Promise<string>;
  /** Its log, one object a line, over restarts. */
  log(): Promise<readonly Json[]>;
  /** The lines of changes that reached a registry, by name of the registry. */
  changes(registry: string): Promise<readonly Json[]>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export interface OperatorOptions {
  readonly kubeconfig: string;
  readonly clusterName: string;
  readonly args?: readonly string[];
}

/** `roster run` as a user starts it. It ends with the test, however that ends. Resolves when it is ready. */
export async function openOperatorProcess(options: OperatorOptions): Promise<OperatorProcess> {
  const scratch = await openScratch('operator');
  return onFreePorts(['http'], async ({ http }) => {
    const url = `http://127.0.0.1:${http}`;
    const started = await openProcess({
      name: `roster-${options.clusterName}`,
      command: process.execPath,
      args: [
        MAIN,
        'run',
        `--cluster-name=${options.clusterName}`,
        `--kubeconfig=${options.kubeconfig}`,
        // Where the real servers of the tests are, also for Registries of namespaces.
        '--tenant-registry-networks=127.0.0.0/8',
        `--http-address=127.0.0.1:${http}`,
        ...(options.args ?? []),
      ],
      logPath: join(scratch.path, 'log'),
      scratch: scratch.path,
      ready: () => answers(`${url}/readyz`),
    });
    const output = () => readFile(started.logPath, 'utf8');
    const log = async () => {
      const lines = (await output()).split('\n').filter((line) => line.startsWith('{'));
      // The last one may still be on its way.
      return lines.flatMap((line) => (line.endsWith('}') ? [JSON.parse(line)] : []));
    };
    return {
      process: started,
      url,
      output,
      log,
      async get(path) {
        const response = await fetch(url + path, { signal: AbortSignal.timeout(5_000) });
        return { status: response.status, text: await response.text() };
      },
      async changes(registry) {
        return (await log()).filter((line) => line.action !== undefined && line.registry === registry);
      },
      async stop() {
        await started.stop();
        await scratch.remove();
      },
    };
  });
}
