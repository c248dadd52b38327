// What the deletion guard holds back, by the eyes of whoever looks at the registry, the cluster and the metrics, and how a person lets it go.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roster } from '../cli/roster.ts';
import { eventually, throughout } from './eventually.ts';
import type { Json, Target } from './kube.ts';
import { registration, service, slice } from './objects.ts';
import { openScenario, type Scenario, withEachType } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

const stage = await openStage();
const kubeconfig = await stage.cluster.kubeconfigFor(stage.cluster.tokens.admin);

const FORTY = Array.from({ length: 40 }, (_, n) => `10.60.0.${n + 1}`);
const BLOCKED = 'True TooManyRemovals';
const HELD = { Ready: 'False TooManyRemovals', Stalled: BLOCKED, DeletionBlocked: BLOCKED };

const standing = (name: string, addresses: readonly string[]) =>
  addresses.map((address) => `passing ${name} ${address}:8080`);

/** A Service with so many endpoints, registered. */
async function registered(s: Scenario, name: string, addresses: readonly string[] = FORTY): Promise<string> {
  const { namespace: ns, id } = s;
  const full = `${name}-${id}`;
  await s.apply(service(ns, full), slice(ns, full, addresses), registration(ns, full, s.registry));
  return full;
}

const release = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await roster(['release', ...args, '--kubeconfig', kubeconfig]);
  assert.equal(code, 0, stderr);
  return stdout;
};

/** The value of a gauge or counter of the registry. */
async function metric(s: Scenario, name: string, label = ''): Promise<number> {
  const { text } = await stage.operator.get('/metrics');
  const line = text
    .split('\n')
    .find((one) => one.startsWith(`${name}{`) && one.includes(`"${s.registry}"`) && one.includes(label));
  return Number(line?.split(' ').at(-1) ?? 0);
}

const warned = (s: Scenario, kind: Target['kind'], name: string, reason: string) =>
  eventually(`an Event tells of ${reason} on ${kind} ${name}`, async () => {
    const events = await stage.kube.list('Event', kind.startsWith('Cluster') ? 'default' : s.namespace);
    const found = events.filter(
      ({ regarding, ...event }: Json) => regarding.kind === kind && regarding.name === name && event.reason === reason,
    );
    assert.ok(found.length > 0);
    assert.ok(found.every(({ type }: Json) => type === 'Warning'));
    return found;
  });

const gone = (s: Scenario, kind: Target['kind'], name: string, timeoutMs?: number) =>
  eventually(`${kind} ${name} is gone`, async () => assert.equal(await s.get(kind, name), undefined), timeoutMs);

describe('the deletion guard', { concurrency: true }, () => {
  withEachType((type) => {
    test('holds 40 endpoints that vanish from the slices, tells of it, and lets them go when they are released', async () => {
      const s = await openScenario(stage, type);
      const web = await registered(s, 'web');
      await s.stands(standing(web, FORTY));
      await s.apply(slice(s.namespace, web, []));
      await s.says('ServiceRegistration', web, { ...HELD, Synced: 'False TooManyRemovals', Accepted: 'True Accepted' });
      const { conditions } = await s.says('ClusterRegistry', s.registry, { ...HELD, Reachable: 'True Reachable' });
      const { message } = conditions.find((condition: Json) => condition.type === 'DeletionBlocked');
      assert.match(message, new RegExp(`40 removals \\(40 of ${s.namespace}/${web}\\)`));
      assert.match(message, /more than 10 and than 20 % would go within 60 s/);
      assert.match(message, new RegExp(`roster release --registry ${s.registry}`));
      await warned(s, 'ServiceRegistration', web, 'TooManyRemovals');
      await warned(s, 'ClusterRegistry', s.registry, 'TooManyRemovals');
      assert.equal(await metric(s, 'roster_held_removals'), 40);
      await throughout(3_000, () => s.stands(standing(web, FORTY), 0));

      const planned = await roster(
        ['plan', '-o', 'json', '-n', s.namespace, '--kubeconfig', kubeconfig, '--cluster-name', stage.clusterName],
        { ROSTER_URL: stage.operator.url },
      );
      // Other registries of the same server list these entries too.
      const mine = ({ registry }: Json) => registry === s.registry;
      const { changes, leftAlone } = JSON.parse(planned.stdout);
      assert.deepEqual(changes.filter(mine), []);
      const reasons = leftAlone.filter(mine).map(({ reason, detail }: Json) => `${reason} ${detail}`);
      assert.equal(reasons.length, 40);
      for (const reason of reasons) assert.match(reason, /^deletion-guard EndpointRemoved by NewerVersion/);

      const told = await release(`${s.namespace}/${web}`);
      assert.match(
        told,
        new RegExp(`^Released what was held back of ServiceRegistration ${s.namespace}/${web}:\n.*40 removals`),
      );
      await s.stands([]);
      await s.says('ServiceRegistration', web, {
        Ready: 'True Synced',
        DeletionBlocked: undefined,
        Stalled: undefined,
      });
      await s.says('ClusterRegistry', s.registry, { Ready: 'True Ready', DeletionBlocked: undefined });
      assert.equal(await metric(s, 'roster_held_removals'), 0);
      assert.equal(await metric(s, 'roster_deregistrations_total', 'NewerVersion'), 40);
      assert.match(await release(`${s.namespace}/${web}`), /^Nothing is held back of ServiceRegistration /);
    });

    test('lets 40 Pods go that were seen to terminate, also while nobody could be told', async () => {
      const s = await openScenario(stage, type);
      const web = await registered(s, 'web');
      await s.stands(standing(web, FORTY));
      const ending = Object.fromEntries(
        FORTY.map((address) => [address, { ready: false, serving: false, terminating: true }]),
      );
      await s.apply(slice(s.namespace, web, ending));
      await s.apply(slice(s.namespace, web, []));
      await s.stands([]);
      await s.wrote({ register: 40, deregister: 40 });
      await eventually('the removals are counted', async () =>
        assert.equal(await metric(s, 'roster_deregistrations_total', 'ObjectDeleted'), 40),
      );
      await s.says('ServiceRegistration', web, { Ready: 'True Synced', DeletionBlocked: undefined });
    });

    test('lets go what a Service that is deleted leaves, and one registration that is deleted', async () => {
      const s = await openScenario(stage, type);
      const [a, b] = [await registered(s, 'a'), await registered(s, 'b')];
      await s.stands([...standing(a, FORTY), ...standing(b, FORTY)]);
      await s.remove('Service', a);
      await s.stands(standing(b, FORTY));
      await s.remove('ServiceRegistration', b);
      await gone(s, 'ServiceRegistration', b);
      await s.stands([]);
    });

    test('holds a burst of deleted registrations, also when their finalizers have let them go', async () => {
      // What stands for the other tests counts too where they share a server: of all that, two of three could be less than the 20 % that may go.
      const s = await openScenario(stage, type, { registrySpec: { deletionGuard: { maxPercent: 5 } } });
      const names = await Promise.all(['a', 'b', 'c'].map((name) => registered(s, name, FORTY.slice(0, 20))));
      await s.stands(names.flatMap((name) => standing(name, FORTY.slice(0, 20))));
      // Entries stand before the finalizer does at times, and what is deleted without one is gone at once.
      for (const name of names)
        await eventually(`a finalizer holds ${name}`, async () =>
          assert.equal((await s.get('ServiceRegistration', name)).metadata.finalizers?.length, 1),
        );
      await Promise.all(names.map((name) => s.remove('ServiceRegistration', name)));
      await s.says('ClusterRegistry', s.registry, HELD);
      // The first that is seen is one deletion, and goes.
      const forty = async () => assert.equal((await s.entries()).length, 40);
      await eventually('one of three registrations is gone', forty);
      await throughout(3_000, forty);
      for (const name of names) await gone(s, 'ServiceRegistration', name, 100_000);
      await throughout(3_000, forty);
      // One after the other is written, and what all the other tests tell is before them.
      await eventually('Events tell of what the two left behind', async () => {
        const events = await stage.kube.list('Event', s.namespace);
        const left = events.filter(({ reason }: Json) => reason === 'EntriesLeftBehind');
        assert.equal(left.length, 2);
        for (const { note } of left)
          assert.match(note, /although the deletion guard holds its entries back \(roster release/);
      });
      await s.says('ClusterRegistry', s.registry, HELD);
      await release('--registry', s.registry);
      await s.stands([]);
      await s.says('ClusterRegistry', s.registry, { Ready: 'True Ready', DeletionBlocked: undefined });
    });
  });
});

test('what is held is held over restarts, and a release of yesterday frees nothing of today', async () => {
  const s = await openScenario(stage, 'Consul');
  const web = await registered(s, 'web');
  const restart = async () => {
    stage.operator.process.kill('SIGKILL');
    await stage.operator.process.restart();
  };
  await s.stands(standing(web, FORTY));
  await s.apply(slice(s.namespace, web, []));
  await s.says('ServiceRegistration', web, HELD);
  await restart();
  await throughout(8_000, () => s.stands(standing(web, FORTY), 0));
  await s.says('ServiceRegistration', web, HELD);
  await s.says('ClusterRegistry', s.registry, HELD);
  await release(`${s.namespace}/${web}`);
  await s.stands([]);
  const { lastHandledReleaseAt } = await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
  const { annotations } = (await s.get('ServiceRegistration', web)).metadata;
  assert.equal(lastHandledReleaseAt, annotations['roster.dev/release']);

  await s.apply(slice(s.namespace, web, FORTY));
  await s.stands(standing(web, FORTY));
  await s.apply(slice(s.namespace, web, []));
  await s.says('ServiceRegistration', web, HELD);
  await restart();
  await throughout(8_000, () => s.stands(standing(web, FORTY), 0));
  await s.says('ServiceRegistration', web, HELD, { lastHandledReleaseAt });
  await s.apply(slice(s.namespace, web, FORTY));
  await s.says('ServiceRegistration', web, { Ready: 'True Synced', DeletionBlocked: undefined });
  await s.wrote({ deregister: 40 });
});

test('a release of what is not there, or of nothing named, is told', async () => {
  const none = await roster(['release', 'nowhere/web', '--kubeconfig', kubeconfig]);
  assert.deepEqual([none.code, none.stderr], [1, 'roster: there is no ServiceRegistration nowhere/web\n']);
  const unnamed = await roster(['release', '--kubeconfig', kubeconfig]);
  assert.deepEqual(
    [unnamed.code, unnamed.stderr],
    [2, 'roster: name one of NS/NAME, --cluster-registration NAME and --registry NAME\n'],
  );
});

testTraces(stage);
