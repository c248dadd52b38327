import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Etcd3 } from 'etcd3';
import { openEtcd } from '../servers/etcd.ts';
import { eventually, throughout } from './eventually.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const stage = await openStage();
const server = await openEtcd({ fsync: false, auth: true });
after(() => server.stop());
const { username, password } = server.root ?? assert.fail();
const raw = new Etcd3({ hosts: server.address, auth: { username, password } });
after(() => raw.close());

describe('a ClusterRegistry of type Etcd', { concurrency: true }, () => {
  const opened = async (layout: 'Roster' | 'Grpc') => {
    const s = await openScenario(stage, 'Memory');
    const name = `etcd-${s.id}`;
    const secretRef = (key: string) => ({ namespace: OPERATOR_NAMESPACE, name, key });
    await s.apply(
      secret(OPERATOR_NAMESPACE, name, { username, password }),
      clusterRegistry(name, {
        type: 'Etcd',
        etcd: {
          endpoints: ['127.0.0.1:9', server.address],
          usernameSecretRef: secretRef('username'),
          passwordSecretRef: secretRef('password'),
          layout,
        },
        audit: { intervalSeconds: 5 },
      }),
    );
    return { ...s, name };
  };
  const values = (service: string) => raw.getAll().prefix(`/services/${service}/`).strings();

  test('holds the instances of a Service, follows its endpoints, and mends what others changed', async () => {
    const { namespace: ns, id, name, ...s } = await opened('Roster');
    const web = `web-${id}`;
    const stands = (expected: readonly string[]) =>
      eventually('etcd holds these entries', async () => {
        const entries = Object.values(await values(web)).map((value) => JSON.parse(value));
        const brief = entries.map(({ health, address, port }) => `${health} ${address}:${port}`);
        assert.deepEqual(brief.sort(), [...expected].sort());
      });
    await s.apply(service(ns, web), slice(ns, web, ['10.1.0.1', '10.1.0.2']), registration(ns, web, name));
    await stands(['healthy 10.1.0.1:8080', 'healthy 10.1.0.2:8080']);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    const status = await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable' });
    assert.match(status.server.version, /^\d+\.\d+\.\d+/);

    await s.apply(slice(ns, web, ['10.1.0.2', '10.1.0.3']));
    await stands(['healthy 10.1.0.2:8080', 'healthy 10.1.0.3:8080']);

    const [key] = Object.keys(await values(web));
    await raw.delete().key(key ?? assert.fail());
    await stands(['healthy 10.1.0.2:8080', 'healthy 10.1.0.3:8080']);

    const { revision } = (await raw.getAll().prefix(`/services/${web}/`).limit(1).exec()).header;
    await throughout(6_000, async () => {
      const changed = await raw
        .getAll()
        .prefix(`/services/${web}/`)
        .minModRevision(Number(revision) + 1)
        .exec();
      assert.deepEqual(changed.kvs, []);
    });

    await s.remove('ServiceRegistration', web);
    await stands([]);
  });

  test('leases what a registration asks for, and writes it again when the lease is lost', async () => {
    const { namespace: ns, id, name, ...s } = await opened('Grpc');
    const web = `web-${id}`;
    const keys = async () => {
      const places = [`/services/${web}/`, `/services/.owner/${stage.clusterName}/${web}/`];
      const ranges = await Promise.all(places.map((place) => raw.getAll().prefix(place).exec()));
      return ranges.flatMap(({ kvs }) => kvs.map(({ key, lease }) => `${key} ${lease}`));
    };
    const stand = () =>
      eventually('two instances stand, their keys under one lease', async () => {
        const standing = await keys();
        assert.equal(standing.length, 4);
        assert.equal(new Set(standing.map((one) => one.split(' ')[1])).size, 1);
        return standing;
      });
    await s.apply(
      service(ns, web),
      slice(ns, web, ['10.1.0.1', '10.1.0.2']),
      registration(ns, web, name, { liveness: 'Leased' }),
    );
    const first = await stand();
    const ID = first[0]?.split(' ')[1] ?? assert.fail();
    assert.notEqual(ID, '0');
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    await raw.leaseClient.leaseRevoke({ ID });
    const second = await stand();
    assert.ok(second.every((one) => !one.endsWith(` ${ID}`)));
    await s.remove('ServiceRegistration', web);
    await eventually('nothing is left', async () => assert.deepEqual(await keys(), []));
  });

  test('shows gRPC clients only what takes traffic', async () => {
    const { namespace: ns, id, name, ...s } = await opened('Grpc');
    const web = `web-${id}`;
    const addresses = async () =>
      Object.values(await values(web))
        .map((value) => JSON.parse(value).Addr)
        .sort();
    await s.apply(
      service(ns, web),
      slice(ns, web, { '10.1.0.1': {}, '10.1.0.2': { ready: false } }),
      registration(ns, web, name),
    );
    await s.says(
      'ServiceRegistration',
      web,
      { Ready: 'True Synced' },
      { instances: { desired: 2, registered: 2, healthy: 1 } },
    );
    assert.deepEqual(await addresses(), ['10.1.0.1:8080']);
    await s.apply(slice(ns, web, ['10.1.0.1', '10.1.0.2']));
    await eventually('both take traffic', async () =>
      assert.deepEqual(await addresses(), ['10.1.0.1:8080', '10.1.0.2:8080']),
    );
    await s.remove('ServiceRegistration', web);
    await eventually('nothing is left', async () => {
      assert.deepEqual(await addresses(), []);
      assert.deepEqual(await raw.getAll().prefix(`/services/.owner/${stage.clusterName}/${web}/`).strings(), {});
    });
  });
});

testTraces(stage);
