// What `liveness` promises, on every registry that has leases, by the eyes of consumers: what is leased goes with an operator that is killed and is
// missed by nobody over a restart; what is persistent stays, and is not written again. And what others take away is back long before the audit.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { roster } from '../cli/roster.ts';
import { eventually } from './eventually.ts';
import { consulTruth, etcdTruth, type LeaseTruth, nacosTruth, zooKeeperTruth } from './lease-truth.ts';
import { clusterRegistry, registration, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { openStage, testTraces } from './stage.ts';

// One after the other: Nacos gives itself no more than seconds for its start.
const others = [await nacosTruth(), await zooKeeperTruth(), await etcdTruth()];
after(async () => {
  for (const { stop } of others) await stop();
});
const stage = await openStage();
const truths: readonly LeaseTruth[] = [consulTruth(stage.consul), ...others];
const s = await openScenario(stage, 'Memory');

const LEASED = ['10.1.0.1', '10.1.0.2'];
const KEPT = ['10.1.0.3', '10.1.0.4'];
/** Far longer than a test waits. */
const AUDIT_SECONDS = 3_600;
const SHORT_SECONDS = 30;

/** Leased and persistent entries have a registry each, since a `ttlSeconds` concerns all that is in one. */
const scenes = truths.map((truth) => {
  const name = truth.type.toLowerCase();
  const leasing = { registry: `${name}-leasing-${s.id}`, service: `${name}-leased-${s.id}`, addresses: LEASED };
  const lasting = { registry: `${name}-lasting-${s.id}`, service: `${name}-kept-${s.id}`, addresses: KEPT };
  const standing = (of: typeof leasing) => truth.standing(of.registry, of.service);
  return {
    ...truth,
    name,
    leasing,
    lasting,
    standing,
    holders: async () => (await standing(leasing)).map(({ holder }) => holder),
    stamps: async () => (await standing(lasting)).map(({ stamp }) => stamp).sort(),
    stand: (of: typeof leasing, addresses = of.addresses) =>
      eventually(
        `${truth.type} holds ${addresses.length} of ${of.service}`,
        async () => {
          const found = (await standing(of)).map(({ address }) => address);
          assert.deepEqual(found.sort(), addresses);
        },
        120_000,
      ),
    registry: (of: typeof leasing, ttlSeconds?: number) =>
      clusterRegistry(of.registry, {
        type: truth.type,
        [name]: truth.spec(of.registry, ttlSeconds),
        audit: { intervalSeconds: AUDIT_SECONDS },
      }),
  };
});
type Scene = (typeof scenes)[number];

const each = (run: (scene: Scene) => Promise<void>, which = scenes) => Promise.all(which.map(run));
const outliving = scenes.filter(({ outlives }) => outlives);

async function ready(): Promise<void> {
  await each(async ({ leasing, lasting }) => {
    for (const { service: name, registry } of [leasing, lasting]) {
      await s.says('ServiceRegistration', name, { Ready: 'True Synced' });
      await s.says('ClusterRegistry', registry, { Ready: 'True Ready' });
    }
  });
}

/** Gives the numbers of entries that a reader saw, of each type, while something was done. */
async function watchedWhile(run: () => Promise<void>): Promise<Readonly<Record<string, readonly number[]>>> {
  let reading = true;
  const readers = outliving.map(async ({ type, standing, leasing }) => {
    const seen = new Set<number>();
    while (reading) {
      seen.add((await standing(leasing)).length);
      await delay(10);
    }
    return [type, [...seen]] as const;
  });
  try {
    await run();
  } finally {
    reading = false;
  }
  return Object.fromEntries(await Promise.all(readers));
}

const undisturbed = Object.fromEntries(outliving.map(({ type }) => [type, [LEASED.length]]));

/** Waits until another client holds all of them. */
const takenOver = ({ type, holders }: Scene, from: readonly string[]) =>
  eventually(
    `${type}: another client holds the leases`,
    async () => {
      const now = await holders();
      assert.equal(now.length, LEASED.length);
      assert.ok(
        now.every((holder) => !from.includes(holder)),
        `${now}`,
      );
    },
    120_000,
  );

/** Runs it, and asserts that nothing was written of what is persistent. */
async function keeping(run: () => Promise<void>): Promise<void> {
  const look = () => Promise.all(scenes.map(({ stamps }) => stamps()));
  const written = async () => {
    const changes = await Promise.all(scenes.map(({ lasting }) => stage.operator.changes(lasting.registry)));
    return changes.map(({ length }) => length);
  };
  const [stamps, changes] = [await look(), await written()];
  await run();
  assert.deepEqual(await look(), stamps);
  assert.deepEqual(await written(), changes);
}

async function killAndRestart(): Promise<void> {
  stage.operator.process.kill('SIGKILL');
  await stage.operator.process.exitCode();
  await stage.operator.process.restart();
}

before(async () => {
  const manifests = scenes.flatMap(({ registry, leasing, lasting }) =>
    (
      [
        [leasing, 'Leased'],
        [lasting, 'Persistent'],
      ] as const
    ).flatMap(([of, liveness]) => [
      registry(of),
      service(s.namespace, of.service),
      slice(s.namespace, of.service, of.addresses),
      registration(s.namespace, of.service, of.registry, { liveness }),
    ]),
  );
  await s.apply(...manifests);
  await each(async ({ stand, leasing, lasting }) => {
    await stand(leasing);
    await stand(lasting);
  });
  await ready();
});

test('what others take away is back long before the audit', async () => {
  await each(async ({ lasting, remove, stand }) => {
    await remove(lasting.registry, lasting.service, KEPT[0] ?? '');
    await stand(lasting);
  });
  await each(async ({ leasing, remove, stand }) => {
    await remove(leasing.registry, leasing.service, LEASED[0] ?? '');
    await stand(leasing);
  }, outliving);
});

test('whoever only looks takes the leases of the operator for no drift, and explain counts them', async () => {
  const access = await stage.cluster.kubeconfigFor(stage.cluster.tokens.admin);
  const shared = ['--kubeconfig', access, '--cluster-name', stage.clusterName, '-n', s.namespace];
  const { code, stdout, stderr } = await roster(['diff', ...shared]);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^0 to register, 0 to update, 0 to deregister, /m);
  const [scene = assert.fail()] = scenes;
  const explained = await roster(['explain', scene.leasing.service, ...shared]);
  assert.equal(explained.code, 0, explained.stderr);
  assert.match(explained.stdout, /^Leased: 2, which vanish when no operator keeps them alive$/m);
});

test('an operator that is killed and comes back in time is missed by no reader, and writes nothing that is persistent', async () => {
  const before = await Promise.all(outliving.map(({ holders }) => holders()));
  await keeping(async () => {
    const seen = await watchedWhile(async () => {
      await killAndRestart();
      await Promise.all(outliving.map((scene, n) => takenOver(scene, before[n] ?? [])));
    });
    assert.deepEqual(seen, undisturbed);
    await each(({ stand, leasing }) => stand(leasing));
    await ready();
  });
});

test('a registry whose TTL is changed keeps its entries, and what it leased goes with an operator that is killed; what is persistent stays', async () => {
  const before = await Promise.all(outliving.map(({ holders }) => holders()));
  const seen = await watchedWhile(async () => {
    await s.apply(...outliving.map(({ registry, leasing }) => registry(leasing, SHORT_SECONDS)));
    await Promise.all(outliving.map((scene, n) => takenOver(scene, before[n] ?? [])));
  });
  assert.deepEqual(seen, undisturbed);
  await ready();

  await keeping(async () => {
    stage.operator.process.kill('SIGKILL');
    await stage.operator.process.exitCode();
    // Without the new TTL they would stand for three minutes.
    await each(({ stand, leasing }) => stand(leasing, []));
    await each(({ stand, lasting }) => stand(lasting));
    await stage.operator.process.restart();
    await each(({ stand, leasing }) => stand(leasing));
    await ready();
  });
});

testTraces(stage);
