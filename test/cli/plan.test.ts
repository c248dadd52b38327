import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sharedConsul, sharedControlPlane } from '../servers/shared.ts';
import { roster } from './roster.ts';

const cluster = await sharedControlPlane();
const consul = await sharedConsul();
const CRDS = join(import.meta.dirname, '..', '..', 'crds');
const folder = await mkdtemp(join(tmpdir(), 'roster-plan-'));
after(() => rm(folder, { recursive: true }));

const id = randomUUID().slice(0, 8);
const reachable = `cli-plan-${id}`;
const unreachable = `cli-plan-${id}-gone`;
let kubeconfig = '';

/** A Service with one ready and one unready endpoint, registered in the registry. */
const manifests = (namespace: string, address: string): readonly object[] => {
  const roster = 'roster.dev/v1alpha1';
  const port = { name: 'http', port: 8080, protocol: 'TCP' };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace }, spec: { ports: [port] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace, labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [port],
      endpoints: [
        { addresses: ['10.1.2.3'], conditions: { ready: true } },
        { addresses: ['10.1.2.4'], conditions: { ready: false } },
      ],
    },
    {
      apiVersion: roster,
      kind: 'Registry',
      metadata: { name: 'consul', namespace },
      spec: { type: 'Consul', consul: { address }, allowUnmanagedEndpoints: true },
    },
    {
      apiVersion: roster,
      kind: 'ServiceRegistration',
      metadata: { name: 'web', namespace },
      spec: { registryRef: { kind: 'Registry', name: 'consul' }, serviceRef: { name: 'web' }, health: 'ReadyOnly' },
    },
  ];
};

const access = () => ['--kubeconfig', kubeconfig, '--cluster-name', `plan-${id}`];

const command = (name: string, namespace: string, ...rest: readonly string[]) =>
  roster([name, ...rest, ...access(), '--tenant-registry-networks', '127.0.0.0/8', '-n', namespace]);

before(async () => {
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', CRDS]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', CRDS]);
  await cluster.apply(manifests(reachable, consul.address));
  await cluster.apply(manifests(unreachable, 'http://127.0.0.1:1'));
  kubeconfig = await cluster.kubeconfigFor(cluster.tokens.admin);
});

test('plan shows what would be registered in the real registry, and writes nothing', async () => {
  const { code, stdout, stderr } = await command('plan', reachable);
  assert.equal(code, 0, stderr);
  const [heads, change] = stdout.split('\n');
  assert.match(heads ?? '', /^ACTION +SERVICE +NAME +ENDPOINT +REGISTRY +REASON$/);
  assert.match(
    change ?? '',
    new RegExp(`^register +${reachable}/web +web +10\\.1\\.2\\.3:8080 +${reachable}/consul +EndpointAdded$`),
  );
  assert.match(stdout, /\n1 to register, 0 to update, 0 to deregister, 0 left alone\n$/);
  const again = await command('plan', reachable, '-o', 'json');
  assert.equal(JSON.parse(again.stdout).summary.register, 1);
});

test('diff shows the same and exits 1 on drift', async () => {
  const { code, stdout } = await command('diff', reachable);
  assert.equal(code, 1);
  assert.match(stdout, /^register /m);
});

test('diff exits 0 where there is nothing to change', async () => {
  const { code, stdout, stderr } = await command('diff', `${reachable}-empty`);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^0 to register, 0 to update, 0 to deregister, 0 left alone\n$/);
});

test('diff exits 2 when a registry does not answer, and says which', async () => {
  const { code, stdout } = await command('diff', unreachable);
  assert.equal(code, 2);
  assert.match(stdout, new RegExp(`${unreachable}/web in ${unreachable}/consul: RegistryUnreachable: `));
  assert.match(stdout, /, 1 not compared\n$/);
});

test('a registry that a namespace names is not connected to where tenants may not reach', async () => {
  const { code, stdout } = await roster(['diff', ...access(), '-n', reachable]);
  assert.equal(code, 2);
  assert.match(
    stdout,
    new RegExp(`${reachable}/consul: RegistryUnreachable: .* --tenant-registry-networks of the operator`),
  );
  const { code: wrong, stderr } = await roster(['diff', ...access(), '--tenant-registry-networks', 'everything']);
  assert.equal(wrong, 2);
  assert.match(stderr, /"everything" is not a network/);
});

test('explain shows each endpoint with the rule that decided', async () => {
  const { code, stdout, stderr } = await command('explain', reachable, 'web');
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`^Service ${reachable}/web in registry ${reachable}/consul$`, 'm'));
  assert.match(stdout, /^10\.1\.2\.3:8080 +IPv4 +in +\S/m);
  assert.match(stdout, /^10\.1\.2\.4:8080 +IPv4 +out +\S/m);
});

test('plan -f plans a folder of manifests without a cluster', async () => {
  await writeFile(
    join(folder, 'all.yaml'),
    manifests('files', consul.address)
      .map((one) => JSON.stringify(one))
      .join('\n---\n'),
  );
  const { code, stdout, stderr } = await roster(['plan', '-f', folder, '--cluster-name', 'a']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^register +files\/web +web +10\.1\.2\.3:8080 +files\/consul +EndpointAdded$/m);
});

test('a manifest that cannot be read is one line with its file, and exit code 1', async (t) => {
  const bad = join(folder, 'bad.yml');
  t.after(() => rm(bad));
  await writeFile(bad, 'kind: ServiceRegistration\napiVersion: roster.dev/v1alpha1\nmetadata: {name: web}\nspec: {}\n');
  const { code, stderr } = await roster(['plan', '-f', bad, '--cluster-name', 'a']);
  assert.equal(code, 1);
  assert.match(stderr, /^roster: [^\n]*bad\.yml: [^\n]*\n$/);
});
