// The operator as it is installed, the bundle, as a process that may be ended before it serves.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type EndingProcess, onFreePorts, openProcess, openScratch } from '../servers/process.ts';

export interface Replica {
  readonly process: EndingProcess;
  /** The text of one of its pages; undefined while it serves nothing. */
  page(path: string): Promise<string | undefined>;
  /** Defects that it told of, and whatever it wrote that is no line of its log. */
  complaints(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

export interface ReplicaOptions {
  readonly program: string;
  readonly kubeconfig: string;
  readonly clusterName: string;
  readonly args: readonly string[];
}

const ROOT = join(import.meta.dirname, '..', '..');

/** Path of the bundle. */
export async function buildProgram(): Promise<string> {
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts', 'bundle.ts')]);
  return join(ROOT, 'dist', 'roster.mjs');
}

/** Resolves as soon as the process is there; so does `restart` of it. */
export async function openReplica({ program, kubeconfig, clusterName, args }: ReplicaOptions): Promise<Replica> {
  const scratch = await openScratch('replica');
  return onFreePorts(['http'], async ({ http }) => {
    const started = await openProcess({
      name: `roster-${clusterName}`,
      command: process.execPath,
      args: [
        program,
        'run',
        `--cluster-name=${clusterName}`,
        `--kubeconfig=${kubeconfig}`,
        `--http-address=127.0.0.1:${http}`,
        ...args,
      ],
      logPath: join(scratch.path, 'log'),
      scratch: scratch.path,
      ready: async () => true,
    });
    return {
      process: started,
      async page(path) {
        try {
          const response = await fetch(`http://127.0.0.1:${http}${path}`, { signal: AbortSignal.timeout(5_000) });
          return response.ok ? await response.text() : undefined;
        } catch {
          return undefined;
        }
      },
      async complaints() {
        const lines = (await readFile(started.logPath, 'utf8')).split('\n');
        // A killed process may leave a part of a line.
        const whole = lines.filter((line) => line.startsWith('{') && line.endsWith('}'));
        const errors = whole.filter((line) => JSON.parse(line).level === 'error');
        return [...errors, ...lines.filter((line) => line !== '' && !line.startsWith('{'))];
      },
      async stop() {
        await started.stop();
        await scratch.remove();
      },
    };
  });
}
