import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './eventually.ts';
import { pod, registration, service } from './objects.ts';
import { brief, entriesNamed } from './registry-truth.ts';
import { openScenario } from './scenario.ts';
import { openStage, type Stage, testTraces } from './stage.ts';

// Two clusters of which one is still read by v1 Endpoints.
const east = await openStage();
const west = await openStage({ consul: east.consul, args: ['--endpoints-source=Endpoints'] });

test('two clusters put their Pods under one name into one Consul, and neither touches what is the others', async () => {
  const [e, w] = [await openScenario(east, 'Consul'), await openScenario(west, 'Consul')];
  const name = `shared-${e.id}`;
  const all = async () =>
    (await entriesNamed(east.consul, name)).map((entry) => `${entry.cluster} ${brief(entry)}`).sort();
  const expected: string[] = [];
  for (const s of [e, w]) {
    await s.apply(
      service(s.namespace, 'web', { app: 'web' }),
      registration(s.namespace, 'web', s.registry, { name }),
      pod(s.namespace, 'p', 'web'),
    );
    const ip = await addressOf(s.stage, s.namespace, 'p');
    expected.push(`${s.stage.clusterName} passing ${name} ${ip}:8080`);
  }
  await eventually('both stand under the name', async () => assert.deepEqual(await all(), [...expected].sort()));
  await e.remove('Service', 'web');
  await eventually('only that of west stands', async () => assert.deepEqual(await all(), expected.slice(1)));
  await w.says('ServiceRegistration', 'web', { Ready: 'True Synced' });
  await e.apply(service(e.namespace, 'web', { app: 'web' }));
  await eventually('both stand again', async () => assert.deepEqual(await all(), [...expected].sort()));
  await w.remove('ServiceRegistration', 'web');
  await eventually('only that of east stands', async () => assert.deepEqual(await all(), expected.slice(0, 1)));
  await e.wrote({ register: 2, update: 0, deregister: 1 });
  await w.wrote({ register: 1, update: 0, deregister: 1 });
});

test('v1 Endpoints give the same entries as EndpointSlices: ready, not ready, several ports, gone', async () => {
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'grpc', port: 9090 },
  ];
  const scenarios = await Promise.all([openScenario(east, 'Memory'), openScenario(west, 'Memory')]);
  const seen = scenarios.map(async (s) => {
    const { namespace: ns } = s;
    const steps: string[][] = [];
    await s.apply(
      service(ns, 'web', { app: 'web', ports }),
      registration(ns, 'web', s.registry, { name: 'web-{port}', ports: ['http', 'grpc'] }),
      pod(ns, 'a', 'web', ports),
      pod(ns, 'b', 'web', ports),
    );
    const a = await addressOf(s.stage, ns, 'a');
    const b = await addressOf(s.stage, ns, 'b');
    const named = (text: string) => text.replace(a, 'A').replace(b, 'B');
    const step = async (expected: readonly string[]) => {
      const real = expected.map((text) => text.replace('A', a).replace('B', b));
      await s.stands(real);
      steps.push((await s.entries()).map((entry) => named(`${brief(entry)} ${JSON.stringify(entry.metadata)}`)).sort());
    };
    await step(['A', 'B'].flatMap((ip) => [`passing web-http ${ip}:8080`, `passing web-grpc ${ip}:9090`]));
    const { status } = await s.get('Pod', 'a');
    const conditions = status.conditions.map((one: { type: string }) =>
      one.type === 'Ready' ? { ...one, status: 'False' } : one,
    );
    await s.patch('Pod', 'a', { status: { conditions } }, 'status');
    await step([
      `critical web-http A:8080`,
      `critical web-grpc A:9090`,
      `passing web-http B:8080`,
      `passing web-grpc B:9090`,
    ]);
    await s.remove('Pod', 'a');
    await step([`passing web-http B:8080`, `passing web-grpc B:9090`]);
    await s.remove('Pod', 'b');
    await step([]);
    // A Pod may be seen terminating before it is gone.
    await s.wrote({ register: 4, deregister: 4 });
    return steps;
  });
  const [bySlices, byEndpoints] = await Promise.all(seen);
  // v1 Endpoints know no zones.
  assert.deepEqual(
    byEndpoints,
    bySlices?.map((step) => step.map((entry) => entry.replace('{"zone":"zone-a"}', '{}'))),
  );
});

const addressOf = (stage: Stage, namespace: string, name: string): Promise<string> =>
  eventually(`Pod ${name} has an address`, async () => {
    const ip = (await stage.kube.get({ kind: 'Pod', namespace, name }))?.status.podIP;
    assert.ok(ip);
    return ip;
  });

testTraces(east);
testTraces(west);
