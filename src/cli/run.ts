import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { type Config, readConfig, settings } from '../config.ts';
import { observed } from '../kubernetes/observed-client.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { openServer } from '../telemetry/server.ts';
import { settingOption } from './options.ts';
import { CommandError, EXIT, openCluster, type Terminal } from './terminal.ts';

const DRAIN_MS = 10_000;
const POD_NAMESPACE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

export function addRun(program: Command, terminal: Terminal, version: string): void {
  const command = program.command('run').description('the operator');
  for (const setting of Object.values(settings)) command.addOption(settingOption(setting));
  command.action(async (flags: Readonly<Record<string, unknown>>) => {
    const podNamespace = readPodNamespace();
    const outcome = readConfig(flags, { env: terminal.env, ...(podNamespace !== undefined && { podNamespace }) });
    if (!outcome.ok) throw new CommandError(outcome.errors.join('\n'), EXIT.usage);
    // Whatever a stuck operator still holds open must not keep the process.
    terminal.exit(await run(outcome.config, version, terminal));
  });
}

function readPodNamespace(): string | undefined {
  try {
    return readFileSync(POD_NAMESPACE, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Until the signal aborts; 0 when everything in flight was written by then, else 1. */
async function run(config: Config, version: string, { signal }: Terminal): Promise<number> {
  const { clusterName: cluster, endpointsSource, logLevel: level, httpAddress } = config;
  const log = createLog({ level });
  const metrics = createMetrics({ version });
  exitOnDefect(log);
  logWarnings(log);

  const { openOperator } = await import('../operator/operator.ts');
  const client = observed(await openCluster(config), metrics.observeKubeRequest);
  const operator = openOperator({ config, client, log, metrics, clock: systemClock, random: Math.random });
  const server = await openServer(httpAddress, {
    live: () => operator.live(),
    ready: () => operator.ready(),
    scrape: metrics.scrape,
    registrySnapshot: (name) => operator.registrySnapshot(name),
    summary: () => ({ cluster, version, ...operator.summary() }),
  });
  log.info({ version, cluster, endpointsSource, apiServer: client.server, httpPort: server.port }, 'roster started');
  try {
    const end = await untilStopped(operator.run(signal), signal, () => log.info({ limitMs: DRAIN_MS }, 'stopping'));
    if (end === 'drained') log.info({}, 'stopped');
    else log.warn({ limitMs: DRAIN_MS }, 'stopped before everything was written; the next start makes up for it');
    return end === 'drained' ? 0 : EXIT.failure;
  } catch (err) {
    log.error({ err }, 'the operator failed');
    return EXIT.failure;
  } finally {
    await Promise.allSettled([server.close(), client.close()]);
  }
}

/** The operator ends by itself after the abort; one that takes too long is left behind. */
function untilStopped(running: Promise<void>, signal: AbortSignal, onStop: () => void): Promise<'drained' | 'late'> {
  return new Promise((resolve, reject) => {
    let cancel = () => {};
    const stop = () => {
      onStop();
      cancel = systemClock.setTimer(DRAIN_MS, () => resolve('late'));
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    running.then(() => resolve('drained'), reject).finally(() => cancel());
  });
}

/** Those of Node and of libraries, which Node writes as plain text: whoever reads the log expects one object a line. */
function logWarnings(log: Log): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ warning: name }, message));
}

function exitOnDefect(log: Log): void {
  const stop = (err: unknown) => {
    log.error({ err }, 'stopped by a defect');
    process.exit(EXIT.failure);
  };
  process.on('unhandledRejection', stop);
  process.on('uncaughtException', stop);
}
