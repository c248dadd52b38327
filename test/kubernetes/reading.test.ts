import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { EndpointSlice } from '../../src/api/core.ts';
import { type KubeClient, openKubeClient } from '../../src/kubernetes/client.ts';
import { confirmAbsence, endpointSlices, endpoints, services } from '../../src/kubernetes/resources.ts';
import { sharedControlPlane } from '../servers/shared.ts';
import { reflection, until } from './reflection.ts';

const cluster = await sharedControlPlane();
const namespace = 'kubernetes-reading';
const never = new AbortController().signal;

const slice = (name: string) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace, labels: { 'kubernetes.io/service-name': 'many' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080 }],
  endpoints: [{ addresses: ['10.1.2.3'] }],
});

/** Runs a job for each item, a few at once. */
async function each<T>(items: readonly T[], job: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await job(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

describe('reading a real API server', () => {
  let client: KubeClient;
  before(async () => {
    client = await openKubeClient({ kubeconfig: cluster.kubeconfig });
    await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]);
  });
  after(async () => {
    await client.close();
    await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
  });

  it('takes 1,200 objects in three pages, and then each change and deletion by the watch alone', async () => {
    const many = Array.from({ length: 1200 }, (_, i) => `many-${i}`);
    const path = endpointSlices.path(namespace);
    await each(many, (name) => client.request({ method: 'POST', path, body: slice(name), signal: never }));

    const reading = await reflection(cluster.kubeconfig, endpointSlices, { namespace });
    try {
      await reading.store.whenSynced(AbortSignal.timeout(60_000));
      assert.equal(reading.store.size, 1200);
      const pages = reading.client.asked.filter(({ query }) => query?.['limit'] === '500');
      assert.equal(pages.length, 3);
      assert.deepEqual(
        pages.map(({ query }) => query?.['continue'] !== undefined),
        [false, true, true],
      );

      await cluster.kubectl(['delete', `--namespace=${namespace}`, 'endpointslices', 'many-7']);
      await until(() => reading.deltas.at(-1) === '-many-7', 'the deletion');
      assert.equal(reading.store.wasDeleted(`${namespace}/many-7`), true);

      await cluster.kubectl(['label', `--namespace=${namespace}`, 'endpointslices', 'many-8', 'a=b']);
      await until(() => reading.deltas.at(-1) === '~many-8', 'the change');
      await cluster.apply([slice('many-7')]);
      await until(() => reading.deltas.at(-1) === '+many-7', 'the return');
      assert.equal(reading.store.wasDeleted(`${namespace}/many-7`), false);
      assert.equal(reading.client.asked.length, 4, 'three pages and one watch');
    } finally {
      await reading.stop();
      await cluster.kubectl([
        'delete',
        `--namespace=${namespace}`,
        'endpointslices',
        '-l',
        'kubernetes.io/service-name=many',
        '--wait=false',
      ]);
    }
  });

  it('goes on from bookmarks after a watch has ended, while nothing of its own kind happens', async () => {
    const quiet = 'kubernetes-reading-quiet';
    const reading = await reflection(cluster.kubeconfig, services, {
      namespace: quiet,
      watchSeconds: [5, 5],
      confirmMs: 600_000,
    });
    const watches = () =>
      reading.client.asked.flatMap(({ query }) => (query?.['watch'] ? [Number(query['resourceVersion'])] : []));
    try {
      await reading.store.whenSynced(AbortSignal.timeout(60_000));
      // The revision of the cluster moves on, and a consistent read tells the API server's cache of Services.
      await cluster.kubectl(['create', `--namespace=${namespace}`, 'configmap', 'other']);
      await cluster.kubectl(['get', `--namespace=${quiet}`, 'services']);
      await until(() => watches().some((version) => version > (watches()[0] ?? Number.NaN)), 'a later start', 60_000);
      assert.equal(reading.client.asked.filter(({ query }) => query?.['limit']).length, 1);
      assert.deepEqual(reading.log.lines, []);
    } finally {
      await reading.stop();
    }
  });

  it('reads the same ready and unready addresses from EndpointSlices and from v1 Endpoints', async () => {
    const app = { app: 'same' };
    const pod = (name: string) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: app },
      spec: {
        nodeName: cluster.nodeName,
        containers: [{ name: 'main', image: 'none', ports: [{ name: 'http', containerPort: 8080 }] }],
      },
    });
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'same', namespace },
        spec: { selector: app, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
      },
      pod('same-1'),
      pod('same-2'),
      pod('same-3'),
    ]);
    const bySlices = await reflection(cluster.kubeconfig, endpointSlices, { namespace });
    const byEndpoints = await reflection(cluster.kubeconfig, endpoints, { namespace });
    const told = (objects: Iterable<EndpointSlice>) =>
      [...objects]
        .filter(({ service }) => service === 'same')
        .flatMap(({ subsets }) => subsets)
        .flatMap((subset) =>
          subset.endpoints.map(
            ({ addresses, ready, targetRef }) =>
              `${addresses[0]}:${subset.ports[0]?.name}/${subset.ports[0]?.port} ${targetRef?.name} ${ready}`,
          ),
        )
        .sort();
    try {
      const ready = (count: number) => () =>
        told(bySlices.store.all()).filter((line) => line.endsWith(' true')).length === count;
      await until(ready(3), 'three ready Pods', 60_000);
      const unready = { status: { conditions: [{ type: 'Ready', status: 'False' }] } };
      const patch = ['patch', 'pod', 'same-3', `--namespace=${namespace}`, '--subresource=status'];
      await cluster.kubectl([...patch, '--patch', JSON.stringify(unready)]);
      await until(ready(2), 'one of them to be unready', 60_000);
      assert.equal(told(bySlices.store.all()).length, 3);
      await until(
        () => told(byEndpoints.store.all()).join() === told(bySlices.store.all()).join(),
        'the same in Endpoints',
        60_000,
      );
      assert.match(told(byEndpoints.store.all())[0]!, /^[\d.]+:http\/8080 same-\d (true|false)$/);
      const managers = (objects: Iterable<EndpointSlice>) =>
        [...objects].filter(({ service }) => service === 'same').map(({ managedBy }) => managedBy);
      assert.deepEqual(managers(bySlices.store.all()), ['endpointslice-controller.k8s.io']);
      assert.deepEqual(managers(byEndpoints.store.all()), ['endpoint-controller']);

      await cluster.kubectl(['delete', 'service', 'same', `--namespace=${namespace}`]);
      await until(
        () => byEndpoints.store.wasDeleted(`${namespace}/same`) && told(bySlices.store.all()).length === 0,
        'the deletion in both',
        60_000,
      );
    } finally {
      await bySlices.stop();
      await byEndpoints.stop();
    }
  });

  it('sees in v1 Endpoints that they were cut at 1,000 addresses', async () => {
    const many = Array.from({ length: 1010 }, (_, i) => i);
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    const labels = { app: 'crowd' };
    // On a Node that does not exist, so that KWOK leaves them alone: it would take a minute for so many.
    const spec = { nodeName: 'no-such-node', containers: [{ name: 'main', image: 'none' }] };
    const selecting = { selector: labels, ports: [{ port: 80 }] };
    await each(many, async (i) => {
      const name = `crowd-${i}`;
      await client.request({ method: 'POST', path: pods, body: { metadata: { name, labels }, spec }, signal: never });
      const podIP = `10.77.${i >> 8}.${i & 255}`;
      const body = {
        status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions: [{ type: 'Ready', status: 'True' }] },
      };
      const contentType = 'application/merge-patch+json';
      await client.request({ method: 'PATCH', path: `${pods}/${name}/status`, body, contentType, signal: never });
    });
    await cluster.apply([
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'crowd', namespace }, spec: selecting },
    ]);
    const byEndpoints = await reflection(cluster.kubeconfig, endpoints, { namespace });
    const size = () =>
      byEndpoints.store.get(`${namespace}/crowd`)?.subsets.flatMap((subset) => subset.endpoints).length;
    try {
      await until(() => size() === 1000, 'the cut in Endpoints', 60_000);
      assert.equal(byEndpoints.store.get(`${namespace}/crowd`)?.truncated, true);
    } finally {
      await byEndpoints.stop();
      await cluster.kubectl(['delete', 'service', 'crowd', `--namespace=${namespace}`]);
      const now = { gracePeriodSeconds: 0 };
      await each(many, (i) =>
        client.request({ method: 'DELETE', path: `${pods}/crowd-${i}`, body: now, signal: never }),
      );
    }
  });

  it('tells an absent object from a kind, a namespace and a permission that is not there', async () => {
    await cluster.kubectl(['create', `--namespace=${namespace}`, 'service', 'clusterip', 'here', '--tcp=80']);
    const nobody = await openKubeClient({ kubeconfig: await cluster.kubeconfigFor(cluster.tokens.nobody) });
    const unserved = {
      ...services,
      objectPath: (ns: string | undefined, name: string) => `/apis/none.roster.dev/v1/namespaces/${ns}/things/${name}`,
    };
    const asking = (by: KubeClient, resource: typeof services, key: string) => confirmAbsence(by, resource, key, never);
    try {
      assert.equal(await asking(client, services, `${namespace}/here`), 'present');
      assert.equal(await asking(client, services, `${namespace}/gone`), 'absent');
      assert.equal(await asking(client, services, 'no-such-namespace/gone'), 'absent');
      assert.equal(await asking(client, unserved, `${namespace}/gone`), 'unknown');
      assert.equal(await asking(nobody, services, `${namespace}/gone`), 'unknown');
    } finally {
      await nobody.close();
    }
    assert.equal(await asking(nobody, services, `${namespace}/here`), 'unknown', 'a closed client knows nothing');
  });

  it('names the permission that is missing, and reads as soon as it is granted', async () => {
    const account = 'reader';
    await cluster.kubectl(['create', 'serviceaccount', account, `--namespace=${namespace}`]);
    const kubeconfig = await cluster.kubeconfigFor(await cluster.serviceAccountToken(namespace, account));
    const reading = await reflection(kubeconfig, services, { namespace });
    try {
      await until(() => reading.log.lines.length > 0, 'a warning');
      assert.match(reading.log.lines[0]!.message, /not allowed to list services: grant .* get, list and watch/);
      assert.equal(reading.store.synced, false);
      const verbs = ['--verb=get,list,watch', '--resource=services'];
      await cluster.kubectl(['create', 'role', account, `--namespace=${namespace}`, ...verbs]);
      await cluster.kubectl([
        'create',
        'rolebinding',
        account,
        `--namespace=${namespace}`,
        `--role=${account}`,
        `--serviceaccount=${namespace}:${account}`,
      ]);
      await reading.store.whenSynced(AbortSignal.timeout(60_000));
    } finally {
      await reading.stop();
    }
  });
});
