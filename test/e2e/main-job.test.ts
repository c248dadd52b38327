import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { eventually } from './eventually.ts';
import { pod, registration, service } from './objects.ts';
import { brief } from './registry-truth.ts';
import { openScenario, withEachType } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();

/** As a user writes it. */
const SHOP = (namespace: string, registry: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: ${namespace} }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: nginx
          ports: [{ name: http, containerPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: ${namespace}, labels: { version: v2 } }
spec:
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: http }]
---
apiVersion: roster.dev/v1alpha1
kind: ServiceRegistration
metadata: { name: web, namespace: ${namespace} }
spec:
  registryRef: { name: ${registry} }
  serviceRef: { name: web }
  name: "{namespace}-{service}"
  tags: [web, blue]
  metadata: { team: shop }
  metadataFromLabels: [version]
  weight: 7
`;

withEachType((type) => {
  test('a Deployment, its Service and a ServiceRegistration put every Pod into the registry, and follow each scaling', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, registry } = s;
    await stage.cluster.apply(SHOP(ns, registry));
    const addresses = async (count: number) => {
      const pods = await stage.kube.list('Pod', ns);
      const ips = pods.flatMap(({ status }) => (status.podIP === undefined ? [] : [status.podIP]));
      assert.equal(ips.length, count);
      return ips.sort();
    };
    const scaled = (count: number) =>
      eventually(`the registry holds the addresses of ${count} Pods`, async () => {
        const ips = await addresses(count);
        assert.deepEqual((await s.entries()).map(({ address }) => address).sort(), ips);
        return ips;
      });

    const [first] = await scaled(2);
    const entry = (await s.entries()).find(({ address }) => address === first);
    assert.deepEqual(entry, {
      name: `${ns}-web`,
      address: first,
      port: 8080,
      health: 'passing',
      weight: 7,
      tags: ['blue', 'web'],
      metadata: { team: 'shop', version: 'v2', zone: 'zone-a' },
      cluster: stage.clusterName,
      owner: `${ns}/web`,
      id: `${stage.clusterName}/${ns}/web/${first}:8080`,
    });
    await s.wrote({ register: 2, update: 0, deregister: 0 });

    const accepted = { Accepted: 'True Accepted', Reconciling: undefined, Stalled: undefined };
    await s.says(
      'ServiceRegistration',
      'web',
      { Ready: 'True Synced', Synced: 'True Synced', ...accepted },
      {
        services: { matched: 1, synced: 1 },
        instances: { desired: 2, registered: 2, healthy: 2 },
        names: [`${ns}-web`],
        failures: [],
      },
    );
    const table = await stage.cluster.kubectl(['get', 'sreg', '-n', ns]);
    const [heads, row] = table.trim().split('\n');
    assert.deepEqual(heads?.split(/ +/), [
      'NAME',
      'READY',
      'REASON',
      'REGISTRY',
      'DESIRED',
      'REGISTERED',
      'HEALTHY',
      'AGE',
    ]);
    assert.match(row ?? '', new RegExp(`^web +True +Synced +${registry} +2 +2 +2 +\\d+s$`));
    await eventually('an Event tells that it is synced', async () => {
      const told = await stage.cluster.kubectl(['events', '-n', ns, '--for=serviceregistration/web']);
      assert.match(told, /Normal +Synced +ServiceRegistration\/web +the registry holds exactly what is desired/);
    });

    await stage.cluster.kubectl(['scale', 'deployment/web', '-n', ns, '--replicas=4']);
    await scaled(4);
    await s.wrote({ register: 4, update: 0, deregister: 0 });
    await stage.cluster.kubectl(['scale', 'deployment/web', '-n', ns, '--replicas=1']);
    await scaled(1);
    // A Pod may be seen terminating before it is gone: an update for each at most, and no register again.
    await s.wrote({ register: 4, deregister: 3 });
    const { update } = await s.written();
    assert.ok(update <= 3, `${update} updates`);
    const instances = { desired: 1, registered: 1, healthy: 1 };
    await s.says('ServiceRegistration', 'web', { Ready: 'True Synced' }, { instances });
    await stage.cluster.kubectl(['scale', 'deployment/web', '-n', ns, '--replicas=0']);
    await scaled(0);
  });

  test('during a rolling update a consumer finds no fewer healthy Pods than the Deployment keeps', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns, registry } = s;
    await stage.cluster.apply(SHOP(ns, registry));
    await s.patch('Deployment', 'web', { spec: { strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } } });
    const passing = async () => (await s.entries()).filter(({ health }) => health === 'passing');
    await eventually('both stand', async () => assert.equal((await passing()).length, 2));
    const pods = () => stage.kube.list('Pod', ns);
    const old = (await pods()).map(({ metadata }) => metadata.uid);
    await stage.cluster.kubectl(['rollout', 'restart', 'deployment/web', '-n', ns]);
    const deadline = performance.now() + 30_000;
    for (let replaced = false; !replaced; ) {
      const now = await passing();
      assert.ok(now.length >= 2, `only ${now.map(brief)}`);
      const fresh = (await pods()).filter(({ metadata }) => !old.includes(metadata.uid));
      const [found, expected] = [now.map(({ address }) => address), fresh.map(({ status }) => status.podIP)];
      replaced = found.length === 2 && isDeepStrictEqual(found.sort(), expected.sort());
      assert.ok(replaced || performance.now() < deadline, `${found} stand, the new Pods are at ${expected}`);
    }
    await eventually('the old ones are gone', async () => assert.equal((await s.entries()).length, 2));
  });

  test('readiness becomes health: not ready is critical, terminating but serving is warning, gone is gone', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns } = s;
    const web = `web-${s.id}`;
    await s.apply(service(ns, web, { app: web }), registration(ns, web, s.registry), pod(ns, 'p', web));
    const ip = await eventually('the Pod has an address', async () => {
      const found = (await s.get('Pod', 'p'))?.status.podIP;
      assert.ok(found);
      return found;
    });
    await s.stands([`passing ${web} ${ip}:8080`]);
    await readiness(s, 'p', 'False');
    await s.stands([`critical ${web} ${ip}:8080`]);
    const instances = { desired: 1, registered: 1, healthy: 0 };
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' }, { instances });
    await readiness(s, 'p', 'True');
    await s.stands([`passing ${web} ${ip}:8080`]);
    await s.wrote({ register: 1, update: 2, deregister: 0 });

    await s.patch('Pod', 'p', { metadata: { finalizers: ['roster.test/hold'] } });
    await s.remove('Pod', 'p');
    await s.stands([`warning ${web} ${ip}:8080`]);
    await readiness(s, 'p', 'False');
    await s.stands([]);
    await s.patch('Pod', 'p', { metadata: { finalizers: null } });
    await s.wrote({ register: 1, update: 3, deregister: 1 });
  });

  test('with health ReadyOnly a Pod that is not ready is absent', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns } = s;
    const web = `web-${s.id}`;
    await s.apply(
      service(ns, web, { app: web }),
      registration(ns, web, s.registry, { health: 'ReadyOnly' }),
      pod(ns, 'a', web),
      pod(ns, 'b', web),
    );
    await eventually('both stand', async () => assert.equal((await s.entries()).length, 2));
    await readiness(s, 'a', 'False');
    const ip = (await s.get('Pod', 'b'))?.status.podIP;
    await s.stands([`passing ${web} ${ip}:8080`]);
    await readiness(s, 'a', 'True');
    await eventually('both stand', async () => assert.equal((await s.entries()).length, 2));
    await s.wrote({ register: 3, update: 0, deregister: 1 });
  });

  test('a deleted Service is gone from the registry at once, its registration says so, and a new one heals it', async () => {
    const s = await openScenario(stage, type);
    const { namespace: ns } = s;
    const web = `web-${s.id}`;
    await s.apply(service(ns, web, { app: web }), registration(ns, web, s.registry), pod(ns, 'p', web));
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    await eventually('it stands', async () => assert.equal((await s.entries()).length, 1));
    await s.remove('Service', web);
    await s.stands([]);
    await s.says(
      'ServiceRegistration',
      web,
      {
        Ready: 'False ServiceNotFound',
        Accepted: 'False ServiceNotFound',
        Stalled: 'True ServiceNotFound',
        Reconciling: undefined,
      },
      { instances: { desired: 0, registered: 0, healthy: 0 } },
    );
    await s.apply(service(ns, web, { app: web }));
    await eventually('it stands again', async () => assert.equal((await s.entries()).length, 1));
    await s.says('ServiceRegistration', web, { Ready: 'True Synced', Stalled: undefined });
    await s.wrote({ register: 2, update: 0, deregister: 1 });
  });
});

async function readiness(s: Awaited<ReturnType<typeof openScenario>>, name: string, status: 'True' | 'False') {
  const object = await s.get('Pod', name);
  const conditions = object.status.conditions.map((one: { type: string }) =>
    one.type === 'Ready' || one.type === 'ContainersReady' ? { ...one, status } : one,
  );
  await s.patch('Pod', name, { status: { conditions } }, 'status');
}

testTraces(stage);
