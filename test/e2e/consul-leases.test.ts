// `liveness: Leased` on a Consul as it is in production: HTTPS only, with access control, and a token that may do no more than the documentation says.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { openConsul } from '../servers/consul.ts';
import { eventually } from './eventually.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const guarded = await openConsul({ acl: true, tls: true });
after(() => guarded.stop());
const stage = await openStage({ consul: guarded });

const TTL_SECONDS = 8;

test('what is leased goes from Consul with an operator that is killed, what is persistent stays, and the next operator mends the one and leaves the other', async () => {
  const s = await openScenario(stage, 'Memory');
  const { namespace: ns, id } = s;
  const [leasing, lasting] = [`leasing-${id}`, `lasting-${id}`];
  const [web, api] = [`web-${id}`, `api-${id}`];
  const token = await newToken();
  const { caFile, certFile, keyFile } = guarded.tls ?? assert.fail();
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map((path) => readFile(path, 'utf8')));
  const inSecret = { namespace: OPERATOR_NAMESPACE, name: `consul-${id}` };
  const consul = {
    address: guarded.address,
    tokenSecretRef: { ...inSecret, key: 'token' },
    tls: { caSecretRef: { ...inSecret, key: 'ca.crt' }, certSecretRef: inSecret },
  };
  await s.apply(
    secret(OPERATOR_NAMESPACE, `consul-${id}`, {
      token,
      'ca.crt': ca ?? '',
      'tls.crt': cert ?? '',
      'tls.key': key ?? '',
    }),
    clusterRegistry(leasing, { type: 'Consul', consul: { ...consul, ttlSeconds: TTL_SECONDS } }),
    clusterRegistry(lasting, { type: 'Consul', consul }),
    service(ns, web),
    slice(ns, web, ['10.1.0.1', '10.1.0.2']),
    registration(ns, web, leasing, { liveness: 'Leased' }),
    service(ns, api),
    slice(ns, api, ['10.1.0.3']),
    registration(ns, api, lasting),
  );
  const webStands = () => passing(web, ['10.1.0.1', '10.1.0.2']);
  const apiStands = () => passing(api, ['10.1.0.3']);
  await eventually('both stand', () => Promise.all([webStands(), apiStands()]));
  for (const name of [web, api]) await s.says('ServiceRegistration', name, { Ready: 'True Synced' });
  for (const name of [leasing, lasting]) {
    await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable' });
  }

  // What stands may be seen a moment before its acknowledgement is logged.
  const wrote = (expected: readonly string[]) =>
    eventually('so many changes are logged', async () => {
      const changes = await stage.operator.changes(lasting);
      assert.deepEqual(
        changes.map(({ action }) => action),
        expected,
      );
    });
  await wrote(['register']);
  stage.operator.process.kill('SIGKILL');
  await eventually('what was leased is gone', () => passing(web, []), 4 * TTL_SECONDS * 1_000);
  await apiStands();

  await stage.operator.process.restart();
  await eventually('it is back', webStands);
  await apiStands();
  // The operator has read the lasting registry, too.
  await s.says('ClusterRegistry', lasting, { Ready: 'True Ready' });
  await s.apply(slice(ns, api, ['10.1.0.3', '10.1.0.4']));
  await eventually('it follows', () => passing(api, ['10.1.0.3', '10.1.0.4']));
  await wrote(['register', 'register']);
  assert.ok(!(await stage.operator.output()).includes(token), 'the token is in the log');
});

testTraces(stage);

/** Addresses that a consumer gets who asks Consul for passing instances. */
async function passing(name: string, expected: readonly string[]): Promise<void> {
  const { status, body } = await guarded.request('GET', `/v1/health/service/${name}?passing`);
  assert.equal(status, 200);
  const addresses = body.map((entry: { Service: { Address: string } }) => entry.Service.Address);
  assert.deepEqual(addresses.sort(), expected);
}

/** What the decision on leases says that a token needs. */
async function newToken(): Promise<string> {
  const rules =
    'node_prefix "roster-" { policy = "write" } service_prefix "" { policy = "write" } session_prefix "roster-" { policy = "write" }';
  const policy = await guarded.request('PUT', '/v1/acl/policy', { Name: 'roster', Rules: rules });
  assert.equal(policy.status, 200, JSON.stringify(policy.body));
  const token = await guarded.request('PUT', '/v1/acl/token', { Policies: [{ Name: 'roster' }] });
  assert.equal(token.status, 200, JSON.stringify(token.body));
  return token.body.SecretID;
}
