// The roles of deploy/ against what the operator asks the API server for, by the audit log of that: every right is used, and nothing is asked for besides.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openKubeClient } from '../../src/kubernetes/client.ts';
import * as resources from '../../src/kubernetes/resources.ts';
import { openAudit } from './audit.ts';
import { eventually } from './eventually.ts';
import type { Json } from './kube.ts';
import { clusterRegistration, clusterRegistry, namespace, registration, secret, service, slice } from './objects.ts';
import { openOperatorProcess } from './operator-process.ts';
import { conditionOf } from './scenario.ts';
import { freshId, OPERATOR_NAMESPACE, openStage } from './stage.ts';

const audit = await openAudit();
after(audit.remove);
const stage = await openStage({ apiServerArgs: audit.args });
const { cluster, kube, consul } = stage;
const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:roster`;
const id = freshId();
const ns = `rights-${id}`;
const web = `web-${id}`;

async function ready(
  kind: 'ServiceRegistration' | 'ClusterServiceRegistration' | 'ClusterRegistry' | 'Registry',
  name: string,
  expected: string,
) {
  const of = kind.startsWith('Cluster') ? {} : { namespace: ns };
  await eventually(`${kind} ${name} says ${expected}`, async () =>
    assert.equal(conditionOf(await kube.get({ kind, ...of, name }), 'Ready'), expected),
  );
}

/** Everything that the operator does by its own: watching, credentials, statuses, finalizers, events that are new and events that come again. */
async function live(): Promise<void> {
  const tokenSecretRef = { namespace: OPERATOR_NAMESPACE, name: `token-${id}`, key: 'token' };
  await cluster.apply([
    namespace(ns, { rights: id }),
    secret(OPERATOR_NAMESPACE, `token-${id}`, { token: 'any' }),
    clusterRegistry(`consul-${id}`, { type: 'Consul', consul: { address: consul.address, tokenSecretRef } }),
    {
      apiVersion: 'roster.dev/v1alpha1',
      kind: 'Registry',
      metadata: { name: 'own', namespace: ns },
      spec: { type: 'Memory' },
    },
    service(ns, web),
    slice(ns, web, ['10.70.0.1']),
    registration(ns, web, `consul-${id}`),
    clusterRegistration(`all-${id}`, `consul-${id}`, { namespaceSelector: { matchLabels: { rights: id } } }),
  ]);
  await ready('ClusterRegistry', `consul-${id}`, 'True Ready');
  await ready('Registry', 'own', 'True Ready');
  await ready('ClusterServiceRegistration', `all-${id}`, 'True Synced');
  for (const [ports, expected] of [
    [['http'], 'True Synced'],
    [['nope'], 'False PortNotFound'],
    [['http'], 'True Synced'],
    [['nope'], 'False PortNotFound'],
  ] as const) {
    await kube.patch({ kind: 'ServiceRegistration', namespace: ns, name: web }, { spec: { ports } });
    await ready('ServiceRegistration', web, expected);
  }
  for (const target of [
    { kind: 'ServiceRegistration', namespace: ns, name: web },
    { kind: 'ClusterServiceRegistration', name: `all-${id}` },
  ] as const) {
    await kube.remove(target);
    await eventually('it is let go', async () => assert.equal(await kube.get(target), undefined));
  }
}

/** What the operator asks when a list lacks an object that it knew: the same call, with the same rights, for all that it watches. */
async function proveAbsences(kubeconfig: string): Promise<void> {
  const client = await openKubeClient({ kubeconfig });
  try {
    for (const [resource, key] of [
      [resources.namespaces, 'none'],
      [resources.services, `${ns}/none`],
      [resources.endpoints, `${ns}/none`],
      [resources.endpointSlices, `${ns}/none`],
      [resources.registries, `${ns}/none`],
      [resources.clusterRegistries, 'none'],
      [resources.serviceRegistrations, `${ns}/none`],
      [resources.clusterServiceRegistrations, 'none'],
    ] as const) {
      const answer = await resources.confirmAbsence(client, resource, key, AbortSignal.timeout(10_000));
      assert.equal(answer, 'absent', resource.name);
    }
  } finally {
    await client.close();
  }
}

const pairsOf = ({ rules }: Json): readonly string[] =>
  rules.flatMap((rule: Json) =>
    rule.apiGroups.flatMap((group: string) =>
      rule.resources.flatMap((resource: string) => rule.verbs.map((verb: string) => `${verb} ${group}/${resource}`)),
    ),
  );

test('every right of the shipped roles is used, and nothing is asked for that they do not give', async () => {
  await live();
  const token = await cluster.serviceAccountToken(OPERATOR_NAMESPACE, 'roster');
  const kubeconfig = await cluster.kubeconfigFor(token);
  await proveAbsences(kubeconfig);
  await stage.operator.process.stop();
  const other = await openOperatorProcess({
    kubeconfig,
    clusterName: stage.clusterName,
    args: ['--endpoints-source=Endpoints'],
  });
  after(other.stop);

  const roles = [
    ['clusterrole', 'roster'],
    ['role', 'roster-secrets', '-n', OPERATOR_NAMESPACE],
  ];
  const granted = new Set<string>();
  for (const role of roles) {
    const object = JSON.parse(await cluster.kubectl(['get', ...role, '-o', 'json']));
    for (const pair of pairsOf(object)) granted.add(pair);
  }
  assert.ok(granted.size > 20);
  await eventually('both operators have watched', async () => {
    const asked = (await audit.requests()).filter(({ user }) => user === OPERATOR);
    const used = new Set(asked.map(({ verb, resource }) => `${verb} ${resource}`));
    assert.deepEqual(
      [...granted].filter((pair) => !used.has(pair)),
      [],
      'granted and never used',
    );
    assert.deepEqual(
      [...used].filter((pair) => !granted.has(pair)),
      [],
      'used and not granted',
    );
    assert.deepEqual(
      asked.filter(({ status }) => status === 403),
      [],
      'refused',
    );
  });
});
