// `make demo`: the main job on a bare machine, shown step by step.
//   REGISTRY=memory|consul   where the Services are mirrored to (default memory)
//   KEEP=1                   leaves everything up; `make dev-down` ends it
//   CLUSTER=current          uses the cluster of the kubeconfig, in a namespace of its own
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type KubeClient, openKubeClient } from '../../src/kubernetes/client.ts';
import { paths } from '../servers/dev-state.ts';
import { until } from '../servers/until.ts';
import { consulView, memoryView, type RegistryView } from './registry-view.ts';
import { sampleManifests } from './samples.ts';
import { command, duration, headline, openSteps, say, show, showEntries } from './screen.ts';
import {
  type OnPart,
  openClosing,
  openCurrentStage,
  openKeptStage,
  openLocalStage,
  type RegistryType,
  run,
  type Stage,
} from './stage.ts';
import { openStopwatch, type Stopwatch, type Timing } from './stopwatch.ts';

const REPLICAS = 3;
const MORE_REPLICAS = 4;
/** Two changes of one Service within moments of each other would be merged. */
const BREATH_MS = 1_000;

const closing = openClosing();
let logPath: string | undefined;
let failing = false;

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => fail(new Error(`stopped by ${signal}`)));

try {
  const type = registryType();
  headline('Roster: the Services of a Kubernetes cluster, mirrored into a registry');
  const step = openSteps();
  const stage = await openStage(type, step);
  await play(stage, step);
  await closing.close();
  say(`\n${stage.farewell}`);
  // What still holds the event loop has no say any more.
  process.exit(0);
} catch (error) {
  await fail(error);
}

function openStage(type: RegistryType, onPart: OnPart): Promise<Stage> {
  if (process.env['CLUSTER'] === 'current') return openCurrentStage(type, closing, onPart);
  return process.env['KEEP'] === '1' ? openKeptStage(type, onPart) : openLocalStage(type, closing, onPart);
}

async function play(on: Stage, step: (done: string) => void): Promise<void> {
  const { namespace, registryName, consulAddress, kubeconfig } = on;
  const manifests = await sampleManifests({
    namespace,
    name: registryName,
    ...(consulAddress === undefined ? {} : { consulAddress }),
  });
  await on.kubectl(
    ['apply', '--server-side', '--force-conflicts', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }),
  );
  await on.kubectl(['rollout', 'status', 'deployment/web', `--namespace=${namespace}`, '--timeout=180s']);
  step(`samples applied: Deployment web with ${REPLICAS} Pods, Services web and api, a registration of either kind`);

  const operator = await on.startOperator();
  logPath = operator.logPath;
  const registry =
    consulAddress === undefined ? memoryView(operator.url, registryName) : await consulView(consulAddress);
  await until(`${2 * REPLICAS} healthy entries in ${registry.title}`, () => complete(registry));
  step('operator started, and everything registered');

  headline(`Registered in ${registry.title}, by its own API (${registry.request})`);
  showEntries(await registry.entries());

  const client = await openKubeClient(kubeconfig === undefined ? {} : { kubeconfig });
  const stopwatch = await openStopwatch(client, registry, { namespace, service: 'web' });
  try {
    await changes(client, stopwatch, on);
  } finally {
    stopwatch.stop();
    await client.close();
  }
  await showCommands(on, registry, operator.url);
}

async function complete(registry: RegistryView): Promise<true | undefined> {
  const healthy = (await registry.entries()).filter((entry) => entry.healthy);
  return healthy.length === 2 * REPLICAS ? true : undefined;
}

async function changes(client: KubeClient, stopwatch: Stopwatch, { namespace }: Stage): Promise<void> {
  headline('Changes, and the time until the registry showed them');
  const signal = AbortSignal.timeout(600_000);
  const patch = (path: string, body: unknown, contentType: string) =>
    client.request({ method: 'PATCH', path, body, contentType, signal });

  const scale = `/apis/apps/v1/namespaces/${namespace}/deployments/web/scale`;
  const replicas = { spec: { replicas: MORE_REPLICAS } };
  const scaleUp = () => patch(scale, replicas, 'application/merge-patch+json');
  const scaled = await stopwatch.time(scaleUp, { ready: MORE_REPLICAS, notReady: 0 });
  tell(`web scaled from ${REPLICAS} to ${MORE_REPLICAS}`, scaled);

  await delay(BREATH_MS);
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const query = { labelSelector: 'app=web' };
  const list = (await client.request({ method: 'GET', path: pods, query, signal })) as PodList;
  // A kubelet would set it right again after some seconds; KWOK lets it stand.
  const notReady = { status: { conditions: [{ type: 'Ready', status: 'False', reason: 'Demo' }] } };
  const status = `${pods}/${list.items[0]?.metadata.name}/status`;
  const flip = () => patch(status, notReady, 'application/strategic-merge-patch+json');
  tell('one Pod no longer ready', await stopwatch.time(flip, { ready: MORE_REPLICAS - 1, notReady: 1 }));
  say(
    '  (What lies between the two is Kubernetes. A quiet Service is written at once, one that just changed waits a moment for more.)',
  );
}

type PodList = { items: { metadata: { name: string } }[] };

function tell(what: string, { afterAnswerMs, afterSliceMs }: Timing): void {
  const whole = `${duration(afterAnswerMs).padStart(7)} after the API server took the change`;
  say(`  ${what.padEnd(26)} ${whole}, ${duration(afterSliceMs)} after its EndpointSlice said so`);
}

async function showCommands(on: Stage, registry: RegistryView, url: string): Promise<void> {
  const { namespace, clusterName, kubeconfig } = on;
  command(`roster explain ${namespace}/web`);
  const args = ['explain', `${namespace}/web`, `--cluster-name=${clusterName}`];
  const file = kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`];
  const main = join(paths.root, 'src', 'main.ts');
  const explained = await run(process.execPath, [main, ...args, ...file], { ...process.env, ROSTER_URL: url });
  show(explained.replaceAll(/\n\n/g, '\n'));

  // A status is written once in 5 s at most.
  await until('the status to tell what the registry holds', async () => {
    const web = (await registry.entries()).filter(({ service }) => service === 'web');
    const counts = 'jsonpath={.status.instances.registered} {.status.instances.healthy}';
    const told = await on.kubectl(['get', 'serviceregistration/web', `--namespace=${namespace}`, '-o', counts]);
    return told === `${web.length} ${web.filter(({ healthy }) => healthy).length}` || undefined;
  });
  command('kubectl get roster -A');
  show((await on.kubectl(['get', 'roster', '-A'])).replaceAll(/\n\n/g, '\n'));
}

function registryType(): RegistryType {
  const text = process.env['REGISTRY'] ?? 'memory';
  if (text === 'memory' || text === 'consul') return text;
  throw new Error(`REGISTRY=${text}: this version of Roster serves memory and consul`);
}

async function fail(error: unknown): Promise<void> {
  // What fails while everything is being ended, fails for that reason.
  if (failing) return;
  failing = true;
  const said = logPath === undefined ? '' : await warnings(logPath);
  const kept = process.env['KEEP'] === '1' ? 'What was started is still up; `make dev-down` ends it.\n' : '';
  process.stderr.write(`\ndemo: ${error instanceof Error ? error.message : String(error)}\n${said}${kept}`);
  await closing.close().catch((reason: unknown) => process.stderr.write(`demo: not all was ended: ${reason}\n`));
  process.exit(1);
}

/** The last lines of the operator's log that tell of trouble. */
async function warnings(path: string): Promise<string> {
  const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n');
  const troubled = lines.filter((line) => /"level":"(warn|error)"/.test(line)).slice(-5);
  return troubled.length === 0 ? '' : `The operator said:\n${troubled.join('\n')}\n`;
}
