// The operator and a real ZooKeeper, judged by the package's own client: what stands and follows, who may change it, what goes with the operator and what
// stays, and accounts that are replaced.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, describe, test } from 'node:test';
import zookeeper from 'node-zookeeper-client';
import { rawZooKeeper } from '../conformance/zookeeper-raw.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { eventually, throughout } from './eventually.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const [stage, server] = await Promise.all([
  openStage(),
  openZooKeeper({ fsync: false, config: { maxSessionTimeout: 600_000 } }),
]);
const raw = rawZooKeeper(server.address);
after(async () => {
  await raw.close();
  await server.stop();
});

/** Where the services of a test are; the chroot is the test's own. */
const rootOf = (id: string) => `/roster-${id}/services`;

interface Opening {
  readonly layout?: 'Curator' | 'Kratos';
  readonly digestAuth?: string;
  readonly sessionTimeoutSeconds?: number;
}

/** A ClusterRegistry that names, before the server that is there, one that is not. */
async function opened({ digestAuth, ...over }: Opening = {}) {
  const s = await openScenario(stage, 'Memory');
  const name = `zookeeper-${s.id}`;
  if (digestAuth !== undefined) await s.apply(secret(OPERATOR_NAMESPACE, name, { digest: digestAuth }));
  await s.apply(
    clusterRegistry(name, {
      type: 'ZooKeeper',
      zookeeper: {
        connectString: `127.0.0.1:9,${server.address}/roster-${s.id}`,
        ...(digestAuth === undefined
          ? {}
          : { digestAuthSecretRef: { namespace: OPERATOR_NAMESPACE, name, key: 'digest' } }),
        ...over,
      },
      audit: { intervalSeconds: 5 },
    }),
  );
  const root = rootOf(s.id);
  const nodes = () => raw.entries(root);
  return {
    ...s,
    name,
    root,
    nodes,
    /** Waits until exactly these addresses stand, with their ports, as `UP 10.1.0.1:8080`. */
    stands: (service: string, expected: readonly string[], timeoutMs?: number) =>
      eventually(
        'ZooKeeper holds these entries',
        async () => assert.deepEqual(await briefs(`${root}/${service}`), [...expected].sort()),
        timeoutMs,
      ),
    /** Of every node below the root: made, changed, and its children changed in these transactions. Differs after every write. */
    stamps: async () => {
      const services = await raw.children(root);
      const all = await Promise.all(
        [root, ...services.map((one) => `${root}/${one}`), ...(await nodes()).map(({ path }) => path)].map(raw.get),
      );
      return all.map((node) => [node?.path, ...['czxid', 'mzxid', 'pzxid'].map((field) => hexOf(node?.stat, field))]);
    },
  };
}

const hexOf = (stat: object | undefined, field: string): string => Reflect.get(stat ?? {}, field)?.toString('hex');

/** Of layout Curator. */
async function briefs(path: string): Promise<readonly string[]> {
  const names = await raw.children(path);
  const nodes = await Promise.all(names.map((name) => raw.get(`${path}/${name}`)));
  const documents = nodes.flatMap((node) => (node === undefined ? [] : [JSON.parse(node.text)]));
  return documents.map(({ address, port, payload }) => `${payload.metadata.instance_status} ${address}:${port}`).sort();
}

describe('a ClusterRegistry of type ZooKeeper', { concurrency: true }, () => {
  test('holds the instances of a Service, follows its endpoints, mends what others changed, and writes nothing else', async () => {
    const { namespace: ns, id, name, root, stands, stamps, nodes, ...s } = await opened();
    const web = `web-${id}`;
    await s.apply(service(ns, web), slice(ns, web, ['10.1.0.1', '10.1.0.2']), registration(ns, web, name));
    await stands(web, ['UP 10.1.0.1:8080', 'UP 10.1.0.2:8080']);
    await s.says(
      'ServiceRegistration',
      web,
      { Ready: 'True Synced' },
      { instances: { desired: 2, registered: 2, healthy: 2 } },
    );
    const status = await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable' });
    assert.match(status.server.version, /^3\.\d+\.\d+/);

    await s.apply(slice(ns, web, { '10.1.0.2': { ready: false }, '10.1.0.3': {} }));
    await stands(web, ['OUT_OF_SERVICE 10.1.0.2:8080', 'UP 10.1.0.3:8080']);

    const [first] = await nodes();
    await raw.remove(first?.path ?? assert.fail());
    await raw.put(`${root}/${web}/theirs`, JSON.stringify({ name: web, id: 'theirs', address: '10.9.9.9', port: 9 }));
    await eventually('what was removed stands again beside what is not ours', async () =>
      assert.deepEqual((await raw.children(`${root}/${web}`)).length, 3),
    );
    await raw.remove(`${root}/${web}/theirs`);
    await stands(web, ['OUT_OF_SERVICE 10.1.0.2:8080', 'UP 10.1.0.3:8080']);

    const before = await stamps();
    await throughout(6_000, async () => assert.deepEqual(await stamps(), before));

    await s.remove('ServiceRegistration', web);
    await eventually('nothing is left, nor the node of the service', async () =>
      assert.deepEqual(await raw.children(root), []),
    );
  });

  test('shows Kratos only what takes traffic', async () => {
    const { namespace: ns, id, name, nodes, ...s } = await opened({ layout: 'Kratos' });
    const web = `web-${id}`;
    const endpoints = async () => (await nodes()).flatMap(({ text }) => JSON.parse(text).endpoints).sort();
    await s.apply(
      service(ns, web),
      slice(ns, web, { '10.1.0.1': {}, '10.1.0.2': { ready: false } }),
      registration(ns, web, name, { tags: ['http'] }),
    );
    await s.says(
      'ServiceRegistration',
      web,
      { Ready: 'True Synced' },
      { instances: { desired: 2, registered: 2, healthy: 1 } },
    );
    assert.deepEqual(await endpoints(), ['http://10.1.0.1:8080']);
    await s.apply(slice(ns, web, ['10.1.0.1', '10.1.0.2']));
    await eventually('both take traffic', async () =>
      assert.deepEqual(await endpoints(), ['http://10.1.0.1:8080', 'http://10.1.0.2:8080']),
    );
  });

  test('gives its entries to the account of a Secret, and goes on when another account takes its place', async () => {
    const [old, young] = ['old:grumbling-otter', 'young:whispering-heron'];
    const { namespace: ns, id, name, root, nodes, stands, ...s } = await opened({ digestAuth: old });
    const web = `web-${id}`;
    await s.apply(service(ns, web), slice(ns, web, ['10.1.0.1', '10.1.0.2']), registration(ns, web, name));
    await stands(web, ['UP 10.1.0.1:8080', 'UP 10.1.0.2:8080']);
    const paths = (await nodes()).map(({ path }) => path);
    for (const path of paths) assert.deepEqual(await raw.accessOf(path), ['digest 31', 'world 1']);
    await assert.rejects(raw.remove(paths[0] ?? ''), { name: 'NO_AUTH' });

    // The old one may not change them any more: it is told, and nothing goes.
    const claims = `${root}.roster`;
    const below = async (path: string) => (await raw.children(path)).map((child) => `${path}/${child}`);
    const records = await below(claims);
    const terms = (await Promise.all(records.map(below))).flat();
    await handOver(old, young, [root, `${root}/${web}`, ...paths, claims, ...records, ...terms]);
    await s.apply(slice(ns, web, { '10.1.0.1': { ready: false }, '10.1.0.2': {} }));
    await eventually(
      'the registration says what may not be written',
      async () => assert.match(JSON.stringify((await s.get('ServiceRegistration', web)).status), /digestAuthSecretRef/),
      60_000,
    );
    await stands(web, ['UP 10.1.0.1:8080', 'UP 10.1.0.2:8080'], 0);

    await s.apply(secret(OPERATOR_NAMESPACE, name, { digest: young }));
    await stands(web, ['OUT_OF_SERVICE 10.1.0.1:8080', 'UP 10.1.0.2:8080'], 60_000);
    await s.apply(slice(ns, web, ['10.1.0.1', '10.1.0.3']));
    await stands(web, ['UP 10.1.0.1:8080', 'UP 10.1.0.3:8080'], 60_000);
    await s.says('ServiceRegistration', web, { Ready: 'True Synced' });
    await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable' });

    const done = (await stage.operator.changes(name)).filter(({ error }) => error === undefined);
    const removed = done.filter(({ action }) => action === 'deregister');
    assert.equal(removed.length, 1, 'only the endpoint that went');
    const text = await stage.operator.output();
    for (const account of [old, young])
      assert.ok(!text.includes(account.split(':')[1] ?? ''), 'a password is in the log');
  });
});

// After the others, since they stop the operator.
describe('an operator that is gone', () => {
  const NOBODY = '0'.repeat(16);

  /** A persistent and a leased registration, of two endpoints each; both stand. */
  async function mirrored(sessionTimeoutSeconds: number) {
    const s = await opened({ sessionTimeoutSeconds });
    const { namespace: ns, id, name } = s;
    const [kept, leased] = [`kept-${id}`, `leased-${id}`];
    await s.apply(
      service(ns, kept),
      slice(ns, kept, ['10.1.0.1', '10.1.0.2']),
      registration(ns, kept, name),
      service(ns, leased),
      slice(ns, leased, ['10.1.0.3', '10.1.0.4']),
      registration(ns, leased, name, { liveness: 'Leased' }),
    );
    const stand = {
      kept: (timeoutMs?: number) => s.stands(kept, ['UP 10.1.0.1:8080', 'UP 10.1.0.2:8080'], timeoutMs),
      leased: () => s.stands(leased, ['UP 10.1.0.3:8080', 'UP 10.1.0.4:8080'], 60_000),
    };
    await stand.kept();
    await stand.leased();
    for (const name of [kept, leased]) await s.says('ServiceRegistration', name, { Ready: 'True Synced' });
    const owners = async (of: string) =>
      (await s.nodes()).filter(({ service }) => service === of).map(({ stat }) => hexOf(stat, 'ephemeralOwner'));
    assert.deepEqual(await owners(kept), [NOBODY, NOBODY]);
    const keptStamps = async () => (await s.stamps()).filter(([path]) => path?.includes(kept));
    return { ...s, leased, stand, owners: () => owners(leased), keptStamps };
  }

  test('because it was killed takes its leased entries along, and nothing else; a new one writes those alone', async () => {
    const { root, leased, stand, owners, keptStamps, says } = await mirrored(6);
    const [first, stamps] = [await owners(), await keptStamps()];
    assert.ok(first.every((owner) => owner !== NOBODY));
    stage.operator.process.kill('SIGKILL');
    await stage.operator.process.exitCode();
    await eventually('the leased ones to lapse', async () =>
      assert.deepEqual(await raw.children(`${root}/${leased}`), []),
    );
    await stand.kept(0);

    await stage.operator.process.restart();
    await stand.leased();
    await says('ServiceRegistration', leased, { Ready: 'True Synced' });
    await throughout(6_000, async () => assert.deepEqual(await keptStamps(), stamps));
    const second = await owners();
    assert.ok(second.every((owner) => owner !== NOBODY && !first.includes(owner)));
  });

  test('for a restart is missed by no reader: its leased entries are taken over, and the others not written', async () => {
    const { root, leased, stand, owners, keptStamps, says } = await mirrored(120);
    const [first, stamps] = [await owners(), await keptStamps()];
    const counts = new Set<number>();
    let reading = true;
    const reader = (async () => {
      while (reading) counts.add((await raw.children(`${root}/${leased}`)).length);
    })();
    try {
      stage.operator.process.kill('SIGTERM');
      assert.equal(await stage.operator.process.exitCode(), 0);
      await stage.operator.process.restart();
      await eventually(
        'another session to have them',
        async () => {
          const second = await owners();
          assert.ok(second.length === 2 && second.every((owner) => !first.includes(owner)));
        },
        60_000,
      );
    } finally {
      reading = false;
      await reader;
    }
    assert.deepEqual(counts, new Set([2]));
    await stand.leased();
    await says('ServiceRegistration', leased, { Ready: 'True Synced' });
    await throughout(6_000, async () => assert.deepEqual(await keptStamps(), stamps));
  });
});

testTraces(stage);

const digestOf = (account: string): string =>
  `${account.split(':')[0]}:${createHash('sha1').update(account).digest('base64')}`;

/** As `setAcl -R` of zkCli, by the old account. */
async function handOver(from: string, to: string, paths: readonly string[]): Promise<void> {
  const { ACL, Id, Permission } = zookeeper;
  const owner = rawZooKeeper(server.address, from);
  const access = [
    new ACL(Permission.ALL, new Id('digest', digestOf(to))),
    new ACL(Permission.READ + Permission.CREATE, new Id('world', 'anyone')),
  ];
  const set = (path: string) =>
    new Promise<void>((resolve, reject) =>
      owner.client.setACL(path, access, -1, (error) => (error ? reject(error) : resolve())),
    );
  try {
    // What is asked before there is a connection goes out before the credentials do.
    await owner.children('/');
    for (const path of paths) await set(path);
  } finally {
    await owner.close();
  }
}
