// Leased entries on a real Consul: processes that are killed, connections that are cut, servers that forget.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import ConsulClient from 'consul';
import type { Instance } from '../../src/mirror/instance.ts';
import { openTcpLink } from '../links/tcp-link.ts';
import { openConsul } from '../servers/consul.ts';
import { until } from '../servers/until.ts';
import { sweepAfter } from './conformance.ts';
import { consulHarness, openAt } from './consul-harness.ts';
import { assertOk, assertSame, assertStanding, failureIn, never, stored, using } from './expectations.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from './samples.ts';

/** The server counts its own writes, so nobody else's may be among them. */
const server = await openConsul();
after(() => server.stop());
const harness = await consulHarness(server);
const { port } = new URL(server.address);
/** A client that knows nothing of Roster, as users have it. */
const raw = new ConsulClient({ host: '127.0.0.1', port: Number(port) });

afterEach(() => sweepAfter(harness));

const TTL_MS = 6_000;
const openLeasing = () => openAt(server.address, { ttlMs: TTL_MS });
const leased = (cluster: string, over: Partial<Instance> & { readonly number?: number } = {}) =>
  sampleOf(cluster, { liveness: 'leased', ...over });

/** Ids that a consumer gets who asks for passing instances. */
async function passing(service: string): Promise<readonly string[]> {
  const found: { Service: { ID: string } }[] = await raw.health.service({ service, passing: true });
  return found.map(({ Service }) => Service.ID).sort();
}

const idsOf = (instances: readonly Instance[]) => instances.map(({ id }) => id).sort();

/** Looks as often as it can, until it is stopped, and gives all that was seen, each sight once. */
function watchOver(service: string): { stop(): Promise<readonly string[]> } {
  const sights = new Set<string>();
  let stopped = false;
  const looking = (async () => {
    while (!stopped) {
      sights.add((await passing(service)).join(' '));
      await delay(5);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await looking;
      return [...sights];
    },
  };
}

async function startClient(instances: readonly Instance[], over: object = {}): Promise<ChildProcess> {
  const task = JSON.stringify({ address: server.address, ttlMs: TTL_MS, instances, ...over });
  const program = join(import.meta.dirname, 'consul-client.ts');
  const child = spawn(process.execPath, [program, task], { stdio: ['ignore', 'pipe', 'inherit'] });
  after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

const leaseNodes = async (cluster: string): Promise<readonly string[]> => {
  const { body } = await server.request('GET', `/v1/catalog/nodes?node-meta=roster-cluster:${cluster}`);
  const nodes: { Node: string }[] = body;
  return nodes.map(({ Node }) => Node).filter((node) => /-l\d\d$/.test(node));
};

describe('the death of a client', () => {
  it('hides what it leased from consumers within the TTL, and nothing else; a list of anyone shows it as lapsing', async () => {
    const cluster = freshCluster();
    const gone = [leased(cluster), leased(cluster, { number: 2, health: 'draining' })];
    const stays = sampleOf(cluster, { number: 3 });
    const child = await startClient([...gone, stays]);
    assert.deepEqual(await passing(stays.service), idsOf([leased(cluster), stays]));
    await using(openLeasing, async (reader) => {
      assert.equal((await reader.discover(stays.service, never)).length, 3);
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.deepEqual(
        await passing(stays.service),
        idsOf([leased(cluster), stays]),
        'they went before the TTL was over',
      );
      await until('the leases to end', async () => ((await passing(stays.service)).length === 1 ? true : undefined));
      assert.deepEqual(await passing(stays.service), [stays.id]);
      assertSame(await reader.discover(stays.service, never), [stays]);
      assertSame(await reader.list(cluster, never), [
        ...gone.map((instance) => ({ ...instance, liveness: 'lapsing' as const })),
        stays,
      ]);
      assertSame(await harness.peek(cluster), [stays]);

      // What lapsed is taken over, or removed, like anything else.
      const [one, two] = gone;
      assert.ok(one !== undefined && two !== undefined);
      assertOk(await reader.apply([update(one, { ...one, liveness: 'lapsing' }), deregister(two)], never));
      await assertStanding(harness, reader, cluster, [one, stays]);
      assert.deepEqual(await passing(stays.service), idsOf([one, stays]));
    });
  });

  it('is no loss to consumers when another client has taken over in time: at no moment is an entry missing or there twice', async () => {
    const cluster = freshCluster();
    const instances = samplesOf(cluster, 40).map((instance) => ({ ...instance, liveness: 'leased' as const }));
    const child = await startClient(instances);
    const watch = watchOver(`${cluster}-web`);
    await using(openLeasing, async (heir) => {
      const standing = await heir.list(cluster, never);
      assert.deepEqual([...new Set(standing.map(({ liveness }) => liveness))], ['lapsing']);
      child.kill('SIGKILL');
      assertOk(
        await heir.apply(
          standing.map((previous) => update({ ...previous, liveness: 'leased' }, previous)),
          never,
        ),
      );
      await delay(1.5 * TTL_MS);
      assert.deepEqual(await watch.stop(), [idsOf(instances).join(' ')]);
      await assertStanding(harness, heir, cluster, instances);
    });
  });

  it('leaves nodes without entries behind, which the next client removes when it opens a lease', async () => {
    const cluster = freshCluster();
    const one = leased(cluster);
    const child = await startClient([one, leased(cluster, { number: 2, service: `${cluster}-api` })]);
    child.kill('SIGKILL');
    await until('the leases to end', async () => ((await passing(one.service)).length === 0 ? true : undefined));
    const before = await leaseNodes(cluster);
    await using(openLeasing, async (second) => {
      const [first, other] = await second.list(cluster, never);
      assert.ok(first !== undefined && other !== undefined);
      const [same, api] = first.id === one.id ? [first, other] : [other, first];
      assertOk(await second.apply([update(one, same), deregister(api)], never));
    });
    await using(openLeasing, async (third) => {
      assertOk(await third.apply([update(one, { ...one, liveness: 'lapsing' })], never));
      await until('the nodes to go', async () => {
        const left = await leaseNodes(cluster);
        return before.some((node) => left.includes(node)) ? undefined : true;
      });
      await assertStanding(harness, third, cluster, [one]);
    });
  });

  it('comes at the end of a program that closes nothing', async () => {
    const cluster = freshCluster();
    const child = await startClient([leased(cluster)], { leaves: true });
    const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
    assert.equal(code, 0);
    assert.deepEqual(await passing(`${cluster}-web`), [leased(cluster).id]);
  });
});

describe('a lease', () => {
  it('of a thousand entries costs sixteen sessions and few connections, and renewing them writes nothing', async () => {
    const cluster = freshCluster();
    // Leases of other tests end, each by a write.
    const quiet = await openConsul();
    after(() => quiet.stop());
    const link = await openTcpLink(Number(new URL(quiet.address).port));
    after(() => link.close());
    await using(
      () => openAt(`http://127.0.0.1:${link.port}`, { ttlMs: TTL_MS }),
      async (registry) => {
        const instances = samplesOf(cluster, 1_000).map((instance, n) =>
          stored(registry, { ...instance, liveness: 'leased', service: `${cluster}-${n}` }),
        );
        assertOk(await registry.apply(instances.map(register), never));
        assert.equal((await quiet.request('GET', '/v1/session/list')).body.length, 16);
        const before = await quiet.raftIndex();
        await delay(1.5 * TTL_MS);
        assert.equal(await quiet.raftIndex(), before);
        assert.ok(link.connections() <= 16, `${link.connections()} connections`);
        await assertStanding(await consulHarness(quiet), registry, cluster, instances);
      },
    );
  });

  it('is no bar to a change of kind, which no consumer notices', () =>
    using(openLeasing, async (registry) => {
      const cluster = freshCluster();
      const base = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([register(base)], never));
      const watch = watchOver(base.service);
      let previous = base;
      for (const liveness of ['leased', 'persistent', 'leased', 'leased', 'persistent'] as const) {
        const instance = { ...base, liveness };
        assertOk(await registry.apply([update(instance, previous)], never));
        await assertStanding(harness, registry, cluster, [instance]);
        previous = instance;
      }
      assert.deepEqual(await watch.stop(), [base.id]);
    }));

  it('that ran out while the connection was cut is opened again when it is back, and its entries with it', async () => {
    const cluster = freshCluster();
    const link = await openTcpLink(Number(port));
    after(() => link.close());
    const one = leased(cluster);
    await using(
      () => openAt(`http://127.0.0.1:${link.port}`, { ttlMs: TTL_MS, requestMs: 1_000 }),
      async (registry) => {
        assertOk(await registry.apply([register(one)], never));
        link.freeze();
        await until('the lease to end', async () => ((await passing(one.service)).length === 0 ? true : undefined));
        link.heal();
        await until('the entry to be back', async () => ((await passing(one.service)).length === 1 ? true : undefined));
        await assertStanding(harness, registry, cluster, [one]);
      },
    );
  });

  it('that somebody ended or whose check somebody removed is opened again once it is noticed', () =>
    using(openLeasing, async (registry) => {
      const cluster = freshCluster();
      const one = stored(registry, leased(cluster));
      assertOk(await registry.apply([register(one)], never));
      const [node] = await leaseNodes(cluster);
      assert.ok(node !== undefined);
      const [session] = (await raw.session.node(node)) as { ID: string }[];
      await raw.session.destroy(session?.ID ?? '');
      assertSame(await registry.list(cluster, never), [{ ...one, liveness: 'lapsing' }]);
      await until('the entry to be back', async () => ((await passing(one.service)).length === 1 ? true : undefined));
      await server.request('PUT', '/v1/catalog/deregister', { Node: node, CheckID: 'roster-lease' });
      assertSame(await registry.list(cluster, never), [{ ...one, liveness: 'lapsing' }]);
      await until('the lease to be back', async () => {
        const [now] = await registry.list(cluster, never);
        return now?.liveness === 'leased' ? true : undefined;
      });
      assert.equal(((await raw.session.node(node)) as unknown[]).length, 1);
    }));

  it('whose node somebody removed is opened anew by the next write', () =>
    using(openLeasing, async (registry) => {
      const cluster = freshCluster();
      const [one, two] = [1, 2].map((number) => stored(registry, leased(cluster, { number })));
      assert.ok(one !== undefined && two !== undefined);
      assertOk(await registry.apply([register(one)], never));
      const [node] = await leaseNodes(cluster);
      await server.request('PUT', '/v1/catalog/deregister', { Node: node });
      assertOk(await registry.apply([register(two)], never));
      assert.deepEqual(await passing(one.service), [two.id]);
      assertSame(await registry.list(cluster, never), [two]);
      assertOk(await registry.apply([register(one)], never));
      await assertStanding(harness, registry, cluster, [one, two]);
    }));

  it('lost with everything else in a restart is opened again, and a list tells what is missing', async () => {
    const forgetful = await openConsul();
    try {
      await using(
        () => openAt(forgetful.address, { ttlMs: TTL_MS }),
        async (registry) => {
          const cluster = freshCluster();
          const [one, two] = [leased(cluster), leased(cluster, { number: 2, health: 'unhealthy' })];
          assertOk(await registry.apply([register(one), register(two)], never));
          await forgetful.restart();
          await until('the lack to show', async () => {
            const left = await registry.list(cluster, never).catch(() => undefined);
            return left?.length === 0 ? true : undefined;
          });
          assertOk(await registry.apply([register(one), register(two)], never));
          await delay(1.5 * TTL_MS);
          await assertStanding(await consulHarness(forgetful), registry, cluster, [one, two]);
        },
      );
    } finally {
      await forgetful.stop();
    }
  });

  it('shorter than Consul grants is invalid, and nothing is written', () =>
    using(
      () => openAt(server.address, { ttlMs: 1_000 }),
      async (registry) => {
        const cluster = freshCluster();
        const [refused, taken] = await registry.apply([register(leased(cluster)), register(sampleOf(cluster))], never);
        const failure = failureIn(refused);
        assert.deepEqual([failure.code, failure.ambiguous], ['invalid', false]);
        assert.match(failure.message, /session_ttl_min/);
        assert.ok(taken?.ok);
        await assertStanding(harness, registry, cluster, [sampleOf(cluster)]);
      },
    ));
});

describe('clients that know nothing of each other', () => {
  it('have one entry of one id, whatever kind each wants and whatever stood there', async () => {
    for (const [first, second] of [
      ['leased', 'leased'],
      ['persistent', 'leased'],
    ] as const) {
      const cluster = freshCluster();
      await using(openLeasing, async (one) => {
        assertOk(await one.apply([register(sampleOf(cluster, { liveness: first }))], never));
        await using(openLeasing, async (two) => {
          const wanted = sampleOf(cluster, { liveness: second, weight: 7 });
          assertOk(await two.apply([register(wanted)], never));
          await assertStanding(harness, two, cluster, [wanted]);
        });
      });
    }
  });

  it('that both register an id blindly, one persistent and one leased, show it as lapsing until the next write removes the double', async () => {
    const cluster = freshCluster();
    const wanted = sampleOf(cluster);
    await using(openLeasing, async (one) => {
      assertOk(await one.apply([register(leased(cluster))], never));
      await using(openLeasing, async (two) => {
        assertOk(await two.apply([register(wanted)], never));
        const [double] = await two.list(cluster, never);
        assert.equal(double?.liveness, 'lapsing');
        assertOk(await two.apply([update(wanted, double)], never));
        await assertStanding(harness, two, cluster, [wanted]);
      });
      assertOk(await one.apply([deregister(wanted)], never));
      await assertStanding(harness, one, cluster, []);
    });
  });

  it('leave a stranger’s entry on the node of a lease as it is', () =>
    using(openLeasing, async (registry) => {
      const cluster = freshCluster();
      const ours = stored(registry, leased(cluster));
      assertOk(await registry.apply([register(ours)], never));
      const stranger = await harness.intruder.takeOver(ours);
      const [refused] = await registry.apply([update({ ...ours, port: 9 }, ours)], never);
      assert.equal(failureIn(refused).code, 'conflict');
      assertOk(await registry.apply([deregister(ours)], never));
      assert.ok(await stranger.isIntact());
    }));
});
