import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually, throughout } from './eventually.ts';
import { clusterRegistry, registration, service, slice } from './objects.ts';
import { openScenario, specOf } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();

describe('several registries', { concurrency: true }, () => {
  test('two Registry objects for one Consul leave the entries of each other alone', async () => {
    const audit = { audit: { intervalSeconds: 5 } };
    const s = await openScenario(stage, 'Consul', { registrySpec: audit });
    const { namespace: ns, id } = s;
    await s.apply(
      service(ns, `web-${id}`),
      slice(ns, `web-${id}`, ['10.1.0.1']),
      registration(ns, `web-${id}`, s.registry),
    );
    await s.stands([`passing web-${id} 10.1.0.1:8080`]);
    await s.apply(
      clusterRegistry(`second-${id}`, specOf('Consul', stage.consul, audit)),
      service(ns, `api-${id}`),
      slice(ns, `api-${id}`, ['10.1.0.2']),
      registration(ns, `api-${id}`, `second-${id}`),
    );
    const both = [`passing web-${id} 10.1.0.1:8080`, `passing api-${id} 10.1.0.2:8080`];
    await s.stands(both);
    // Both registries have listed all of it more than once.
    await throughout(12_000, () => s.stands(both, 0));
    for (const registry of [s.registry, `second-${id}`]) {
      // Entries of a registration that is gone, as another test leaves them, are anybody's to remove.
      const changes = (await stage.operator.changes(registry)).filter(({ namespace }) => namespace === ns);
      assert.deepEqual(
        changes.map(({ action }) => action),
        ['register'],
        registry,
      );
    }
  });

  test('a Service that two Registry objects would put under one id in one Consul stands once, and the later one is told', async () => {
    const s = await openScenario(stage, 'Consul');
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    await s.apply(
      service(ns, web),
      slice(ns, web, ['10.1.0.1']),
      registration(ns, web, s.registry, { tags: ['first'] }),
    );
    await s.stands([`passing ${web} 10.1.0.1:8080`]);
    await s.apply(
      clusterRegistry(`second-${id}`, specOf('Consul', stage.consul, { audit: { intervalSeconds: 5 } })),
      registration(ns, 'again', `second-${id}`, { serviceRef: { name: web }, tags: ['second'] }),
    );
    await s.says('ServiceRegistration', 'again', { Ready: 'False NameConflict', Accepted: 'False NameConflict' });
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    const tags = async () => (await s.entries()).map((entry) => entry.tags);
    assert.deepEqual(await tags(), [['first']]);
    await s.remove('ServiceRegistration', web);
    await eventually('the later one takes its place', async () => assert.deepEqual(await tags(), [['second']]));
    await s.says('ServiceRegistration', 'again', { Ready: 'True Synced' });
  });

  test('a Registry serves the registrations of its own namespace, and those of no other', async () => {
    const [s, other] = [await openScenario(stage, 'Consul'), await openScenario(stage, 'Consul')];
    const registryRef = { kind: 'Registry', name: 'team' };
    await s.apply({
      apiVersion: 'roster.dev/v1alpha1',
      kind: 'Registry',
      metadata: { name: 'team', namespace: s.namespace },
      spec: specOf('Consul', stage.consul),
    });
    for (const { namespace: ns, id, registry, apply } of [s, other]) {
      const web = `web-${id}`;
      await apply(service(ns, web), slice(ns, web, ['10.1.0.1']), registration(ns, web, registry, { registryRef }));
    }
    await s.says('ServiceRegistration', `web-${s.id}`, { Ready: 'True Synced' });
    await s.stands([`passing web-${s.id} 10.1.0.1:8080`]);
    await s.says('Registry', 'team', { Ready: 'True Ready', Reachable: 'True Reachable' });
    await other.says('ServiceRegistration', `web-${other.id}`, { Ready: 'False RegistryNotFound' });
    assert.deepEqual(await other.entries(), []);
  });
});

testTraces(stage);
