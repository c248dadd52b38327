import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sharedControlPlane } from '../servers/shared.ts';
import { roster } from './roster.ts';

const cluster = await sharedControlPlane();
const CRDS = fileURLToPath(new URL('../../crds', import.meta.url));
const namespace = `cli-status-${randomUUID().slice(0, 8)}`;
const everywhere = `${namespace}-all`;
let kubeconfig = '';

before(async () => {
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', CRDS]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', CRDS]);
  const apiVersion = 'roster.dev/v1alpha1';
  await cluster.apply([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    {
      apiVersion,
      kind: 'ServiceRegistration',
      metadata: { name: 'web', namespace },
      spec: { registryRef: { name: `${namespace}-none` }, serviceRef: { name: 'web' } },
    },
    {
      apiVersion,
      kind: 'ClusterServiceRegistration',
      metadata: { name: everywhere },
      spec: {
        registryRef: { name: `${namespace}-none` },
        namespaceSelector: { matchLabels: { [namespace]: 'nowhere' } },
        selector: {},
      },
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'reader', namespace },
      rules: [{ apiGroups: ['roster.dev'], resources: ['serviceregistrations'], verbs: ['list'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'reader', namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace }],
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } },
  ]);
  kubeconfig = await cluster.kubeconfigFor(cluster.tokens.admin, namespace);
});

test('status shows the registrations of the namespace of the context, and those of the cluster', async () => {
  const { code, stdout, stderr } = await roster(['status', '--kubeconfig', kubeconfig]);
  assert.equal(code, 0, stderr);
  const [heads, ...rows] = stdout.trimEnd().split('\n');
  assert.match(heads ?? '', /^NAME +REGISTRY +READY +DESIRED +REGISTERED +HEALTHY +AGE +LAST ERROR$/);
  assert.ok(
    rows.some((row) => row.startsWith('sreg/web ')),
    stdout,
  );
  assert.ok(
    rows.some((row) => row.startsWith(`csreg/${everywhere} `)),
    stdout,
  );
});

test('the kubeconfig may come from KUBECONFIG, and one registration may be asked for', async () => {
  for (const ref of ['web', `${namespace}/web`]) {
    const { code, stdout, stderr } = await roster(['status', ref, '-o', 'json'], { KUBECONFIG: kubeconfig });
    assert.equal(code, 0, stderr);
    const { items } = JSON.parse(stdout);
    assert.equal(items.length, 1);
    const [{ kind, name, registry }] = items;
    assert.deepEqual(
      { kind, name, registry },
      { kind: 'ServiceRegistration', name: 'web', registry: `${namespace}-none` },
    );
  }
});

test('-A shows all namespaces, with their names', async () => {
  const { stdout } = await roster(['status', '-A', '--kubeconfig', kubeconfig]);
  assert.match(stdout, /^NAMESPACE +NAME /);
  assert.match(stdout, new RegExp(`^${namespace} +sreg/web `, 'm'));
});

test('a registration that is not there is one line on standard error and exit code 1', async () => {
  const { code, stdout, stderr } = await roster(['status', 'other/web', '--kubeconfig', kubeconfig]);
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.equal(stderr, 'roster: there is no registration web in namespace other, nor of the cluster\n');
});

test('who may read only a namespace gets that, and is told what is left out', async () => {
  const token = await cluster.serviceAccountToken(namespace, 'default');
  const limited = await cluster.kubeconfigFor(token, namespace);
  const { code, stdout, stderr } = await roster(['status', '--kubeconfig', limited]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^sreg\/web /m);
  assert.match(stderr, /^roster: not allowed to list ClusterServiceRegistrations; they are left out\n$/);
});

test('who may read nothing is told what is missing, in one line', async () => {
  const nobody = await cluster.kubeconfigFor(cluster.tokens.nobody, namespace);
  const { code, stdout, stderr } = await roster(['status', '--kubeconfig', nobody]);
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /^roster: [^\n]*cannot list resource "serviceregistrations"[^\n]*$/m);
});
