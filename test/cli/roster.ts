import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const LIMIT_MS = 60_000;

/** Runs the command line as a process of its own, with nothing but PATH and `env` in its environment. */
export function roster(args: readonly string[], env: Record<string, string> = {}, script = MAIN): Promise<Ended> {
  const options = { env: { PATH: process.env['PATH'] ?? '', ...env }, timeout: LIMIT_MS };
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) => {
      // Else a test would tell of an answer without a word in it.
      const ended = error?.killed === true ? `\nended by the test after ${LIMIT_MS / 1000} s` : '';
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr: stderr + ended });
    });
  });
}
