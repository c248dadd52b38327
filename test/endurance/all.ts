// What docs/reliability.md counts: node test/endurance/all.ts, or with --test-name-pattern some of it. Some 25 minutes on two cores.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { racePlans } from './race-plan.ts';
import {
  consulSubject,
  etcdSubject,
  memorySubject,
  nacosSubject,
  type RaceSubject,
  zooKeeperSubject,
} from './race-subjects.ts';
import { playRaces, toldTally } from './races.ts';
import { playRestarts, toldRestarts } from './restarts.ts';
import { playStops, toldStops } from './stops.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** Beside each other on one server: most of a run is waiting. */
const AT_ONCE = 4;
/** Nacos shows what was written after half a second, so that a run takes seconds. */
const NACOS_RUNS = 100;

interface Server {
  stop(): Promise<void>;
}

function testRaces(
  name: string,
  open: () => Promise<readonly [Server, () => Promise<RaceSubject>]>,
  runs?: number,
): void {
  test(`races of two leaders: ${name}`, async (t) => {
    const [server, openSubject] = await open();
    const subjects: RaceSubject[] = [];
    while (subjects.length < AT_ONCE) subjects.push(await openSubject());
    // After the clients of the harnesses, which would wait for the server.
    t.after(async () => {
      for (const subject of subjects) await subject.close();
      await server.stop();
    });
    const tally = await playRaces(subjects, racePlans(SEED).slice(0, runs));
    console.log(toldTally(tally));
    assert.deepEqual(tally.wrong, []);
  });
}

testRaces('Memory', async () => [{ stop: async () => {} }, async () => memorySubject()]);
testRaces('etcd', async () => {
  const server = await openEtcd({ fsync: false });
  return [server, () => etcdSubject(server)];
});
testRaces('Consul', async () => {
  const server = await openConsul();
  return [server, () => consulSubject(server)];
});
testRaces('ZooKeeper', async () => {
  const server = await openZooKeeper({ fsync: false });
  return [server, () => zooKeeperSubject(server)];
});
testRaces(
  'Nacos',
  async () => {
    const server = await openNacos();
    return [server, () => nacosSubject(server)];
  },
  NACOS_RUNS,
);

test('two processes, of which the leader is stopped', async () => {
  const tally = await playStops({ seed: SEED, stops: 6 });
  console.log(toldStops(tally));
  assert.deepEqual(tally.wrong, []);
  assert.ok(tally.late > 0, 'nothing was ever on its way');
});

test('100 restarts', async () => {
  const size = { services: 20, endpoints: 6, deletions: true };
  const tally = await playRestarts({ seed: SEED, restarts: 79, handovers: 20, crashes: 4, ...size });
  console.log(toldRestarts(tally));
  assert.deepEqual(tally.wrong, []);
  // The one process makes way for two.
  assert.equal(tally.ends.SIGKILL + tally.ends.SIGTERM, 100);
});
