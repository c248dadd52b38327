// Where the end-to-end tests play: a control plane with the four kinds, real Consul, and the operator as a process of its own that has no
// more rights than deploy/ gives it.
//
// A file opens a stage of its own instead of the shared servers: an operator takes care of the whole cluster, so the objects of other
// files would be its business too, and another file's operator would write to the same statuses.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { brokenRules } from '../mirror/condition-rules.ts';
import { type ConsulServer, openConsul } from '../servers/consul.ts';
import { type ControlPlaneServers, openControlPlane } from '../servers/control-plane.ts';
import { type Kube, openKube } from './kube.ts';
import { type OperatorProcess, openOperatorProcess } from './operator-process.ts';
import { recordStatuses, type StatusRecorder } from './status-recorder.ts';

export interface Stage extends BareStage {
  readonly consul: ConsulServer;
}

/** Without any registry. */
export interface BareStage {
  readonly cluster: ControlPlaneServers;
  readonly clusterName: string;
  readonly kube: Kube;
  readonly operator: OperatorProcess;
  readonly statuses: StatusRecorder;
}

const ROOT = join(import.meta.dirname, '..', '..');

/** Where its own Secrets are, and the only ones that it may read. */
export const OPERATOR_NAMESPACE = 'roster-system';

export interface StageOptions {
  /** That of another stage; absent: one of its own. */
  readonly consul?: ConsulServer;
  /** Flags of the operator. */
  readonly args?: readonly string[];
  readonly apiServerArgs?: readonly string[];
  /** That of another stage, as people do it by mistake; absent: one of its own. */
  readonly clusterName?: string;
}

/** Call at the top level of a file: everything ends after its last test. */
export async function openStage({ consul: shared, ...options }: StageOptions = {}): Promise<Stage> {
  const [consul, bare] = await Promise.all([shared ?? openConsul(), openBareStage(options)]);
  if (shared === undefined) after(consul.stop);
  return { ...bare, consul };
}

/** As {@link openStage}, for tests that have registries of their own. */
export async function openBareStage(options: Omit<StageOptions, 'consul'> = {}): Promise<BareStage> {
  const { args = [], apiServerArgs = [], clusterName = `e2e-${freshId()}` } = options;
  const ends: (() => unknown)[] = [];
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });
  const cluster = await openControlPlane({
    // Two families, so that a Service can ask for both.
    apiServerArgs: ['--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112', ...apiServerArgs],
  });
  ends.push(cluster.stop);
  await cluster.kubectl(['apply', '--server-side', '-k', join(ROOT, 'deploy', 'kustomize', 'base')]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', join(ROOT, 'crds')]);
  const kube = await openKube(cluster);
  ends.push(kube.close);
  const statuses = await recordStatuses(kube);
  ends.push(statuses.stop);
  const token = await cluster.serviceAccountToken(OPERATOR_NAMESPACE, 'roster');
  const kubeconfig = await cluster.kubeconfigFor(token);
  const operator = await openOperatorProcess({ kubeconfig, clusterName, args });
  ends.push(operator.stop);
  return { cluster, clusterName, kube, operator, statuses };
}

export const freshId = (): string => randomBytes(3).toString('hex');

/** What must hold after all the tests of a file, whatever they did. Call last. */
export function testTraces(stage: BareStage, { apiServerRestarted = false } = {}): void {
  test('every status that was written kept the rules of conditions', () => {
    const writes = stage.statuses.writes();
    assert.ok(writes.length > 0);
    const broken = writes.flatMap(({ kind, namespace, name, object, previous }) =>
      brokenRules(object, { previous }).map(
        (rule) => `${kind} ${namespace ?? ''}/${name}: ${rule}\n${JSON.stringify(object.status)}`,
      ),
    );
    assert.deepEqual(broken, []);
  });

  test('the operator met no defect of its own', async () => {
    const errors = (await stage.operator.log()).filter(({ level }) => level === 'error');
    assert.deepEqual(errors, []);
    // For a moment after its start an API server knows no roles and forbids everything.
    const forbidden = (await stage.operator.log()).filter(({ status }) => status === 403);
    if (!apiServerRestarted) assert.deepEqual(forbidden, [], 'it needs rights that deploy/ does not give');
    const plain = (await stage.operator.output()).split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    assert.deepEqual(plain, []);
  });
}
