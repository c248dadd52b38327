// A tenant who may do everything in its own namespace, and tries to reach beyond it by way of the operator. Judged by what stands in the registry, by what is
// told, and by the audit log of the API server: what the operator read and wrote.
import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openAudit } from './audit.ts';
import { eventually } from './eventually.ts';
import type { Json } from './kube.ts';
import {
  clusterRegistry,
  type EndpointOptions,
  type Manifest,
  namespace,
  pod,
  registration,
  type SliceOptions,
  secret,
  service,
  slice,
} from './objects.ts';
import { brief, type Entry, entriesInConsul, entriesNamed } from './registry-truth.ts';
import { conditionOf } from './scenario.ts';
import { freshId, OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const audit = await openAudit();
after(audit.remove);
// The Consul of the stage may be named by tenants too; the rest of loopback may not.
const stage = await openStage({ apiServerArgs: audit.args, args: ['--tenant-registry-networks=127.0.0.1/32'] });
const { cluster, kube, consul } = stage;
const id = freshId();
const [mallory, victim] = [`mallory-${id}`, `victim-${id}`];
const [shared, closed, unmanaged] = [`shared-${id}`, `closed-${id}`, `unmanaged-${id}`];
const payments = `payments-${id}`;
const CANARY = 'fe2a9c-not-for-mallory';
const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:roster`;
let tenant: string;

/** The rights that Kubernetes gives to the administrator of a namespace, and everything that a generous cluster may add. */
const rights = (ns: string): readonly Manifest[] => [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: `everything-${ns}` },
    rules: [
      { apiGroups: ['roster.dev'], resources: ['*'], verbs: ['*'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['*'] },
      { apiGroups: [''], resources: ['endpoints', 'secrets', 'services', 'pods', 'pods/status'], verbs: ['*'] },
    ],
  },
  ...[`everything-${ns}`, 'system:aggregate-to-edit', 'system:aggregate-to-admin'].map((role, index) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: `tenant-${index}`, namespace: ns },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'tenant', namespace: ns }],
  })),
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'tenant', namespace: ns } },
];

const readable = (ns: string): Manifest => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: 'roster', namespace: ns },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'roster-secret-reader' },
  subjects: [{ kind: 'ServiceAccount', name: 'roster', namespace: OPERATOR_NAMESPACE }],
});

/** As the tenant, by kubectl; with fields that the schema does not know, as a client that checks nothing would. */
const attempt = (...manifests: readonly Manifest[]): Promise<string> =>
  cluster.kubectl(['apply', '--server-side', '--validate=ignore', '-f', '-'], {
    kubeconfig: tenant,
    stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }),
  });

const registry = (name: string, spec: object): Manifest => ({
  apiVersion: 'roster.dev/v1alpha1',
  kind: 'Registry',
  metadata: { name, namespace: mallory },
  spec: { timeouts: { connectSeconds: 2, requestSeconds: 2 }, ...spec },
});

const conditionsOf = (kind: 'Registry' | 'ServiceRegistration', name: string, ns = mallory): Promise<Json> =>
  kube.get({ kind, namespace: ns, name });

async function says(kind: 'Registry' | 'ServiceRegistration', name: string, type: string, expected: string) {
  return eventually(`${kind} ${name} says ${expected}`, async () => {
    const object = await conditionsOf(kind, name);
    assert.equal(conditionOf(object, type), expected, JSON.stringify(object?.status));
    return object;
  });
}

const ofMallory = async (): Promise<readonly Entry[]> => {
  const entries = await entriesInConsul(consul, id);
  return entries.filter(({ owner }) => !owner.startsWith(`${victim}/`));
};
const ofVictim = async (): Promise<readonly string[]> => {
  const entries = await entriesInConsul(consul, id);
  return entries
    .filter(({ owner }) => owner.startsWith(`${victim}/`))
    .map((entry) => JSON.stringify(entry))
    .sort();
};
let standing: readonly string[];

before(async () => {
  const consulSpec = { type: 'Consul', consul: { address: consul.address }, audit: { intervalSeconds: 5 } };
  await cluster.apply([namespace(mallory), namespace(victim), ...rights(mallory), readable(victim), readable(mallory)]);
  await cluster.kubectl([
    'apply',
    '--server-side',
    '-k',
    join(import.meta.dirname, '../../deploy/kustomize/endpoint-policy'),
  ]);
  await cluster.apply([
    secret(victim, 'token', { token: CANARY }),
    secret(OPERATOR_NAMESPACE, `token-${id}`, { token: CANARY }),
    clusterRegistry(shared, consulSpec),
    clusterRegistry(closed, { ...consulSpec, allowedNamespaces: { names: [victim] } }),
    clusterRegistry(unmanaged, { ...consulSpec, allowUnmanagedEndpoints: true }),
    service(victim, payments),
    slice(victim, payments, ['10.50.0.1', '10.50.0.2']),
    registration(victim, payments, shared),
    { ...registry('own', consulSpec), metadata: { name: 'of-victim', namespace: victim } },
  ]);
  tenant = await cluster.kubeconfigFor(await cluster.serviceAccountToken(mallory, 'tenant'), mallory);
  await eventually('the victim’s entries stand', async () => assert.equal((await ofVictim()).length, 2));
  standing = await ofVictim();
  await eventually('the policy is in force', () =>
    assert.rejects(attempt(slice(mallory, 'probe', ['10.51.0.1'])), /endpoint controllers/),
  );
});

describe('a tenant', { concurrency: true }, () => {
  describe('gets no Secret of others', () => {
    const references: readonly (readonly [title: string, ref: object])[] = [
      ['that it names with its namespace', { namespace: victim, name: 'token', key: 'token' }],
      ['of the operator', { namespace: OPERATOR_NAMESPACE, name: `token-${id}`, key: 'token' }],
      ['by a path as its name', { name: `../../${victim}/secrets/token`, key: 'token' }],
      ['by an encoded path as its name', { name: `..%2F..%2F${victim}%2Fsecrets%2Ftoken`, key: 'token' }],
      ['by a query', { name: `token?namespace=${victim}`, key: 'token' }],
      ['by a key of every object', { name: 'mine', key: 'constructor' }],
      ['by the key of a prototype', { name: 'mine', key: '__proto__' }],
    ];
    for (const [index, [title, tokenSecretRef]] of references.entries()) {
      test(title, async () => {
        await attempt(secret(mallory, 'mine', { own: 'own' }));
        const made = await attempt(
          registry(`secret-${index}`, { type: 'Consul', consul: { address: consul.address, tokenSecretRef } }),
        ).then(
          () => true,
          (error) => assert.match(String(error), /Invalid|invalid|not allowed/),
        );
        if (made !== true) return;
        const object = await eventually('it is refused', async () => {
          const found = await conditionsOf('Registry', `secret-${index}`);
          assert.match(conditionOf(found, 'Ready') ?? '', /^False Secret/);
          return found;
        });
        assert.ok(!JSON.stringify(object).includes(CANARY));
      });
    }
  });

  describe('uses no registry that is not for it', () => {
    const refs: readonly (readonly [title: string, registryRef: object, reason: string])[] = [
      ['of another namespace, by its name', { kind: 'Registry', name: 'of-victim' }, 'RegistryNotFound'],
      ['that does not admit its namespace', { kind: 'ClusterRegistry', name: closed }, 'NamespaceNotAllowed'],
      ['by the name of every object', { kind: 'ClusterRegistry', name: 'constructor' }, 'RegistryNotFound'],
    ];
    for (const [index, [title, registryRef, reason]] of refs.entries()) {
      test(title, async () => {
        const name = `reach-${index}-${id}`;
        await attempt(service(mallory, name), registration(mallory, name, shared, { registryRef }));
        await says('ServiceRegistration', name, 'Ready', `False ${reason}`);
        assert.deepEqual(await entriesNamed(consul, name), []);
      });
    }

    for (const [title, ref] of [
      ['a path as its name', { name: `../${victim}/of-victim` }],
      ['a field', { name: 'of-victim', namespace: victim }],
    ] as const) {
      test(`by ${title}, which the API server refuses`, async () => {
        const registryRef = { kind: 'Registry', ...ref };
        const made = registration(mallory, 'elsewhere', shared, { registryRef });
        await assert.rejects(attempt(made), /invalid|not declared in schema/);
      });
    }
  });

  describe('makes the operator connect to no address', () => {
    let connections = 0;
    const listener = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    before(() => new Promise<void>((resolve) => listener.listen(0, '0.0.0.0', resolve)));
    after(() => listener.close());
    const types: Readonly<Record<string, (host: string, port: number) => object>> = {
      Consul: (host, port) => ({ type: 'Consul', consul: { address: `http://${host}:${port}` } }),
      Etcd: (host, port) => ({ type: 'Etcd', etcd: { endpoints: [`http://${host}:${port}`] } }),
      Nacos: (host, port) => ({ type: 'Nacos', nacos: { addresses: [`http://${host}:${port}`] } }),
      ZooKeeper: (host, port) => ({ type: 'ZooKeeper', zookeeper: { connectString: `${host}:${port}` } }),
    };
    const hosts = [
      '169.254.169.254',
      '[fd00:ec2::254]',
      '127.0.0.2',
      '[::ffff:127.0.0.2]',
      '0.0.0.0',
      '2130706434',
      '0177.0.0.2',
    ];
    for (const [type, spec] of Object.entries(types)) {
      for (const [index, host] of hosts.entries()) {
        test(`of its own machine or of metadata: ${type} at ${host}`, async () => {
          const name = `at-${type.toLowerCase()}-${index}`;
          const { port } = listener.address() as AddressInfo;
          await attempt(registry(name, spec(host, port)));
          const object = await says('Registry', name, 'Ready', 'False AddressNotAllowed');
          assert.equal(conditionOf(object, 'Stalled'), 'True AddressNotAllowed');
          assert.equal(connections, 0);
        });
      }
    }
  });

  describe('makes up no endpoint', () => {
    const registered = (name: string) =>
      eventually('it was looked at', async () => {
        const object = await conditionsOf('ServiceRegistration', name);
        assert.match(conditionOf(object, 'Ready') ?? '', /^True|^False/);
      });
    const forms: readonly (readonly [title: string, SliceOptions, EndpointOptions])[] = [
      ['without a controller', { managedBy: '' }, {}],
      ['in the name of a controller of its own', { managedBy: 'mallory.example' }, {}],
      [
        'in the name of the controller that mirrors Endpoints',
        { managedBy: 'endpointslicemirroring-controller.k8s.io' },
        {},
      ],
      ['for a Pod of another namespace', { managedBy: '' }, { podNamespace: victim }],
    ];
    for (const [index, [title, options, endpoint]] of forms.entries()) {
      test(title, async () => {
        const name = `forged-${index}-${id}`;
        await attempt(
          service(mallory, name),
          slice(mallory, name, { '10.50.0.1': endpoint }, options),
          registration(mallory, name, shared),
        );
        await registered(name);
        assert.deepEqual(await entriesNamed(consul, name), []);
      });
    }

    test('in the name of the endpoint controller, or by a change of what that made', async () => {
      const name = `genuine-${id}`;
      await assert.rejects(attempt(slice(mallory, 'none', ['10.50.0.1'])), /only the endpoint controllers/);
      await attempt(
        service(mallory, name, { app: name }),
        pod(mallory, name, name),
        registration(mallory, name, shared),
      );
      const [made] = await eventually('the controller’s slice is there', async () => {
        const found = (await kube.list('EndpointSlice', mallory)).filter(
          (one) => one.metadata.name.startsWith(name) && one.endpoints?.length === 1,
        );
        assert.equal(found.length, 1);
        return found;
      });
      const patch = JSON.stringify({
        endpoints: [
          {
            addresses: ['10.50.0.1'],
            conditions: { ready: true },
            targetRef: { kind: 'Pod', name, namespace: mallory },
          },
        ],
      });
      const change = cluster.kubectl(['patch', 'endpointslice', made.metadata.name, '--type=merge', '-p', patch], {
        kubeconfig: tenant,
      });
      await assert.rejects(change, /only the endpoint controllers/);
      await eventually('the Pod itself stands', async () => {
        const entries = await entriesNamed(consul, name);
        assert.deepEqual(
          entries.map(({ address }) => address),
          [made.endpoints[0].addresses[0]],
        );
      });
    });

    test('for the Service of another team, by its label', async () => {
      await attempt(
        slice(mallory, payments, ['10.51.0.9'], { managedBy: '' }),
        service(mallory, payments),
        registration(mallory, 'label', unmanaged, { serviceRef: { name: payments }, name: `mine-${id}` }),
      );
      await eventually('it stands under its own Service alone', async () => {
        const entries = await entriesNamed(consul, `mine-${id}`);
        assert.deepEqual(
          entries.map(({ owner, address }) => [owner, address]),
          [[`${mallory}/${payments}`, '10.51.0.9']],
        );
      });
      assert.deepEqual((await entriesNamed(consul, payments)).map(brief).sort(), [
        `passing ${payments} 10.50.0.1:8080`,
        `passing ${payments} 10.50.0.2:8080`,
      ]);
    });

    test('at a reserved address, even where the registry takes those of no controller', async () => {
      const name = `reserved-${id}`;
      const addresses = [
        '127.0.0.1',
        '0.0.0.0',
        '169.254.169.254',
        '100.100.100.200',
        '168.63.129.16',
        '240.0.0.1',
        '224.0.0.1',
        '::1',
        '::',
        'fe80::1',
        'fd00:ec2::254',
        'ff02::1',
        '::ffff:127.0.0.1',
        '::ffff:169.254.169.254',
        '64:ff9b::169.254.169.254',
        '127.1',
        '2130706433',
        '10.51.0.8',
      ];
      const taken: string[] = [];
      for (const [index, address] of addresses.entries()) {
        const addressType = address.includes(':') ? 'IPv6' : 'IPv4';
        const made = slice(mallory, name, [address], { name: `${name}-${index}`, managedBy: '', addressType });
        await attempt(made).then(
          () => taken.push(address),
          () => {},
        );
      }
      // The API server refuses some of them by itself; the rest is ours to refuse.
      assert.ok(taken.includes('fd00:ec2::254') && taken.includes('100.100.100.200'), taken.join());
      await attempt(service(mallory, name), registration(mallory, name, unmanaged));
      await eventually('what is no reserved address stands alone', async () => {
        const entries = await entriesNamed(consul, name);
        assert.deepEqual(
          entries.map(({ address }) => address),
          ['10.51.0.8'],
        );
      });
    });
  });

  describe('takes no name of others', () => {
    const forms: readonly (readonly [
      title: string,
      spec: object,
      annotations: Readonly<Record<string, string>>,
      kind?: string,
    ])[] = [
      ['as it is', { name: payments }, {}],
      ['by asking for a merge that the other does not want', { name: payments, mergeName: true }, {}],
      ['by a template', { name: `payments-{cluster}`.replace('{cluster}', id) }, {}],
      ['by an annotation', {}, { 'roster.dev/name': payments }],
      ['in capitals, which Consul takes for the same', { name: payments.toUpperCase() }, {}],
    ];
    for (const [index, [title, spec, annotations]] of forms.entries()) {
      test(title, async () => {
        const name = `squat-${index}-${id}`;
        await attempt(
          service(mallory, name, { annotations, app: name }),
          pod(mallory, name, name),
          registration(mallory, name, shared, spec),
        );
        const object = await says('ServiceRegistration', name, 'Ready', 'False NameConflict');
        assert.match(JSON.stringify(object.status), /is taken by Service/);
        const owners = (await entriesNamed(consul, payments)).map(({ owner }) => owner);
        assert.deepEqual([...new Set(owners)], [`${victim}/${payments}`]);
      });
    }

    test('through a Registry of its own at the same server', async () => {
      const name = `aside-${id}`;
      const registryRef = { kind: 'Registry', name: 'aside' };
      await attempt(
        registry('aside', {
          type: 'Consul',
          consul: { address: consul.address },
          audit: { intervalSeconds: 5 },
          allowUnmanagedEndpoints: true,
        }),
        service(mallory, name),
        slice(mallory, name, ['10.51.0.7'], { managedBy: '' }),
        registration(mallory, name, shared, { registryRef }),
      );
      await says('ServiceRegistration', name, 'Ready', 'True Synced');
      await attempt(service(mallory, `${name}-2`));
      assert.deepEqual(await ofVictim(), standing);
    });
  });

  describe('forges no marks and breaks nothing', () => {
    const hostile = {
      'roster-owner': `${victim}/${payments}`,
      'roster-cluster': 'another',
      'managed-by': 'mallory',
    };
    test('by metadata, which the API server refuses', async () => {
      for (const [key, value] of Object.entries(hostile)) {
        const made = registration(mallory, 'marks', shared, { metadata: { [key]: value } });
        await assert.rejects(attempt(made), /mark what is ours/);
        const labelled = registration(mallory, 'marks', shared, { metadataFromLabels: [key] });
        await assert.rejects(attempt(labelled), /mark what is ours/);
      }
    });

    const values: readonly (readonly [title: string, annotations: Readonly<Record<string, string>>, spec: object])[] = [
      ['owner', { 'roster.dev/metadata-roster-owner': `${victim}/${payments}` }, {}],
      ['owner with a dot', { 'roster.dev/metadata-roster.owner': `${victim}/${payments}` }, {}],
      ['owner of a label with a dot', {}, { metadataFromLabels: ['roster.owner'] }],
      ['cluster', { 'roster.dev/metadata-roster-cluster': 'another' }, {}],
      ['a name that is a path', {}, { name: '../../v1/agent/leave' }],
      ['a name of two lines', {}, { name: 'two\nlines' }],
      ['a name with NUL', {}, { name: 'a\u0000b' }],
      ['a name that looks like another', {}, { name: `раyments-${id}` }],
      ['a placeholder by annotation', { 'roster.dev/name': '{constructor}' }, {}],
    ];
    for (const [index, [title, annotations, spec]] of values.entries()) {
      test(`by annotations and names: ${title}`, async () => {
        const name = `hostile-${index}-${id}`;
        const made = await attempt(
          service(mallory, name, { annotations, labels: { 'roster.owner': 'x' }, app: name }),
          pod(mallory, name, name),
          registration(mallory, name, shared, spec),
        ).then(
          () => true,
          () => false,
        );
        if (!made) return;
        await eventually('it is refused', async () => {
          assert.match(
            conditionOf(await conditionsOf('ServiceRegistration', name), 'Ready') ?? '',
            /^False (InvalidSpec|NameNotAllowed)/,
          );
        });
        assert.deepEqual(
          (await ofMallory()).filter(({ owner }) => owner === `${mallory}/${name}`),
          [],
        );
      });
    }

    test('by keys that every object has: they are metadata like any other', async () => {
      const name = `keys-${id}`;
      const metadata = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c", "hasOwnProperty": "d"}');
      const pairs = { 'roster.dev/metadata-valueOf': 'e' };
      await attempt(
        service(mallory, name, { app: name, annotations: pairs }),
        pod(mallory, name, name),
        registration(mallory, name, shared, { metadata }),
      );
      await eventually('it stands', async () => {
        const [entry] = await entriesNamed(consul, name);
        const { zone: _, ...told } = entry?.metadata ?? {};
        assert.equal(
          JSON.stringify(Object.entries(told).sort()),
          JSON.stringify([...Object.entries(metadata), ['valueOf', 'e']].sort()),
        );
      });
    });

    test('by entries of strangers under its ids: they stay, and it is told', async () => {
      const name = `stranger-${id}`;
      const [first] = (await entriesNamed(consul, payments)).map((entry) => entry);
      assert.ok(first);
      const ID = first.id.replace(`${victim}/${payments}`, `${mallory}/${name}`).replace(/[^/]*$/, '10.51.0.6:8080');
      const Service = { ID, Service: name, Address: '10.9.9.9', Port: 1 };
      await consul.request('PUT', '/v1/catalog/register', { Node: `node-${id}`, Address: '10.9.9.9', Service });
      await attempt(
        service(mallory, name),
        slice(mallory, name, ['10.51.0.6'], { managedBy: '' }),
        registration(mallory, name, unmanaged),
      );
      await eventually('both stand', async () => {
        const entries = await entriesNamed(consul, name);
        assert.ok(
          entries.some(({ address, cluster: of }) => address === '10.9.9.9' && of === ''),
          JSON.stringify(entries),
        );
      });
    });
  });
});

test('after all of it the victim’s entries stand as they stood, byte by byte', async () => {
  assert.deepEqual(await ofVictim(), standing);
  assert.equal(conditionOf(await conditionsOf('ServiceRegistration', payments, victim), 'Ready'), 'True Synced');
});

test('everything that stands for the tenant is of its own Services', async () => {
  const owners = (await ofMallory()).filter(({ cluster: of }) => of !== '').map(({ owner }) => owner.split('/')[0]);
  assert.ok(owners.length > 0);
  assert.deepEqual([...new Set(owners)], [mallory]);
});

test('the operator asked for no Secret but those that the tenant’s own Registries may name, and wrote nothing but statuses, finalizers and events', async () => {
  const asked = (await audit.requests()).filter(({ user }) => user === OPERATOR);
  assert.ok(asked.length > 0);
  const secrets = asked.filter(({ resource }) => resource === '/secrets');
  assert.ok(secrets.length > 0);
  assert.deepEqual(
    secrets.filter((one) => one.verb !== 'get' || one.namespace !== mallory),
    [],
  );
  const writes = asked.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb));
  const kinds = [...new Set(writes.map(({ verb, resource }) => `${verb} ${resource}`))].sort();
  const lawful =
    /^(patch roster\.dev\/\w+registrations|patch roster\.dev\/\w+\/status|(create|patch) events\.k8s\.io\/events|create authorization.*)$/;
  assert.deepEqual(
    kinds.filter((one) => !lawful.test(one)),
    [],
  );
});

test('no Secret of others is in anything that the operator says', async () => {
  assert.ok(!(await stage.operator.output()).includes(CANARY));
  const statuses = await Promise.all([kube.list('Registry'), kube.list('ServiceRegistration'), kube.list('Event')]);
  assert.ok(!JSON.stringify(statuses).includes(CANARY));
});

testTraces(stage);
