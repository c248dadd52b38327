// The mistake that people make: a second cluster gets the name of the first, and both have one Consul.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roster } from '../cli/roster.ts';
import { eventually, throughout } from './eventually.ts';
import { registration, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, type Stage, testTraces } from './stage.ts';

const first = await openStage();
const second = await openStage({ consul: first.consul, clusterName: first.clusterName });
const { consul } = first;
const one = await openScenario(first, 'Consul');
const entry = `passing web-${one.id} 10.90.0.1:8080`;

const ownerOf = async ({ kube }: Stage): Promise<string> =>
  `${(await kube.get({ kind: 'Namespace', name: 'kube-system' }))?.metadata.uid}/${OPERATOR_NAMESPACE}`;

const web = async (s: typeof one, ip: string) => {
  const name = `web-${s.id}`;
  await s.apply(
    service(s.namespace, name),
    registration(s.namespace, name, s.registry),
    slice(s.namespace, name, [ip]),
  );
};

let two: typeof one;

test('a second operator with the name of the first cluster is refused, says whose it is, and writes nothing', async () => {
  await web(one, '10.90.0.1');
  await one.stands([entry]);
  const index = await consul.raftIndex();
  two = await openScenario(second, 'Consul');
  await web(two, '10.90.0.2');
  const refused = { Ready: 'False OwnedByAnother', Stalled: 'True OwnedByAnother', Reachable: 'True Reachable' };
  const { otherOwner, conditions } = await two.says('ClusterRegistry', two.registry, refused);
  assert.equal(otherOwner, await ownerOf(first));
  assert.match(JSON.stringify(conditions), /give one of the two another --cluster-name/);
  await two.says('ServiceRegistration', `web-${two.id}`, { Synced: 'Unknown RegistryUnreachable' });
  await throughout(5_000, async () => assert.equal(await consul.raftIndex(), index));
  assert.deepEqual(await two.entries(), []);
  await one.stands([entry], 0);
  await one.says('ClusterRegistry', one.registry, { Ready: 'True Ready', Stalled: undefined });
});

test('`roster adopt` finds nothing to adopt where nobody else writes', async () => {
  const kubeconfig = await first.cluster.kubeconfigFor(first.cluster.tokens.admin);
  const { code, stderr } = await roster(['adopt', one.registry, '--kubeconfig', kubeconfig]);
  assert.equal(code, 1);
  assert.match(stderr, /does not belong to another operator/);
  const missing = await roster(['adopt', 'shop/none', '--kubeconfig', kubeconfig]);
  assert.match(missing.stderr, /there is no Registry shop\/none/);
});

test('after `roster adopt` the second one takes over, and the first, should it come back, is refused', async () => {
  const { process } = first.operator;
  process.kill('SIGTERM');
  await process.exitCode();
  const kubeconfig = await second.cluster.kubeconfigFor(second.cluster.tokens.admin);
  const { code, stdout, stderr } = await roster(['adopt', two.registry, '--kubeconfig', kubeconfig]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`^ClusterRegistry ${two.registry} is taken over from `));
  await two.stands([`passing web-${two.id} 10.90.0.2:8080`]);
  await two.says(
    'ClusterRegistry',
    two.registry,
    { Ready: 'True Ready', Stalled: undefined },
    { otherOwner: undefined },
  );
  // Its Service is not known here; that it is gone has to be proved first.
  await one.stands([], 90_000);
  const index = await consul.raftIndex();
  await process.restart();
  await one.says('ClusterRegistry', one.registry, { Ready: 'False OwnedByAnother' });
  const { otherOwner } = (await one.get('ClusterRegistry', one.registry)).status;
  assert.equal(otherOwner, await ownerOf(second));
  await throughout(3_000, async () => assert.equal(await consul.raftIndex(), index));
  await eventually('the second one keeps what it has', async () => assert.equal((await two.entries()).length, 1));
});

testTraces(first);
testTraces(second);
