import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import { type ConsulServer, openConsul } from '../servers/consul.ts';
import { eventually } from './eventually.ts';
import type { Json } from './kube.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { entriesInConsul, entriesNamed } from './registry-truth.ts';
import { openScenario, type Scenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const stage = await openStage();

async function ownConsul(options: Parameters<typeof openConsul>[0] = {}): Promise<ConsulServer> {
  const consul = await openConsul(options);
  after(() => consul.stop());
  return consul;
}

const CANARY = 'c4n4ry';
const impatient = { timeouts: { connectSeconds: 1, requestSeconds: 1 } };

async function standing(s: Scenario): Promise<string> {
  const { namespace: ns, id } = s;
  const web = `web-${id}`;
  await s.apply(service(ns, web), slice(ns, web, ['10.60.0.1', '10.60.0.2']), registration(ns, web, s.registry));
  await s.stands([`passing ${web} 10.60.0.1:8080`, `passing ${web} 10.60.0.2:8080`]);
  await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
  return web;
}

const unreachable = {
  Ready: 'Unknown RegistryUnreachable',
  Reconciling: 'True RegistryUnreachable',
  Stalled: undefined,
};

describe('registries in trouble', { concurrency: true }, () => {
  test('what others change of our entries is mended within the audit interval, and entries of others are never touched', async () => {
    const consul = await ownConsul();
    const s = await openScenario(stage, 'Consul', { consul, registrySpec: { audit: { intervalSeconds: 2 } } });
    const web = await standing(s);
    const foreign = {
      Node: 'elsewhere',
      Address: '192.0.2.1',
      Service: { ID: 'theirs', Service: web, Address: '192.0.2.9', Port: 1, Tags: ['theirs'], Meta: { owner: 'them' } },
      Check: { CheckID: 'theirs', Name: 'theirs', ServiceID: 'theirs', Status: 'critical' },
    };
    await put(consul, '/v1/catalog/register', foreign);
    const theirs = async () => (await nodeServices(consul, 'elsewhere')).theirs;
    const before = await theirs();
    const ours = async () =>
      (await consul.request('GET', `/v1/catalog/service/${web}`)).body.filter(
        ({ ServiceMeta }: Json) => ServiceMeta['managed-by'] === 'roster',
      );
    const [first, second] = await ours();

    const entry = (found: Json, change: object) => ({
      Node: found.Node,
      Address: found.Address,
      SkipNodeUpdate: true,
      Service: {
        ID: found.ServiceID,
        Service: found.ServiceName,
        Address: found.ServiceAddress,
        Port: found.ServicePort,
        Tags: found.ServiceTags,
        Meta: found.ServiceMeta,
        Weights: found.ServiceWeights,
        ...change,
      },
    });
    const changes: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['an address', () => put(consul, '/v1/catalog/register', entry(first, { Address: '10.66.6.6' }))],
      ['tags', () => put(consul, '/v1/catalog/register', entry(first, { Tags: ['hacked'] }))],
      ['a weight', () => put(consul, '/v1/catalog/register', entry(second, { Weights: { Passing: 77, Warning: 1 } }))],
      [
        'an entry that is removed',
        () => put(consul, '/v1/catalog/deregister', { Node: first.Node, ServiceID: first.ServiceID }),
      ],
      ['a node that is removed', () => put(consul, '/v1/catalog/deregister', { Node: first.Node })],
      [
        'a check that makes it critical',
        () =>
          put(consul, '/v1/catalog/register', {
            Node: first.Node,
            Address: first.Address,
            SkipNodeUpdate: true,
            Check: {
              CheckID: `${first.ServiceID}/readiness`,
              Name: 'x',
              ServiceID: first.ServiceID,
              Status: 'critical',
            },
          }),
      ],
    ];
    for (const [what, change] of changes) {
      await change();
      await eventually(
        `${what} is mended`,
        async () => {
          const found = await s.entries();
          assert.deepEqual(
            found
              .map(({ health, address, tags, weight }) => ({ health, address, tags, weight }))
              .sort((a, b) => (a.address < b.address ? -1 : 1)),
            [1, 2].map((last) => ({ health: 'passing', address: `10.60.0.${last}`, tags: [], weight: 100 })),
          );
        },
        10_000,
      );
    }
    assert.deepEqual(await theirs(), before);
    const named = await entriesNamed(consul, web);
    assert.deepEqual(
      named.filter(({ id }) => id === 'theirs').map(({ health }) => health),
      ['critical'],
    );
    await s.remove('ServiceRegistration', web);
    await s.stands([]);
    assert.deepEqual(await theirs(), before);
  });

  test('while a registry does not answer, statuses say so, probes pass, another registry goes on, and then all is caught up', async () => {
    const consul = await ownConsul();
    const s = await openScenario(stage, 'Consul', { consul, registrySpec: impatient });
    const web = await standing(s);
    const other = await openScenario(stage, 'Consul');
    const api = await standing(other);
    consul.kill('SIGSTOP');
    // Found out by the next write.
    await s.apply(slice(s.namespace, web, ['10.60.0.2', '10.60.0.3']));
    await s.says('ServiceRegistration', web, {
      ...unreachable,
      Synced: 'Unknown RegistryUnreachable',
      Accepted: 'True Accepted',
    });
    await s.says('ClusterRegistry', s.registry, { ...unreachable, Reachable: 'False RegistryUnreachable' });
    for (const path of ['/livez', '/readyz']) assert.equal((await stage.operator.get(path)).status, 200);
    await other.apply(slice(other.namespace, api, ['10.60.0.9']));
    await other.stands([`passing ${api} 10.60.0.9:8080`], 5_000);
    await other.says('ServiceRegistration', api, { Ready: 'True Synced' });

    consul.kill('SIGCONT');
    await s.stands([`passing ${web} 10.60.0.2:8080`, `passing ${web} 10.60.0.3:8080`]);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced', Reconciling: undefined });
    await s.says('ClusterRegistry', s.registry, { Ready: 'True Ready', Reachable: 'True Reachable' });
  });

  test('a registry that comes back with its data is written nothing, one that lost them is filled again', async () => {
    const [kept, wiped] = await Promise.all([ownConsul({ persistent: true }), ownConsul()]);
    await Promise.all(
      [kept, wiped].map(async (consul) => {
        const s = await openScenario(stage, 'Consul', {
          consul,
          registrySpec: { ...impatient, audit: { intervalSeconds: 1 } },
        });
        const web = await standing(s);
        const before = await s.written();
        consul.kill('SIGKILL');
        await s.says('ServiceRegistration', web, unreachable);
        await consul.restart();
        await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
        await s.stands([`passing ${web} 10.60.0.1:8080`, `passing ${web} 10.60.0.2:8080`]);
        const again = consul === wiped ? 2 : 0;
        await s.wrote({ ...before, register: before.register + again });
      }),
    );
  });

  const strange: readonly (readonly [string, number, string])[] = [
    ['an answer that is not JSON', 200, 'text/html'],
    ['JSON of another shape', 200, 'application/json'],
    ['an internal error', 500, 'text/plain'],
    ['no leader', 503, 'text/plain'],
    ['too many requests', 429, 'text/plain'],
  ];
  for (const [what, status, contentType] of strange) {
    test(`a registry that gives ${what} is told as unreachable, without a word of its answer`, async (t) => {
      const body = JSON.stringify({ [CANARY]: CANARY });
      const server = createServer((_, response) =>
        response.writeHead(status, { 'content-type': contentType }).end(body),
      );
      await once(server.listen(0, '127.0.0.1'), 'listening');
      t.after(() => server.close().closeAllConnections());
      const { port } = server.address() as AddressInfo;
      const s = await openScenario(stage, 'Memory');
      const [web, registry] = [`web-${s.id}`, `strange-${s.id}`];
      const consul = { address: `http://127.0.0.1:${port}` };
      await s.apply(clusterRegistry(registry, { type: 'Consul', consul }), registration(s.namespace, web, registry));
      await s.says('ClusterRegistry', registry, { ...unreachable, Reachable: 'False RegistryUnreachable' });
      await s.says('ServiceRegistration', web, unreachable);
      const shown = JSON.stringify(stage.statuses.writes().map(({ object }) => object.status));
      for (const text of [shown, await stage.operator.output(), JSON.stringify(await stage.kube.list('Event'))]) {
        assert.ok(!text.includes(CANARY));
      }
    });
  }

  test('token and certificates are read from Secrets, the token can be changed without a restart, and none is shown anywhere', async () => {
    const consul = await ownConsul({ acl: true, tls: true });
    const [ca, cert, key] = await Promise.all(
      [consul.tls?.caFile, consul.tls?.certFile, consul.tls?.keyFile].map((file) => readFile(file ?? '', 'utf8')),
    );
    const canary = async () => {
      const policy =
        'node_prefix "roster-" { policy = "write" } service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }';
      const name = `p${performance.now()}`.replace('.', '-');
      await put(consul, '/v1/acl/policy', { Name: name, Rules: policy });
      const token = await put(consul, '/v1/acl/token', { Policies: [{ Name: name }] });
      return { id: token.AccessorID, value: token.SecretID };
    };
    const [old, fresh] = [await canary(), await canary()];
    const s = await openScenario(stage, 'Memory');
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    const registry = `acl-${id}`;
    const tokenSecretRef = { namespace: OPERATOR_NAMESPACE, name: `token-${id}`, key: 'token' };
    const tls = {
      caSecretRef: { namespace: OPERATOR_NAMESPACE, name: `ca-${id}`, key: 'ca.crt' },
      certSecretRef: { namespace: OPERATOR_NAMESPACE, name: `client-${id}` },
    };
    await s.apply(
      secret(OPERATOR_NAMESPACE, `token-${id}`, { token: old.value }),
      secret(OPERATOR_NAMESPACE, `ca-${id}`, { 'ca.crt': ca ?? '' }),
      secret(OPERATOR_NAMESPACE, `client-${id}`, { 'tls.crt': cert ?? '', 'tls.key': key ?? '' }),
      clusterRegistry(registry, {
        type: 'Consul',
        consul: { address: consul.address, tokenSecretRef, tls },
        audit: { intervalSeconds: 2 },
      }),
      service(ns, web),
      slice(ns, web, ['10.61.0.1']),
      registration(ns, web, registry),
    );
    const stands = (address: string) =>
      eventually(`${address} stands`, async () =>
        assert.deepEqual(
          (await entriesInConsul(consul, id)).map((entry) => entry.address),
          [address],
        ),
      );
    await stands('10.61.0.1');
    await consul.request('DELETE', `/v1/acl/token/${old.id}`);
    await s.says('ClusterRegistry', registry, {
      Ready: 'False Unauthorized',
      Reachable: 'False Unauthorized',
      Stalled: 'True Unauthorized',
    });
    await s.apply(slice(ns, web, ['10.61.0.2']));
    await stands('10.61.0.1');
    await s.apply(secret(OPERATOR_NAMESPACE, `token-${id}`, { token: fresh.value }));
    await s.says('ClusterRegistry', registry, { Ready: 'True Ready' });
    await stands('10.61.0.2');
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });

    const shown = [
      await stage.operator.output(),
      JSON.stringify(stage.statuses.writes().map(({ object }) => object)),
      JSON.stringify(await stage.kube.list('Event')),
      (await stage.operator.get('/metrics')).text,
      (await stage.operator.get('/')).text,
    ];
    for (const text of shown) {
      assert.ok(text.length > 0);
      for (const value of [old.value, fresh.value, 'PRIVATE KEY']) assert.ok(!text.includes(value));
    }
  });
});

async function put(consul: ConsulServer, path: string, body: object): Promise<Json> {
  const answer = await consul.request('PUT', path, body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

const nodeServices = async (consul: ConsulServer, node: string): Promise<Json> =>
  (await consul.request('GET', `/v1/catalog/node/${node}`)).body.Services;

testTraces(stage);
