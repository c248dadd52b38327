// Credentials that change while the operator is at work: it is not restarted, what stands stays, and what was asked for meanwhile is done.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Etcd3 } from 'etcd3';
import { type ConsulServer, openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { eventually } from './eventually.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const directory = await mkdtemp(join(tmpdir(), 'roster-e2e-credentials-'));
after(() => rm(directory, { recursive: true, force: true }));
const [guarded, users, encrypted] = await Promise.all([
  openConsul({ acl: true }),
  openEtcd({ fsync: false, auth: true }),
  openEtcd({ fsync: false, tls: true }),
]);
for (const server of [guarded, users, encrypted]) after(() => server.stop());
const stage = await openStage({ consul: guarded, args: ['--credentials-directory', directory] });

describe('credentials that change', { concurrency: true }, () => {
  test('a token in a file is replaced: nothing is deregistered, and what changed while the old one was no good lands', async () => {
    const s = await openScenario(stage, 'Memory');
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    const registry = `guarded-${id}`;
    const first = await newToken(guarded);
    await putFile(registry, 'token', `${first.secret}\n`);
    await s.apply(
      clusterRegistry(registry, {
        type: 'Consul',
        consul: { address: guarded.address },
        audit: { intervalSeconds: 5 },
        credentialsDirectory: registry,
      }),
      service(ns, web),
      slice(ns, web, ['10.1.0.1']),
      registration(ns, web, registry),
    );
    const addresses = async () => {
      const { body } = await guarded.request('GET', `/v1/catalog/service/${web}?stale=false`);
      return body.map((entry: { ServiceAddress: string }) => entry.ServiceAddress).sort();
    };
    await eventually('the first token writes', async () => assert.deepEqual(await addresses(), ['10.1.0.1']));

    await guarded.request('DELETE', `/v1/acl/token/${first.accessor}`);
    await s.apply(slice(ns, web, ['10.1.0.1', '10.1.0.2']));
    // What a token may do is cached by Consul, so it may be good for a moment more.
    const second = await newToken(guarded);
    await putFile(registry, 'token', second.secret);
    await eventually('the second token writes what changed', async () =>
      assert.deepEqual(await addresses(), ['10.1.0.1', '10.1.0.2']),
    );
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    await s.says('ClusterRegistry', registry, { Ready: 'True Ready', Reachable: 'True Reachable' });
    await s.apply(slice(ns, web, ['10.1.0.2', '10.1.0.3']));
    await eventually('and goes on', async () => assert.deepEqual(await addresses(), ['10.1.0.2', '10.1.0.3']));
    // What stands may be seen a moment before its acknowledgement is logged.
    await eventually('only the endpoint that went is logged', async () => {
      const removed = (await stage.operator.changes(registry)).filter(({ action }) => action === 'deregister');
      assert.equal(removed.length, 1);
    });
    const text = await stage.operator.output();
    for (const { secret: token } of [first, second]) assert.ok(!text.includes(token), 'a token is in the log');
  });

  test('a password in a Secret is replaced together with that of the user', async () => {
    const { username, password } = users.root ?? assert.fail();
    const raw = new Etcd3({ hosts: users.address, auth: { username, password } });
    after(() => raw.close());
    const passwords = { first: 'grumbling-otter', second: 'whispering-heron' };
    const role = raw.role('writer');
    await role.create();
    await role.grant({ permission: 'Readwrite', range: raw.range({ prefix: '/services/' }) });
    const user = raw.user('writer');
    await user.create(passwords.first);
    await user.addRole('writer');

    const s = await openScenario(stage, 'Memory');
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    const name = `users-${id}`;
    const ref = (key: string) => ({ namespace: OPERATOR_NAMESPACE, name, key });
    await s.apply(
      secret(OPERATOR_NAMESPACE, name, { username: 'writer', password: passwords.first }),
      clusterRegistry(name, {
        type: 'Etcd',
        etcd: {
          endpoints: [users.address],
          usernameSecretRef: ref('username'),
          passwordSecretRef: ref('password'),
        },
        audit: { intervalSeconds: 5 },
      }),
      service(ns, web),
      slice(ns, web, ['10.1.0.1']),
      registration(ns, web, name),
    );
    const addresses = async () => {
      const values = Object.values(await raw.getAll().prefix(`/services/${web}/`).strings());
      return values.map((value) => JSON.parse(value).address).sort();
    };
    await eventually('the first password writes', async () => assert.deepEqual(await addresses(), ['10.1.0.1']));

    // Takes what the old one was good for away at once.
    await user.delete();
    const again = raw.user('writer');
    await again.create(passwords.second);
    await again.addRole('writer');
    await s.apply(
      slice(ns, web, ['10.1.0.1', '10.1.0.2']),
      secret(OPERATOR_NAMESPACE, name, { username: 'writer', password: passwords.second }),
    );
    await eventually('the second password writes what changed', async () =>
      assert.deepEqual(await addresses(), ['10.1.0.1', '10.1.0.2']),
    );
    await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable' });
    const changes = await stage.operator.changes(name);
    assert.deepEqual(
      changes.filter(({ action }) => action === 'deregister'),
      [],
    );
    const text = await stage.operator.output();
    for (const secret of Object.values(passwords)) assert.ok(!text.includes(secret), 'a password is in the log');
  });

  test('a client certificate and its authority come from a directory that is filled later', async () => {
    const { caFile, certFile, keyFile } = encrypted.tls ?? assert.fail();
    const s = await openScenario(stage, 'Memory');
    const { namespace: ns, id } = s;
    const name = `encrypted-${id}`;
    await s.apply(
      clusterRegistry(name, {
        type: 'Etcd',
        etcd: { endpoints: [encrypted.address], tls: {} },
        credentialsDirectory: name,
      }),
      service(ns, 'web'),
      slice(ns, 'web', ['10.1.0.1']),
      registration(ns, 'web', name),
    );
    await s.says('ClusterRegistry', name, { Ready: 'False SecretNotFound', Stalled: 'True SecretNotFound' });
    await mkdir(join(directory, `${name}.new`));
    await copyFile(caFile, join(directory, `${name}.new`, 'ca.crt'));
    await copyFile(certFile, join(directory, `${name}.new`, 'tls.crt'));
    await copyFile(keyFile, join(directory, `${name}.new`, 'tls.key'));
    await rename(join(directory, `${name}.new`), join(directory, name));
    await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable', Stalled: undefined });
    await s.says(
      'ServiceRegistration',
      'web',
      { Ready: 'True Synced' },
      { instances: { desired: 1, registered: 1, healthy: 1 } },
    );
  });
});

testTraces(stage);

/** One that may do what the operator needs, and nothing else. */
async function newToken(consul: ConsulServer): Promise<{ readonly secret: string; readonly accessor: string }> {
  const rules =
    'node_prefix "" { policy = "write" }\nservice_prefix "" { policy = "write" }\nagent_prefix "" { policy = "read" }';
  const policy = await consul.request('PUT', '/v1/acl/policy', {
    Name: `roster-${Math.random()}`.replace('.', '-'),
    Rules: rules,
  });
  assert.equal(policy.status, 200, JSON.stringify(policy.body));
  const token = await consul.request('PUT', '/v1/acl/token', { Policies: [{ ID: policy.body.ID }] });
  assert.equal(token.status, 200, JSON.stringify(token.body));
  return { secret: token.body.SecretID, accessor: token.body.AccessorID };
}

/** As agents of vaults do: a file is never there by half. */
async function putFile(registry: string, name: string, text: string): Promise<void> {
  await mkdir(join(directory, registry), { recursive: true });
  const path = join(directory, registry, name);
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
