#!/usr/bin/env node
import { basename } from 'node:path';
import { Command, CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { addAdopt } from './cli/adopt.ts';
import { addDiff } from './cli/diff.ts';
import { addExplain } from './cli/explain.ts';
import { addPlan } from './cli/plan.ts';
import { addRelease } from './cli/release.ts';
import { addRun } from './cli/run.ts';
import { addStatus } from './cli/status.ts';
import { oneLine } from './cli/table.ts';
import { CommandError, EXIT, type Terminal } from './cli/terminal.ts';

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The second one is from someone who does not want to wait.
    if (interrupted.signal.aborted) process.exit(EXIT.failure);
    interrupted.abort(new Error(`stopped by ${name}`));
  });
}

const terminal: Terminal = {
  env: process.env,
  nowMs: Date.now,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  setExitCode: (code) => {
    process.exitCode = code;
  },
  exit: (code) => process.exit(code),
  signal: interrupted.signal,
};

// `roster plan | head`: the reader has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

/** kubectl finds plugins by their file name. */
const asPlugin = basename(process.argv[1] ?? '').startsWith('kubectl-');

const program = new Command()
  .name(asPlugin ? 'kubectl roster' : 'roster')
  .description('Keeps external service registries in step with a Kubernetes cluster.')
  .version(packageJson.version)
  .exitOverride();

addRun(program, terminal, packageJson.version);
addPlan(program, terminal);
addDiff(program, terminal);
addStatus(program, terminal);
addExplain(program, terminal);
addRelease(program, terminal);
addAdopt(program, terminal);

try {
  await program.parseAsync();
} catch (error) {
  terminal.setExitCode(reported(error));
}

/** The exit code. */
function reported(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
  const message = error instanceof Error ? error.message : String(error);
  for (const line of message.split('\n')) terminal.err(`roster: ${oneLine(line)}\n`);
  return error instanceof CommandError ? error.exitCode : EXIT.failure;
}
