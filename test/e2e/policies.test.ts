import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from './eventually.ts';
import { registration, service, slice } from './objects.ts';
import { brief } from './registry-truth.ts';
import { openScenario, type Scenario, withEachType } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();

/** A Service of which address .1 stands; then .1 is not ready, and .2 comes. */
async function standing(s: Scenario, spec: object = {}): Promise<string> {
  const { namespace: ns, id } = s;
  const web = `web-${id}`;
  await s.apply(service(ns, web), slice(ns, web, ['10.30.0.1']), registration(ns, web, s.registry, spec));
  return web;
}

const changed = (s: Scenario, web: string) =>
  s.apply(slice(s.namespace, web, { '10.30.0.1': { ready: false }, '10.30.0.2': {} }));
const removed = (s: Scenario, web: string) => s.apply(slice(s.namespace, web, ['10.30.0.2']));

withEachType((type) => {
  test('while endpoints flap, the status is written at most once in 5 s, the registry in growing intervals, and the last state lands', async () => {
    const s = await openScenario(stage, type);
    const web = await standing(s);
    await s.stands([`passing ${web} 10.30.0.1:8080`]);
    const flaps = 48;
    const targetRef = { kind: 'Pod', name: 'any', namespace: s.namespace };
    // One more address each time, so that each state has a status of its own.
    const flap = (count: number, ready: boolean) =>
      s.patch('EndpointSlice', `${web}-1`, {
        endpoints: Array.from({ length: count + 1 }, (_, index) => ({
          addresses: [`10.30.0.${index + 1}`],
          conditions: { ready: index > 0 || ready },
          targetRef,
        })),
      });
    for (let count = 0; count < flaps; count++) {
      await flap(count, count % 2 === 1);
      await delay(250);
    }
    await flap(flaps, false);
    await eventually('all stand, the first as critical', async () => {
      const standing = (await s.entries()).map(brief);
      assert.equal(standing.length, flaps + 1);
      assert.ok(standing.includes(`critical ${web} 10.30.0.1:8080`));
    });
    const instances = { desired: flaps + 1, registered: flaps + 1, healthy: flaps };
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' }, { instances });

    const times = stage.statuses.writes({ namespace: s.namespace, name: web }).map(({ at }) => at);
    const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
    // How late the watch brings the first and the last of them is not the operator's doing.
    assert.ok((times.length - 1) * 5_000 <= spanMs + 1_000, `${times.length} writes in ${spanMs} ms`);
    assert.ok(times.length >= 3, `${times.length} writes`);
    await s.wrote({ register: flaps + 1, deregister: 0 });
    const { update } = await s.written();
    assert.ok(update <= 12, `${update} updates for ${flaps} flaps`);
  });

  test('the annotation roster.dev/reconcile-at is echoed, and where nothing differs nothing is written', async () => {
    const s = await openScenario(stage, type);
    const web = await standing(s);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    for (const lastHandledReconcileAt of ['2030-01-01T00:00:00Z', 'again']) {
      await s.patch('ServiceRegistration', web, {
        metadata: { annotations: { 'roster.dev/reconcile-at': lastHandledReconcileAt } },
      });
      await s.says('ServiceRegistration', web, { Ready: 'True Synced' }, { lastHandledReconcileAt });
    }
    await s.wrote({ register: 1, update: 0, deregister: 0 });
  });

  test('suspended, nothing is written; resumed, all that was missed is', async () => {
    const s = await openScenario(stage, type);
    const web = await standing(s);
    await s.stands([`passing ${web} 10.30.0.1:8080`]);
    await s.patch('ServiceRegistration', web, { spec: { suspend: true } });
    await s.says('ServiceRegistration', web, { Ready: 'True Suspended', Synced: 'Unknown Suspended' });
    await changed(s, web);
    await removed(s, web);
    const desired = { desired: 1, registered: 1, healthy: 1 };
    await s.says('ServiceRegistration', web, { Ready: 'True Suspended' }, { instances: desired });
    await s.wrote({ register: 1, update: 0, deregister: 0 });
    await s.patch('ServiceRegistration', web, { spec: { suspend: false } });
    await s.stands([`passing ${web} 10.30.0.2:8080`]);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced', Synced: 'True Synced' });
    await s.wrote({ register: 2, update: 0, deregister: 1 });
  });

  test('UpsertOnly registers and updates and never removes', async () => {
    const s = await openScenario(stage, type);
    const web = await standing(s, { updatePolicy: 'UpsertOnly' });
    await s.stands([`passing ${web} 10.30.0.1:8080`]);
    await changed(s, web);
    const both = [`critical ${web} 10.30.0.1:8080`, `passing ${web} 10.30.0.2:8080`];
    await s.stands(both);
    await removed(s, web);
    await s.says('ServiceRegistration', web, { Ready: 'True PartiallySynced', Synced: 'False PartiallySynced' });
    await s.stands(both);
    await s.patch('ServiceRegistration', web, { spec: { updatePolicy: 'Sync' } });
    await s.stands([`passing ${web} 10.30.0.2:8080`]);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced', Synced: 'True Synced' });
    await s.wrote({ register: 2, update: 1, deregister: 1 });
  });

  test('CreateOnly registers and neither updates nor removes', async () => {
    const s = await openScenario(stage, type);
    const web = await standing(s, { updatePolicy: 'CreateOnly' });
    await s.stands([`passing ${web} 10.30.0.1:8080`]);
    await changed(s, web);
    const both = [`passing ${web} 10.30.0.1:8080`, `passing ${web} 10.30.0.2:8080`];
    await s.stands(both);
    await s.says('ServiceRegistration', web, { Ready: 'True PartiallySynced', Synced: 'False PartiallySynced' });
    await removed(s, web);
    await eventually('the status counts what is desired now', async () => {
      const { status } = await s.get('ServiceRegistration', web);
      assert.deepEqual(status.instances, { desired: 1, registered: 2, healthy: 2 });
    });
    await s.stands(both);
    await s.wrote({ register: 2, update: 0, deregister: 0 });
  });

  test('DryRun writes nothing and says how much it would', async () => {
    const s = await openScenario(stage, type);
    const web = await standing(s, { updatePolicy: 'DryRun' });
    const status = await s.says('ServiceRegistration', web, { Ready: 'True DryRun', Synced: 'False DryRun' });
    assert.match(JSON.stringify(status.conditions), /1 changes would be made/);
    await changed(s, web);
    await eventually('it tells of two', async () => {
      const { conditions } = await s.says('ServiceRegistration', web, { Ready: 'True DryRun' });
      assert.match(JSON.stringify(conditions), /2 changes would be made/);
    });
    await s.stands([]);
    await s.wrote({ register: 0, update: 0, deregister: 0 });
    await s.patch('ServiceRegistration', web, { spec: { updatePolicy: 'Sync' } });
    await s.stands([`critical ${web} 10.30.0.1:8080`, `passing ${web} 10.30.0.2:8080`]);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
  });
});

testTraces(stage);
