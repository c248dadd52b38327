import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseRosterObject } from '../../src/api/parse.ts';
import { type ControlPlaneServers, KubectlError, openControlPlane } from '../servers/control-plane.ts';
import { apiRequest, collectionPath } from './api-request.ts';
import { acceptedSamples, isExpected, type Manifest, rejectedSamples } from './samples.ts';

const crds = fileURLToPath(new URL('../../crds', import.meta.url));

// A control plane of its own: an operator of another test would answer the objects that this one leaves alone.
describe('the CRDs on a real API server', () => {
  let cluster: ControlPlaneServers;
  before(async () => {
    cluster = await openControlPlane();
    await cluster.kubectl(['apply', '-f', crds]);
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=60s', '-f', crds]);
    await cluster.kubectl(['create', 'namespace', 'shop']);
  });
  after(() => cluster.stop());

  const dryRun = (manifest: Manifest) =>
    apiRequest(cluster, 'POST', `${collectionPath(manifest)}?dryRun=All&fieldValidation=Strict`, manifest);

  const sample = (kind: string, name: string): Manifest => {
    const found = acceptedSamples().find((one) => one.kind === kind && one.metadata.name === name);
    assert.ok(found);
    return found;
  };

  it('are structural and without warnings', async () => {
    const list = JSON.parse(await cluster.kubectl(['get', '-f', crds, '-o', 'json']));
    assert.equal(list.items.length, 4);
    for (const { metadata, status } of list.items) {
      assert.deepEqual(
        status.conditions.map((condition: Record<string, string>) => [condition['type'], condition['status']]),
        [
          ['NamesAccepted', 'True'],
          ['Established', 'True'],
        ],
        metadata.name,
      );
    }
  });

  it('guard themselves against a tool that prunes', async () => {
    const list = JSON.parse(await cluster.kubectl(['get', '-f', crds, '-o', 'json']));
    for (const { metadata } of list.items) {
      assert.equal(metadata.annotations['argocd.argoproj.io/sync-options'], 'Prune=confirm,Delete=confirm');
      assert.equal(metadata.annotations['kustomize.toolkit.fluxcd.io/prune'], 'disabled');
      assert.equal(metadata.annotations['helm.sh/resource-policy'], 'keep');
    }
  });

  for (const manifest of acceptedSamples()) {
    it(`accept the ${manifest.kind} ${manifest.metadata.name}, with the defaults that the parser fills in`, async () => {
      const { status, body } = await dryRun(manifest);
      assert.equal(status, 201, body.message);
      const parsed = parseRosterObject(manifest);
      assert.ok(parsed.ok);
      assert.deepEqual(body.spec, parsed.value.spec);
    });
  }

  for (const { manifest, expected } of rejectedSamples()) {
    it(`reject the ${manifest.kind} ${manifest.metadata.name}`, async () => {
      const { status, body } = await dryRun(manifest);
      assert.equal(status, 422, JSON.stringify(body));
      const problems = body.details.causes.map((cause: Record<string, string>) => ({
        path: cause['field'],
        message: cause['message'],
      }));
      assert.ok(
        problems.some((problem: { path: string; message: string }) => isExpected(problem, expected)),
        JSON.stringify(problems),
      );
    });
  }

  it('refuse another registry for a registration, and let everything else change', async () => {
    for (const kind of ['ServiceRegistration', 'ClusterServiceRegistration']) {
      const manifest = sample(kind, 'minimal');
      await cluster.apply([manifest]);
      const patch = (spec: object) =>
        cluster.kubectl([
          'patch',
          kind,
          'minimal',
          ...(manifest.metadata.namespace ? ['-n', manifest.metadata.namespace] : []),
          '--type=merge',
          '-p',
          JSON.stringify({ spec }),
        ]);
      await assert.rejects(
        patch({ registryRef: { name: 'other' } }),
        (error) =>
          error instanceof KubectlError &&
          error.stderr.includes('registryRef cannot be changed: make a new registration and delete this one'),
      );
      await patch({ name: 'other-{service}', weight: 5, suspend: true });
      await cluster.kubectl(['delete', '-f', '-'], { stdin: JSON.stringify(manifest) });
    }
  });

  describe('with one object of each kind', () => {
    const objects = () => [
      sample('ServiceRegistration', 'minimal'),
      sample('ClusterServiceRegistration', 'minimal'),
      sample('Registry', 'memory'),
      sample('ClusterRegistry', 'consul'),
    ];
    before(() => cluster.apply(objects()));
    after(() =>
      cluster.kubectl(['delete', '-f', '-'], {
        stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects() }),
      }),
    );

    const table = async (...args: readonly string[]): Promise<readonly string[]> =>
      (await cluster.kubectl(['get', ...args])).trim().split('\n');

    it('show a generation of -1 until the operator has looked', async () => {
      for (const manifest of objects()) {
        const { body } = await apiRequest(cluster, 'GET', `${collectionPath(manifest)}/${manifest.metadata.name}`);
        assert.deepEqual(body.status, { observedGeneration: -1 });
      }
    });

    it('list all four kinds under the category roster', async () => {
      assert.deepEqual((await cluster.kubectl(['get', 'roster', '-A', '-o', 'name'])).trim().split('\n').sort(), [
        'clusterregistry.roster.dev/consul',
        'clusterserviceregistration.roster.dev/minimal',
        'registry.roster.dev/memory',
        'serviceregistration.roster.dev/minimal',
      ]);
    });

    it('answer to their short names with the columns of the kind', async () => {
      const header = async (name: string) => (await table(name, '-n', 'shop'))[0]!.split(/\s{2,}/);
      const registration = ['NAME', 'READY', 'REASON', 'REGISTRY', 'DESIRED', 'REGISTERED', 'HEALTHY', 'AGE'];
      const registry = ['NAME', 'READY', 'REASON', 'TYPE', 'OWNED', 'AGE'];
      assert.deepEqual(
        (await header('sreg')).map((name) => name.trim()),
        registration,
      );
      assert.deepEqual(
        (await header('csreg')).map((name) => name.trim()),
        registration,
      );
      assert.deepEqual(
        (await header('reg')).map((name) => name.trim()),
        registry,
      );
      assert.deepEqual(
        (await header('creg')).map((name) => name.trim()),
        registry,
      );
    });

    it('print the state in their columns', async () => {
      const condition = (type: string, status: string, reason: string) => ({
        type,
        status,
        reason,
        message: `${reason}.`,
        observedGeneration: 1,
        lastTransitionTime: '2026-01-01T00:00:00Z',
      });
      const write = (kind: string, name: string, status: object) =>
        cluster.kubectl([
          'patch',
          kind,
          name,
          '-n',
          'shop',
          '--subresource=status',
          '--type=merge',
          '-p',
          JSON.stringify({ status }),
        ]);
      await write('sreg', 'minimal', {
        observedGeneration: 1,
        conditions: [condition('Synced', 'True', 'Synced'), condition('Ready', 'Unknown', 'Progressing')],
        instances: { desired: 5, registered: 4, healthy: 3 },
      });
      await write('creg', 'consul', {
        observedGeneration: 1,
        conditions: [condition('Ready', 'True', 'Reachable')],
        server: { version: '1.22.3' },
        instances: { owned: 7 },
      });
      const words = (line: string | undefined) => (line ?? '').split(/\s+/);
      assert.deepEqual(words((await table('sreg', '-n', 'shop'))[1]).slice(0, 7), [
        'minimal',
        'Unknown',
        'Progressing',
        'consul',
        '5',
        '4',
        '3',
      ]);
      const wide = words((await table('creg', '-o', 'wide'))[1]);
      assert.deepEqual(
        [...wide.slice(0, 5), ...wide.slice(6)],
        ['consul', 'True', 'Reachable', 'Consul', '7', '1.22.3', 'Reachable.'],
      );
    });

    it('are found by their registry', async () => {
      const names = (registry: string) =>
        cluster.kubectl(['get', 'sreg', '-A', '--field-selector', `spec.registryRef.name=${registry}`, '-o', 'name']);
      assert.equal((await names('consul')).trim(), 'serviceregistration.roster.dev/minimal');
      assert.equal((await names('other')).trim(), '');
    });

    it('refuse a status that breaks the conventions of conditions', async () => {
      const conditions = [
        { type: 'Ready', status: 'Yes', reason: 'no reason', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
      ];
      const patch = cluster.kubectl([
        'patch',
        'sreg',
        'minimal',
        '-n',
        'shop',
        '--subresource=status',
        '--type=merge',
        '-p',
        JSON.stringify({ status: { conditions } }),
      ]);
      await assert.rejects(patch, (error) => {
        assert.ok(error instanceof KubectlError);
        assert.match(error.stderr, /status\.conditions\[0\]\.status: Unsupported value: "Yes"/);
        assert.match(error.stderr, /status\.conditions\[0\]\.reason: Invalid value: "no reason"/);
        return true;
      });
    });
  });
});
