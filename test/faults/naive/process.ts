// `roster run` with the defence switched off that ROSTER_WITHOUT names: what src/cli/run.ts puts together, around another operator.
import { systemClock } from '../../../src/clock.ts';
import { readConfig, settings } from '../../../src/config.ts';
import { openKubeClient } from '../../../src/kubernetes/client.ts';
import { createRegistry } from '../../../src/registries/create.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { openServer } from '../../../src/telemetry/server.ts';
import { buildWithout } from './builds.ts';

const given = Object.fromEntries(process.argv.slice(3).map((arg) => arg.replace(/^--/, '').split(/=(.*)/s)));
const flags = Object.fromEntries(Object.entries(settings).map(([key, { flag }]) => [key, given[flag]]));
const outcome = readConfig(flags, { env: {} });
if (!outcome.ok) throw new Error(outcome.errors.join('\n'));
const { config } = outcome;

const version = 'naive';
const build = await buildWithout(process.env['ROSTER_WITHOUT'] ?? '');
const log = createLog({ level: config.logLevel });
const metrics = createMetrics({ version });
const client = await openKubeClient(config);
const operator = build.open({
  config,
  client: build.client?.(client) ?? client,
  log,
  metrics,
  clock: systemClock,
  random: Math.random,
  create(...args) {
    const registry = createRegistry(...args);
    return { ...registry, ...build.registry?.(registry) };
  },
});
const server = await openServer(config.httpAddress, {
  live: () => operator.live(),
  ready: () => operator.ready(),
  scrape: metrics.scrape,
  registrySnapshot: (name) => operator.registrySnapshot(name),
  summary: () => ({ cluster: config.clusterName, version, ...operator.summary() }),
});
log.info({ version, without: process.env['ROSTER_WITHOUT'], httpPort: server.port }, 'roster started');
await operator.run(new AbortController().signal);
