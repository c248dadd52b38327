import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CONDITION_REASONS } from '../../src/api/reasons.ts';
import { type ControlPlaneServers, KubectlError, openControlPlane } from '../servers/control-plane.ts';
import { until } from '../servers/until.ts';
import { apiRequest } from './api-request.ts';

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));

const account = 'system:serviceaccount:roster-system:roster';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const read = ['get', 'list', 'watch'];

/** All that the operator may do in the namespace of somebody else: anything more is a difference here. */
const everywhere: readonly Rule[] = [
  { apiGroups: [''], resources: ['namespaces', 'services', 'endpoints'], verbs: read },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
  { apiGroups: ['roster.dev'], resources: ['registries', 'clusterregistries'], verbs: read },
  {
    apiGroups: ['roster.dev'],
    resources: ['serviceregistrations', 'clusterserviceregistrations'],
    verbs: [...read, 'patch'],
  },
  {
    apiGroups: ['roster.dev'],
    resources: [
      'serviceregistrations/status',
      'clusterserviceregistrations/status',
      'registries/status',
      'clusterregistries/status',
    ],
    verbs: ['patch'],
  },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

// A control plane of its own: an operator of another test would act on the samples.
describe('deploy/, applied to a real API server', () => {
  let cluster: ControlPlaneServers;
  before(async () => {
    cluster = await openControlPlane();
    await cluster.kubectl(['apply', '-k', path('deploy/kustomize/base')]);
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=60s', '-f', path('crds')]);
    await cluster.kubectl(['apply', '-f', path('deploy/samples')]);
  });
  after(() => cluster.stop());

  const mayI = async (...args: readonly string[]): Promise<boolean> => {
    const answer = await cluster
      .kubectl(['auth', 'can-i', `--as=${account}`, ...args])
      .catch((error) => (error instanceof KubectlError && error.code === 1 ? error.stdout : Promise.reject(error)));
    assert.match(answer, /^(yes|no)/);
    return answer.startsWith('yes');
  };

  /** What an account may do in a namespace beyond what every ServiceAccount may. */
  const rulesOf = async (token: string, namespace: string): Promise<readonly Rule[]> => {
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } };
    const reviewAs = async (admin: string): Promise<readonly Rule[]> => {
      const as = { url: cluster.url, caFile: cluster.caFile, tokens: { ...cluster.tokens, admin } };
      const { body } = await apiRequest(as, 'POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', review);
      assert.equal(body.status.incomplete, false);
      return body.status.resourceRules;
    };
    const ofAll = new Set(
      (await reviewAs(await cluster.serviceAccountToken('default', 'default'))).map((rule) => JSON.stringify(rule)),
    );
    return (await reviewAs(token)).filter((rule) => !ofAll.has(JSON.stringify(rule)));
  };

  const sorted = (rules: readonly Rule[]) => rules.map((rule) => JSON.stringify(rule, Object.keys(rule).sort())).sort();

  it('applies again without a change', async () => {
    const lines = (await cluster.kubectl(['apply', '-k', path('deploy/kustomize/base')])).trim().split('\n');
    assert.deepEqual(
      // kubectl replaces the selector of a disruption budget each time it applies it, with the same one.
      lines.filter((line) => !line.endsWith(' unchanged') && line !== 'poddisruptionbudget.policy/roster configured'),
      [],
    );
  });

  it('gives the operator exactly the rights of this list in a namespace of somebody else', async () => {
    const token = await cluster.serviceAccountToken('roster-system', 'roster');
    assert.deepEqual(sorted(await rulesOf(token, 'default')), sorted(everywhere));
  });

  it('adds in its own namespace only that it may read a Secret by name, and use Leases', async () => {
    const token = await cluster.serviceAccountToken('roster-system', 'roster');
    assert.deepEqual(
      sorted(await rulesOf(token, 'roster-system')),
      sorted([
        ...everywhere,
        { apiGroups: [''], resources: ['secrets'], verbs: ['get'] },
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update', 'delete'] },
      ]),
    );
  });

  const allowed: readonly (readonly string[])[] = [
    ['watch', 'services', '--all-namespaces'],
    ['list', 'endpointslices.discovery.k8s.io', '--all-namespaces'],
    ['list', 'endpoints', '--all-namespaces'],
    ['list', 'namespaces'],
    ['patch', 'serviceregistrations.roster.dev', '--all-namespaces'],
    ['patch', 'clusterregistries.roster.dev', '--subresource=status'],
    ['create', 'events.events.k8s.io', '-n', 'roster-demo'],
    ['get', 'secrets/consul', '-n', 'roster-system'],
    ['update', 'leases.coordination.k8s.io', '-n', 'roster-system'],
  ];
  for (const args of allowed) {
    it(`lets the operator ${args.join(' ')}`, async () => assert.ok(await mayI(...args)));
  }

  const forbidden: readonly (readonly string[])[] = [
    ['get', 'secrets/consul', '-n', 'roster-demo'],
    ['get', 'secrets', '--all-namespaces'],
    ['list', 'secrets', '-n', 'roster-system'],
    ['watch', 'secrets', '-n', 'roster-system'],
    ['list', 'leases.coordination.k8s.io', '-n', 'roster-system'],
    ['get', 'leases.coordination.k8s.io', '-n', 'kube-system'],
    ['update', 'leases.coordination.k8s.io', '-n', 'kube-system'],
    ['patch', 'services', '-n', 'roster-demo'],
    ['update', 'services', '-n', 'roster-demo'],
    ['create', 'endpointslices.discovery.k8s.io', '-n', 'roster-demo'],
    ['delete', 'pods', '-n', 'roster-demo'],
    ['list', 'pods', '-n', 'roster-demo'],
    ['create', 'serviceregistrations.roster.dev', '-n', 'roster-demo'],
    ['delete', 'serviceregistrations.roster.dev', '-n', 'roster-demo'],
    ['patch', 'clusterregistries.roster.dev'],
    ['patch', 'customresourcedefinitions.apiextensions.k8s.io'],
    ['create', 'rolebindings.rbac.authorization.k8s.io', '-n', 'roster-system'],
  ];
  for (const args of forbidden) {
    it(`does not let the operator ${args.join(' ')}`, async () => assert.ok(!(await mayI(...args))));
  }

  it('lets a team open its own Secrets to the operator, and nobody else’s', async () => {
    const secret = ['get', 'secrets/consul'];
    assert.ok(!(await mayI(...secret, '-n', 'roster-demo')));
    await cluster.kubectl(['apply', '-f', path('deploy/samples/tenant')]);
    assert.ok(await mayI(...secret, '-n', 'roster-demo'));
    assert.ok(!(await mayI('list', 'secrets', '-n', 'roster-demo')));
    assert.ok(!(await mayI(...secret, '-n', 'default')));
  });

  it('holds every sample as it was written', async () => {
    const names = await cluster.kubectl(['get', 'roster', '-A', '-o', 'name']);
    for (const name of [
      'clusterregistry.roster.dev/memory',
      'clusterregistry.roster.dev/consul',
      'clusterserviceregistration.roster.dev/labelled-namespaces',
      'serviceregistration.roster.dev/web',
    ]) {
      assert.ok(names.split('\n').includes(name), `${name} in ${names}`);
    }
    await cluster.kubectl(['rollout', 'status', 'deployment/web', '-n', 'roster-demo', '--timeout=50s']);
  });

  it('brings up two Pods in a namespace that demands the restricted profile, of which one may be evicted at a time', async () => {
    await cluster.kubectl(['rollout', 'status', 'deployment/roster', '-n', 'roster-system', '--timeout=50s']);
    const pods = JSON.parse(await cluster.kubectl(['get', 'pods', '-n', 'roster-system', '-o', 'json']));
    assert.equal(pods.items.length, 2);
    for (const { spec } of pods.items) assert.equal(spec.serviceAccountName, 'roster');
    await until('the disruption budget to know both', async () => {
      const budget = ['get', 'pdb', 'roster', '-n', 'roster-system', '-o', 'jsonpath={.spec.maxUnavailable}'];
      return (await cluster.kubectl(budget)) === '1' ? true : undefined;
    });
  });

  const podFromTemplate = async (container: object = {}) => {
    const deployment = JSON.parse(
      await cluster.kubectl(['get', 'deployment', 'roster', '-n', 'roster-system', '-o', 'json']),
    );
    const { metadata, spec } = deployment.spec.template;
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: 'copy' },
      spec: { ...spec, containers: [{ ...spec.containers[0], ...container }] },
    };
  };
  const dryRun = (pod: object) => apiRequest(cluster, 'POST', '/api/v1/namespaces/roster-system/pods?dryRun=All', pod);

  it('needs every line of its security context: the namespace refuses a Pod without it', async () => {
    assert.equal((await dryRun(await podFromTemplate())).status, 201);
    for (const securityContext of [
      {},
      { allowPrivilegeEscalation: true, capabilities: { drop: ['ALL'] } },
      { allowPrivilegeEscalation: false, capabilities: { drop: [] } },
    ]) {
      const { status, body } = await dryRun(await podFromTemplate({ securityContext }));
      assert.equal(status, 403);
      assert.match(body.message, /violates PodSecurity "restricted:latest"/);
    }
  });

  it('runs the container with a file system that nobody can write to, as the user of the image', async () => {
    const { spec } = await podFromTemplate();
    assert.equal(spec.containers[0].securityContext.readOnlyRootFilesystem, true);
    assert.deepEqual(spec.volumes, undefined);
    const user = /^USER (\d+):(\d+)$/m.exec(readFileSync(path('Dockerfile'), 'utf8'));
    assert.deepEqual(
      [spec.securityContext.runAsUser, spec.securityContext.runAsGroup],
      [Number(user?.[1]), Number(user?.[2])],
    );
  });

  it('asks for the name of the cluster instead of guessing one', async () => {
    const { spec } = await podFromTemplate();
    assert.deepEqual(spec.containers[0].args.slice(0, 2), ['run', '--cluster-name=$(CLUSTER_NAME)']);
    const missing = cluster.kubectl(['get', 'configmap', 'roster', '-n', 'roster-system']);
    await assert.rejects(missing, /NotFound/);
    await cluster.kubectl(['apply', '-k', path('deploy/kustomize/example')]);
    const name = ['get', 'configmap', 'roster', '-n', 'roster-system', '-o', 'jsonpath={.data.cluster-name}'];
    assert.equal(await cluster.kubectl(name), 'example');
  });

  /** The operator as a process outside the cluster, with nothing but the rights of its ServiceAccount. */
  const startOperator = async (t: TestContext): Promise<(path: string) => Promise<string>> => {
    const token = await cluster.serviceAccountToken('roster-system', 'roster');
    const kubeconfig = await cluster.kubeconfigFor(token, 'roster-system');
    const args = [
      'run',
      '--cluster-name=test',
      `--kubeconfig=${kubeconfig}`,
      '--http-address=127.0.0.1:0',
      '--leader-elect',
    ];
    const operator = spawn(process.execPath, [path('src/main.ts'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(operator, 'exit');
    t.after(async () => {
      operator.kill('SIGKILL');
      await ended;
    });
    let output = '';
    for (const stream of [operator.stdout, operator.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const port = await until('the port of the operator', async () => {
      assert.equal(operator.exitCode, null, output);
      return /"httpPort":(\d+)/.exec(output)?.[1];
    });
    return async (at) => (await fetch(`http://127.0.0.1:${port}${at}`)).text();
  };

  const conditionsOf = async (...object: readonly string[]): Promise<readonly Record<string, string>[]> =>
    JSON.parse(await cluster.kubectl(['get', ...object, '-o', 'json'])).status.conditions;

  it('gives the operator all the rights that the samples need', async (t) => {
    await cluster.kubectl(['apply', '-f', path('deploy/samples/tenant')]);
    const get = await startOperator(t);

    const ready = ['wait', '--for=condition=Ready', '--timeout=50s'];
    await cluster.kubectl([...ready, 'creg/memory', 'csreg/labelled-namespaces']);
    await cluster.kubectl([...ready, '-n', 'roster-demo', 'sreg/web']);
    assert.match(await get('/registries/memory'), /"roster-demo-api"/);

    const leases = await cluster.kubectl(['get', 'leases', '-n', 'roster-system', '-L', 'roster.dev/registry']);
    assert.match(leases, /^roster-test-[0-9a-f]{8} .* memory$/m);
    assert.match(leases, /^roster-test /m);

    for (const object of [['creg/consul'], ['reg/own-consul', '-n', 'roster-demo']]) {
      await cluster.kubectl(['wait', '--for=condition=Stalled', '--timeout=50s', ...object]);
      const stalled = (await conditionsOf(...object)).find(({ type }) => type === 'Stalled');
      assert.equal(stalled?.['reason'], 'SecretNotFound');
    }
    for (const object of [
      ['creg/consul'],
      ['creg/memory'],
      ['csreg/labelled-namespaces'],
      ['sreg/web', '-n', 'roster-demo'],
    ]) {
      for (const { reason } of await conditionsOf(...object))
        assert.ok(
          CONDITION_REASONS.some((known) => known === reason),
          reason,
        );
    }

    await cluster.kubectl(['delete', '-n', 'roster-demo', 'sreg/web', '--timeout=50s']);
    await until('the other registration to take the Service over', async () =>
      (await get('/registries/memory')).includes('"roster-demo-web"') ? true : undefined,
    );
    await until('an event on a registration', async () => {
      const events = await cluster.kubectl(['get', 'events.events.k8s.io', '-n', 'roster-demo']);
      return events.includes('serviceregistration/web') ? true : undefined;
    });

    const requests = (await get('/metrics'))
      .split('\n')
      .filter((line) => line.startsWith('rest_client_requests_total{'));
    assert.ok(
      requests.some((line) => line.includes('code="200"')),
      requests.join('\n'),
    );
    const refused = requests.filter((line) => /code="40[13]"/.test(line));
    assert.deepEqual(refused, []);
  });
});
