// A registry that is away for long while much changes, in virtual time.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ClusterRegistry } from '../../src/api/kinds.generated.ts';
import { clusterRegistration, clusterRegistry, endpoint, namespace, service, slice } from '../mirror/objects.ts';
import { dice, newClock, openCluster, openServer, type Process, put, startProcess, truthOf } from './simulation.ts';

const REGISTRY = 'ClusterRegistry/consul';
const MINUTES = 10;
const STEP_MS = 600;
const CHANGES = (MINUTES * 60_000) / STEP_MS;

async function openWorld(services: number) {
  const random = dice(1);
  const clock = newClock();
  const cluster = openCluster();
  const server = openServer(clock, random);
  const names = Array.from({ length: services }, (_, n) => `s${n}`);
  const move = (name: string, round: number) => {
    const n = names.indexOf(name);
    const addresses = [`10.${n}.0.1`, `10.${n}.${Math.floor(round / 200) + 1}.${round % 200}`];
    put(
      cluster,
      'slices',
      slice(
        addresses.map((one) => endpoint(one)),
        { name },
        `shop/${name}`,
      ),
    );
  };
  put(cluster, 'namespaces', namespace('shop'));
  const deletionGuard: ClusterRegistry['spec']['deletionGuard'] = {
    maxPercent: 100,
    minInstances: 0,
    windowSeconds: 60,
  };
  put(cluster, 'registries', clusterRegistry({ deletionGuard }));
  put(cluster, 'registrations', clusterRegistration());
  for (const name of names) {
    put(cluster, 'services', service(`shop/${name}`));
    move(name, 0);
  }
  const operator = await startProcess({ cluster, servers: new Map([['consul', server]]), clock, random });
  await clock.advance(30_000);
  assert.equal(server.ours().length, 2 * services);
  return { clock, server, names, move, operator };
}

/** What the operator still has to do, as somebody sees it who knows both sides. */
const left = ({ surroundings }: Process, server: ReturnType<typeof openServer>) =>
  [...truthOf(surroundings, REGISTRY, server.seen()).values()].flatMap(({ plan }) => plan.changes);

for (const services of [1, 100]) {
  it(`${CHANGES} changes of ${services} Services while a registry is down for ${MINUTES} minutes cost one probe a second, no memory, and one write for each entry`, async () => {
    const { clock, server, names, move, operator } = await openWorld(services);
    const worker = operator.registries.get(REGISTRY)?.worker ?? assert.fail();
    const before = { written: server.written, standing: server.ours().length };
    server.weather = 'down';
    server.requests.length = 0;
    for (let n = 0; n < CHANGES; n++) {
      move(names[n % services] ?? assert.fail(), n + 1);
      await clock.advance(STEP_MS);
      const { queue, ledger, writer } = worker;
      assert.ok(queue.depth + queue.running <= services, `${queue.depth} Services wait`);
      assert.equal(ledger.size, before.standing);
      // What was on its way when the registry went down is given up by then.
      if (n > 20) assert.deepEqual([writer.pending, worker.link.state], [0, 'down']);
    }
    const asked = (operation: string) => server.requests.filter((one) => one.operation === operation);
    const probes = asked('check').map(({ at }) => at);
    assert.ok(probes.length > MINUTES * 50);
    for (const [n, at] of probes.entries()) assert.ok(n === 0 || at - (probes[n - 1] ?? 0) >= 1_000, `${at}`);
    assert.equal(asked('list').length, 0);
    // What found out that it is down.
    assert.ok(asked('apply').length <= 4);
    // A watch tries again ever more seldom, up to once a minute.
    assert.ok(asked('watch').length <= MINUTES + 10);
    assert.equal(server.written, before.written);

    const due = left(operator, server);
    assert.equal(due.length, 2 * services);
    server.weather = 'healthy';
    await clock.advance(10_000);
    assert.deepEqual(left(operator, server), []);
    assert.equal(server.written - before.written, due.length);
    await clock.advance(60_000);
    assert.equal(server.written - before.written, due.length, 'and then nothing is written');
    assert.deepEqual([worker.queue.depth, worker.ledger.size], [0, before.standing]);
    assert.deepEqual([operator.errors, server.violations], [[], []]);
    await operator.stop(false);
  });
}
