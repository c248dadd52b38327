import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../src/config.ts';

const accepted = (flags: Record<string, unknown>, env: Record<string, string> = {}, podNamespace?: string) => {
  const outcome = readConfig(flags, { env, ...(podNamespace !== undefined && { podNamespace }) });
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.errors.join('\n'));
  return outcome.config;
};

const refused = (flags: Record<string, unknown>, env: Record<string, string> = {}) => {
  const outcome = readConfig(flags, { env });
  assert.ok(!outcome.ok);
  return outcome.errors;
};

test('only the name of the cluster is needed; the rest has defaults', () => {
  assert.deepEqual(accepted({ clusterName: 'prod' }), {
    clusterName: 'prod',
    endpointsSource: 'Auto',
    httpAddress: { port: 8080 },
    leaderElect: false,
    logLevel: 'info',
    operatorNamespace: 'roster-system',
  });
});

test('leaders are elected in a Pod, not elsewhere, unless said otherwise', () => {
  assert.equal(accepted({ clusterName: 'a' }, {}, 'pod-ns').leaderElect, true);
  assert.equal(accepted({ clusterName: 'a', leaderElect: 'false' }, {}, 'pod-ns').leaderElect, false);
  assert.equal(accepted({ clusterName: 'a' }, { ROSTER_LEADER_ELECT: 'true' }).leaderElect, true);
  assert.deepEqual(refused({ clusterName: 'a', leaderElect: 'yes' }), [
    '--leader-elect (ROSTER_LEADER_ELECT): "yes" is not one of true, false',
  ]);
});

test('every flag has its ROSTER_ variable', () => {
  const env = {
    ROSTER_CLUSTER_NAME: 'prod',
    ROSTER_KUBECONFIG: '/k',
    ROSTER_CONTEXT: 'c',
    ROSTER_ENDPOINTS_SOURCE: 'Endpoints',
    ROSTER_CREDENTIALS_DIRECTORY: '/c',
    ROSTER_TENANT_REGISTRY_NETWORKS: '10.0.0.0/8, fd00::/8',
    ROSTER_HTTP_ADDRESS: '127.0.0.1:9000',
    ROSTER_LEADER_ELECT: 'true',
    ROSTER_LOG_LEVEL: 'debug',
    ROSTER_OPERATOR_NAMESPACE: 'infra',
  };
  assert.deepEqual(accepted({}, env), {
    clusterName: 'prod',
    kubeconfig: '/k',
    context: 'c',
    endpointsSource: 'Endpoints',
    credentialsDirectory: '/c',
    tenantRegistryNetworks: ['10.0.0.0/8', 'fd00::/8'],
    httpAddress: { host: '127.0.0.1', port: 9000 },
    leaderElect: true,
    logLevel: 'debug',
    operatorNamespace: 'infra',
  });
});

test('a flag wins over its variable, and an empty variable is an unset one', () => {
  const env = { ROSTER_CLUSTER_NAME: 'env', ROSTER_LOG_LEVEL: '', ROSTER_KUBECONFIG: '' };
  const config = accepted({ clusterName: 'flag' }, env);
  assert.equal(config.clusterName, 'flag');
  assert.equal(config.logLevel, 'info');
  assert.ok(!('kubeconfig' in config));
});

test('the namespace of the operator is that of its Pod, unless given', () => {
  assert.equal(accepted({ clusterName: 'a' }, {}, 'pod-ns').operatorNamespace, 'pod-ns');
  assert.equal(accepted({ clusterName: 'a', operatorNamespace: 'x' }, {}, 'pod-ns').operatorNamespace, 'x');
});

test('all errors are reported at once, each with flag and variable', () => {
  const flags = { endpointsSource: 'Pods', httpAddress: '8080', logLevel: 'loud', operatorNamespace: 'A' };
  assert.deepEqual(refused(flags), [
    '--cluster-name (ROSTER_CLUSTER_NAME): is required',
    '--endpoints-source (ROSTER_ENDPOINTS_SOURCE): "Pods" is not one of Auto, EndpointSlice, Endpoints',
    '--http-address (ROSTER_HTTP_ADDRESS): "8080" is not HOST:PORT or :PORT, for instance 127.0.0.1:8080',
    '--log-level (ROSTER_LOG_LEVEL): "loud" is not one of debug, info, warn, error',
    '--operator-namespace (ROSTER_OPERATOR_NAMESPACE): "A" is not a name of at most 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit',
  ]);
});

for (const name of ['', 'Prod', 'a/b', 'a.b', '-a', 'a-', 'a b', 'x'.repeat(64)]) {
  test(`the cluster name ${JSON.stringify(name)} is refused`, () => {
    assert.match(refused({ clusterName: name })[0] ?? '', /^--cluster-name/);
  });
}

for (const [text, address] of [
  [':0', { port: 0 }],
  ['0.0.0.0:65535', { host: '0.0.0.0', port: 65535 }],
  ['[::1]:8080', { host: '::1', port: 8080 }],
  ['localhost:1', { host: 'localhost', port: 1 }],
] as const) {
  test(`the address ${text} is taken`, () => {
    assert.deepEqual(accepted({ clusterName: 'a', httpAddress: text }).httpAddress, address);
  });
}

for (const text of ['', ':', ':x', ':65536', '::1:80', 'http://a:80', 'a b:80']) {
  test(`the address ${JSON.stringify(text)} is refused`, () => {
    assert.match(refused({ clusterName: 'a', httpAddress: text })[0] ?? '', /^--http-address/);
  });
}

test('the config is frozen', () => {
  assert.ok(Object.isFrozen(accepted({ clusterName: 'a' })));
});

test('the networks of tenants are CIDR, each of them, and none is never meant by an empty entry', () => {
  for (const networks of [
    '10.0.0.0',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0.0/8,',
    ',',
    'example/8',
    '127.1/8',
    '10.0.0.0/8;11.0.0.0/8',
  ]) {
    const errors = refused({ clusterName: 'a', tenantRegistryNetworks: networks });
    assert.match(
      errors.join(),
      /--tenant-registry-networks \(ROSTER_TENANT_REGISTRY_NETWORKS\): ".*" is not a network/,
    );
  }
});
