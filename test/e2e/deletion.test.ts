import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { openConsul } from '../servers/consul.ts';
import { eventually, throughout } from './eventually.ts';
import type { Json, Target } from './kube.ts';
import { clusterRegistration, registration, service, slice } from './objects.ts';
import { entriesInConsul } from './registry-truth.ts';
import { openScenario, type Scenario, withEachType } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();
const FINALIZER = 'roster.dev/deregister';

async function standing(s: Scenario, spec: object = {}): Promise<string> {
  const { namespace: ns, id } = s;
  const web = `web-${id}`;
  await s.apply(service(ns, web), slice(ns, web, ['10.50.0.1']), registration(ns, web, s.registry, spec));
  await s.stands([`passing ${web} 10.50.0.1:8080`]);
  return web;
}

const held = (s: Scenario, kind: Target['kind'], name: string) =>
  eventually(`${kind} ${name} has the finalizer`, async () =>
    assert.deepEqual((await s.get(kind, name)).metadata.finalizers, [FINALIZER]),
  );

const gone = (s: Scenario, kind: Target['kind'], name: string, timeoutMs?: number) =>
  eventually(`${kind} ${name} is gone`, async () => assert.equal(await s.get(kind, name), undefined), timeoutMs);

describe('deletions', { concurrency: true }, () => {
  withEachType((type) => {
    test('a deleted registration is held until its entries are gone', async () => {
      const s = await openScenario(stage, type);
      const web = await standing(s);
      await held(s, 'ServiceRegistration', web);
      await s.remove('ServiceRegistration', web);
      await gone(s, 'ServiceRegistration', web);
      assert.deepEqual(await s.entries(), []);
      await s.wrote({ register: 1, update: 0, deregister: 1 });
    });

    test('with deletionPolicy Retain the entries stay, and a new registration takes them over', async () => {
      const s = await openScenario(stage, type);
      const web = await standing(s, { deletionPolicy: 'Retain' });
      await s.remove('ServiceRegistration', web);
      await gone(s, 'ServiceRegistration', web);
      await s.apply(slice(s.namespace, web, ['10.50.0.2']));
      await s.remove('Service', web);
      await throughout(2_000, () => s.stands([`passing ${web} 10.50.0.1:8080`], 0));

      await s.apply(service(s.namespace, web), registration(s.namespace, web, s.registry));
      await s.stands([`passing ${web} 10.50.0.2:8080`]);
      await s.remove('ServiceRegistration', web);
      await gone(s, 'ServiceRegistration', web);
      assert.deepEqual(await s.entries(), []);
    });

    test('automatic mirroring that is deleted takes its entries with it', async () => {
      const s = await openScenario(stage, type);
      const { namespace: ns, id } = s;
      const selector = { matchLabels: { e2e: id } };
      for (const which of ['a', 'b', 'c']) {
        await s.apply(
          service(ns, `${which}-${id}`, { labels: { e2e: id } }),
          slice(ns, `${which}-${id}`, ['10.51.0.1']),
        );
      }
      await s.apply(clusterRegistration(`all-${id}`, s.registry, { namespaceSelector: {}, selector }));
      await s.stands(['a', 'b', 'c'].map((which) => `passing ${which}-${id} 10.51.0.1:8080`));
      await held(s, 'ClusterServiceRegistration', `all-${id}`);
      await s.remove('ClusterServiceRegistration', `all-${id}`);
      await gone(s, 'ClusterServiceRegistration', `all-${id}`);
      assert.deepEqual(await s.entries(), []);
    });

    test('a deleted namespace ends, and so do its entries', async () => {
      const s = await openScenario(stage, type);
      await standing(s);
      await s.remove('Namespace', s.namespace);
      await gone(s, 'Namespace', s.namespace, 60_000);
      await s.stands([]);
      await s.wrote({ register: 1, update: 0, deregister: 1 });
    });

    test('a registration whose object somebody tore away without its finalizer takes its entries with it all the same', async () => {
      const s = await openScenario(stage, type);
      const web = await standing(s);
      await s.patch('ServiceRegistration', web, { metadata: { finalizers: null } });
      await s.remove('ServiceRegistration', web);
      await s.stands([]);
      await gone(s, 'ServiceRegistration', web);
    });

    test('with its registry deleted first a registration is told, and is let go when it is deleted', async () => {
      const s = await openScenario(stage, type);
      const web = await standing(s);
      await s.remove('ClusterRegistry', s.registry);
      await s.says('ServiceRegistration', web, { Ready: 'False RegistryNotFound', Accepted: 'False RegistryNotFound' });
      await s.remove('ServiceRegistration', web);
      await gone(s, 'ServiceRegistration', web, 90_000);
      if (type === 'Consul') assert.deepEqual(await entriesInConsul(stage.consul, s.id), []);
    });
  });

  test('with a registry that is dead a deleted namespace ends all the same, tells what it leaves behind, and the entries go when the registry is back', async () => {
    const consul = await openConsul();
    after(() => consul.stop());
    const timeouts = { connectSeconds: 1, requestSeconds: 1 };
    const s = await openScenario(stage, 'Consul', { consul, registrySpec: { timeouts } });
    const web = await standing(s);
    consul.kill('SIGSTOP');
    await s.remove('Namespace', s.namespace);
    await gone(s, 'Namespace', s.namespace, 120_000);
    const lines = (await stage.operator.log()).filter((line: Json) => line.registration?.endsWith(`/${web}`));
    assert.deepEqual(
      lines.map(({ level, entries }) => ({ level, entries })),
      [{ level: 'warn', entries: 1 }],
    );
    consul.kill('SIGCONT');
    await s.stands([]);
  });
});

testTraces(stage);
