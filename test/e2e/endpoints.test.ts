import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { pod, registration, service, slice } from './objects.ts';
import { openScenario, withEachType } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();

withEachType((type) => {
  test('both addresses of Pods of a dual-stack Service stand, each as an entry of its own', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    await s.apply(
      service(ns, web, { app: web, spec: { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] } }),
      registration(ns, web, s.registry),
      pod(ns, 'p', web),
    );
    const v4 = await eventually('the Pod has an address', async () => {
      const ip = (await s.get('Pod', 'p'))?.status.podIP;
      assert.ok(ip);
      return ip;
    });
    await s.patch('Pod', 'p', { status: { podIPs: [{ ip: v4 }, { ip: 'fd00:10:244::7' }] } }, 'status');
    await s.stands([`passing ${web} ${v4}:8080`, `passing ${web} [fd00:10:244::7]:8080`]);
    const slices = await stage.kube.list('EndpointSlice', ns);
    assert.deepEqual(slices.map(({ addressType }) => addressType).sort(), ['IPv4', 'IPv6']);
    await s.wrote({ register: 2, update: 0, deregister: 0 });
  });

  test('the conditions of an endpoint decide: ready null is ready, terminating is draining while it serves', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    await s.apply(
      service(ns, web),
      registration(ns, web, s.registry),
      slice(ns, web, {
        '10.20.0.1': { ready: true, zone: 'z1' },
        '10.20.0.2': { ready: null },
        '10.20.0.3': { ready: false, serving: false },
        '10.20.0.4': { ready: false, serving: true, terminating: true },
        '10.20.0.5': { ready: false, serving: false, terminating: true },
        // A Service with publishNotReadyAddresses: the controller says ready even while the Pod terminates.
        '10.20.0.6': { ready: true, serving: true, terminating: true },
      }),
    );
    await s.stands([
      `passing ${web} 10.20.0.1:8080`,
      `passing ${web} 10.20.0.2:8080`,
      `critical ${web} 10.20.0.3:8080`,
      `warning ${web} 10.20.0.4:8080`,
      `passing ${web} 10.20.0.6:8080`,
    ]);
    const zones = (await s.entries()).map(({ address, metadata }) => [address, metadata['zone']]);
    assert.equal(Object.fromEntries(zones)['10.20.0.1'], 'z1');
    await s.says(
      'ServiceRegistration',
      web,
      { Ready: 'True Synced' },
      { instances: { desired: 5, registered: 5, healthy: 3 } },
    );
  });

  test('slices of one Service are merged: an address that moves between them is not written again', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id } = s;
    const web = `web-${id}`;
    await s.apply(
      service(ns, web),
      registration(ns, web, s.registry),
      slice(ns, web, ['10.21.0.1', '10.21.0.2']),
      slice(ns, web, ['10.21.0.2', '10.21.0.3'], { name: `${web}-2` }),
    );
    const three = [1, 2, 3].map((last) => `passing ${web} 10.21.0.${last}:8080`);
    await s.stands(three);
    // Another slice takes over all of the first before that goes.
    await s.apply(slice(ns, web, ['10.21.0.1', '10.21.0.2', '10.21.0.3'], { name: `${web}-2` }));
    await s.remove('EndpointSlice', `${web}-1`);
    await s.apply(slice(ns, web, ['10.21.0.1', '10.21.0.2', '10.21.0.3', '10.21.0.4'], { name: `${web}-2` }));
    await s.stands([...three, `passing ${web} 10.21.0.4:8080`]);
    await s.wrote({ register: 4, update: 0, deregister: 0 });
    await s.remove('EndpointSlice', `${web}-2`);
    await s.stands([]);
  });

  test('endpoints that no controller made for Pods of the namespace are refused, unless the registry allows them', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, id, registry } = s;
    const web = `web-${id}`;
    await s.apply(
      service(ns, web),
      registration(ns, web, registry),
      slice(ns, web, ['10.22.0.1'], { name: `${web}-controller` }),
      slice(ns, web, ['10.22.0.2'], { name: `${web}-nobody`, managedBy: '' }),
      slice(ns, web, ['10.22.0.3'], { name: `${web}-someone`, managedBy: 'someone.example' }),
      slice(
        ns,
        web,
        {
          '10.22.0.4': { podNamespace: 'another' },
          '10.22.0.5': { podNamespace: null },
        },
        { name: `${web}-elsewhere` },
      ),
    );
    await s.stands([`passing ${web} 10.22.0.1:8080`]);
    await s.patch('ClusterRegistry', registry, { spec: { allowUnmanagedEndpoints: true } });
    await s.stands([1, 2, 3, 4, 5].map((last) => `passing ${web} 10.22.0.${last}:8080`));
    await s.patch('ClusterRegistry', registry, { spec: { allowUnmanagedEndpoints: false } });
    await s.stands([`passing ${web} 10.22.0.1:8080`]);
    await s.wrote({ register: 5, update: 0, deregister: 4 });
  });
});

testTraces(stage);
