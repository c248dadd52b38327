import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { clusterRegistration, registration, service, slice } from './objects.ts';
import { openScenario, withEachType } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const stage = await openStage();

withEachType((type) => {
  test('every Service with the label, in every namespace with the label, stands, and follows the labels', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    await s.patch('Namespace', ns, { metadata: { labels: { team: id } } });
    await s.apply(
      service(ns, `front-${id}`, { labels: { tier: 'front' } }),
      slice(ns, `front-${id}`, ['10.2.0.1']),
      service(ns, `back-${id}`, { labels: { tier: 'back' } }),
      slice(ns, `back-${id}`, ['10.2.0.2']),
      clusterRegistration(`all-${id}`, s.registry, {
        namespaceSelector: { matchLabels: { team: id } },
        selector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['front', 'edge'] }] },
      }),
    );
    const front = [`passing front-${id} 10.2.0.1:8080`];
    await s.stands(front);
    await s.says(
      'ClusterServiceRegistration',
      `all-${id}`,
      { Ready: 'True Synced' },
      { services: { matched: 1, synced: 1 } },
    );

    await s.patch('Service', `back-${id}`, { metadata: { labels: { tier: 'edge' } } });
    await s.stands([...front, `passing back-${id} 10.2.0.2:8080`]);
    await s.patch('Service', `back-${id}`, { metadata: { labels: { tier: null } } });
    await s.stands(front);
    await s.patch('Namespace', ns, { metadata: { labels: { team: 'other' } } });
    await s.stands([]);
    await s.says(
      'ClusterServiceRegistration',
      `all-${id}`,
      { Ready: 'True Synced' },
      { services: { matched: 0, synced: 0 } },
    );
    await s.patch('Namespace', ns, { metadata: { labels: { team: id } } });
    await s.stands(front);
    await s.apply(
      clusterRegistration(`all-${id}`, s.registry, { namespaceSelector: { matchLabels: { team: id } }, selector: {} }),
    );
    await s.stands([...front, `passing back-${id} 10.2.0.2:8080`]);
    await s.wrote({ register: 4, update: 0, deregister: 2 });
  });

  test("kube-system and the operator's own namespace are left out unless they are named", async () => {
    const s = await openScenario(stage, type);
    const { id } = s;
    const labels = { e2e: id };
    for (const [index, ns] of [s.namespace, 'kube-system', OPERATOR_NAMESPACE].entries()) {
      await s.apply(service(ns, `s${index}-${id}`, { labels }), slice(ns, `s${index}-${id}`, [`10.3.0.${index}`]));
    }
    const selector = { matchLabels: labels };
    await s.apply(clusterRegistration(`all-${id}`, s.registry, { namespaceSelector: {}, selector }));
    await s.stands([`passing s0-${id} 10.3.0.0:8080`]);
    await s.says(
      'ClusterServiceRegistration',
      `all-${id}`,
      { Ready: 'True Synced' },
      { services: { matched: 1, synced: 1 } },
    );
    const named = (name: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } });
    await s.apply(
      clusterRegistration(`sys-${id}`, s.registry, { namespaceSelector: named('kube-system'), selector }),
      clusterRegistration(`own-${id}`, s.registry, { namespaceSelector: named(OPERATOR_NAMESPACE), selector }),
    );
    await s.stands([0, 1, 2].map((index) => `passing s${index}-${id} 10.3.0.${index}:8080`));
  });

  test('a ServiceRegistration wins over automatic mirroring, and gives the Service back without a gap', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    await s.apply(
      service(ns, web, { labels: { e2e: id } }),
      slice(ns, web, ['10.4.0.1']),
      clusterRegistration(`all-${id}`, s.registry, { namespaceSelector: {}, selector: { matchLabels: { e2e: id } } }),
    );
    await s.stands([`passing ${web} 10.4.0.1:8080`]);
    await s.apply(registration(ns, web, s.registry, { name: 'mine-{service}' }));
    await s.stands([`passing mine-${web} 10.4.0.1:8080`]);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' }, { names: [`mine-${web}`] });
    const none = { services: { matched: 0, synced: 0 }, instances: { desired: 0, registered: 0, healthy: 0 } };
    await s.says('ClusterServiceRegistration', `all-${id}`, { Ready: 'True Synced' }, none);
    await s.remove('ServiceRegistration', web);
    await s.stands([`passing ${web} 10.4.0.1:8080`]);
    await eventually('the registration is gone', async () =>
      assert.equal(await s.get('ServiceRegistration', web), undefined),
    );
    await s.wrote({ register: 1, update: 2, deregister: 0 });
  });

  test('annotations on a Service change its name, tags, port, weight and metadata, or keep it out', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    const ports = [
      { name: 'http', port: 80 },
      { name: 'grpc', port: 90 },
    ];
    await s.apply(
      service(ns, web, { ports }),
      slice(ns, web, ['10.5.0.1'], { ports: ports.map(({ name, port }) => ({ name, port: port * 100 })) }),
      registration(ns, web, s.registry, { tags: ['spec'], metadata: { from: 'spec', kept: 'yes' }, weight: 3 }),
    );
    await s.stands([`passing ${web} 10.5.0.1:8000`]);
    const annotate = (annotations: Record<string, string | null>) =>
      s.patch('Service', web, { metadata: { annotations } });
    await annotate({
      'roster.dev/name': `special-${id}`,
      'roster.dev/tags': 'b, a',
      'roster.dev/port': 'grpc',
      'roster.dev/weight': '9',
      'roster.dev/metadata-from': 'annotation',
    });
    await s.stands([`passing special-${id} 10.5.0.1:9000`]);
    const [entry] = await s.entries();
    assert.deepEqual(
      { tags: entry?.tags, weight: entry?.weight, metadata: entry?.metadata },
      { tags: ['a', 'b'], weight: 9, metadata: { from: 'annotation', kept: 'yes' } },
    );

    await s.wrote({ register: 2, update: 0, deregister: 1 });
    await annotate({ 'roster.dev/weight': 'heavy', 'roster.dev/register': 'no', 'roster.dev/colour': 'blue' });
    await eventually('the failures tell of each invalid annotation', async () => {
      const { failures } = await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
      const told = failures.map(({ service, code, message }: Record<string, string>) => [
        service,
        code,
        message?.split(' ')[1],
      ]);
      assert.deepEqual(
        told.sort(),
        ['colour:', 'register:', 'weight:'].map((key) => [`${ns}/${web}`, 'InvalidAnnotation', `roster.dev/${key}`]),
      );
    });
    // The weight of the annotation is gone with its meaning: that of the registration holds again.
    await eventually('the weight is that of the registration', async () =>
      assert.equal((await s.entries())[0]?.weight, 3),
    );
    await s.wrote({ register: 2, update: 1, deregister: 1 });

    await annotate({ 'roster.dev/weight': null, 'roster.dev/colour': null, 'roster.dev/register': 'false' });
    await s.stands([]);
    await s.says(
      'ServiceRegistration',
      web,
      { Ready: 'True Synced' },
      { failures: [], instances: { desired: 0, registered: 0, healthy: 0 } },
    );
    await annotate({ 'roster.dev/register': 'true' });
    await s.stands([`passing special-${id} 10.5.0.1:9000`]);
  });

  test('several ports stand under names with {port} in them, and an annotation that would merge them is refused', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    const ports = [
      { name: 'http', port: 80 },
      { name: 'grpc', port: 90 },
      { name: 'admin', port: 99 },
    ];
    await s.apply(
      service(ns, web, { ports }),
      slice(ns, web, ['10.6.0.1'], { ports: ports.map(({ name, port }) => ({ name, port: port * 100 })) }),
      registration(ns, web, s.registry, { name: '{cluster}-{service}-{port}', ports: ['http', 90] }),
    );
    const name = `${stage.clusterName}-${web}`;
    const two = [`passing ${name}-http 10.6.0.1:8000`, `passing ${name}-grpc 10.6.0.1:9000`];
    await s.stands(two);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' }, { names: [`${name}-grpc`, `${name}-http`] });
    await s.patch('Service', web, { metadata: { annotations: { 'roster.dev/name': `one-${id}` } } });
    await s.says('ServiceRegistration', web, { Ready: 'False InvalidSpec', Accepted: 'False InvalidSpec' });
    await s.stands(two);
    await s.patch('Service', web, { metadata: { annotations: null } });
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    await s.wrote({ register: 2, update: 0, deregister: 0 });
  });

  test('of two Services that want one name the older registration keeps it, the younger is told, and takes it over', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const name = `shop-${id}`;
    for (const [index, which] of ['a', 'b'].entries()) {
      await s.apply(service(ns, `${which}-${id}`), slice(ns, `${which}-${id}`, [`10.7.0.${index}`]));
      // Of equal age the name decides; both ways the first is `a`.
      await s.apply(registration(ns, which, s.registry, { serviceRef: { name: `${which}-${id}` }, name }));
    }
    await s.says('ServiceRegistration', 'a', { Ready: 'True Synced' }, { names: [name] });
    const status = await s.says('ServiceRegistration', 'b', {
      Ready: 'False NameConflict',
      Accepted: 'False NameConflict',
      Stalled: 'True NameConflict',
    });
    assert.match(
      JSON.stringify(status.failures),
      new RegExp(`taken by Service ${ns}/a-${id} through .*ServiceRegistration/${ns}/a`),
    );
    await s.stands([`passing ${name} 10.7.0.0:8080`]);

    await s.patch('ServiceRegistration', 'b', { spec: { mergeName: true } });
    await s.says('ServiceRegistration', 'b', { Ready: 'False NameConflict' });
    await s.patch('ServiceRegistration', 'a', { spec: { mergeName: true } });
    await s.stands([`passing ${name} 10.7.0.0:8080`, `passing ${name} 10.7.0.1:8080`]);
    await s.says('ServiceRegistration', 'b', { Ready: 'True Synced', Stalled: undefined });
    await s.patch('ServiceRegistration', 'b', { spec: { mergeName: false } });
    await s.stands([`passing ${name} 10.7.0.0:8080`]);
    await s.says('ServiceRegistration', 'b', { Ready: 'False NameConflict' });
    await s.remove('ServiceRegistration', 'a');
    await s.stands([`passing ${name} 10.7.0.1:8080`]);
    await s.says('ServiceRegistration', 'b', { Ready: 'True Synced' });
  });
});

testTraces(stage);
