// A sample of the dual-leader runs that `make faults` plays, on each registry; and that they would show a lost update.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { sharedNacos } from '../servers/shared.ts';
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

const SEED = 1;
const plans = racePlans(SEED);

const [etcd, consul, zookeeper, nacos] = await Promise.all([
  openEtcd({ fsync: false }),
  openConsul(),
  openZooKeeper({ fsync: false }),
  sharedNacos(),
]);

const samples: readonly { readonly subject: RaceSubject; readonly runs: number }[] = [
  { subject: memorySubject(), runs: 200 },
  { subject: await etcdSubject(etcd), runs: 20 },
  { subject: await consulSubject(consul), runs: 20 },
  { subject: await zooKeeperSubject(zookeeper), runs: 20 },
  { subject: await nacosSubject(nacos), runs: 3 },
];
// After the clients of the harnesses, which would go on looking for them.
after(async () => {
  for (const { subject } of samples) await subject.close();
  await Promise.all([etcd, consul, zookeeper].map((server) => server.stop()));
});

test('every plan is another one, and any seed gives them all', () => {
  const told = ({ shape, moment, fate, sent }: (typeof plans)[number]) => `${shape}, ${moment}, ${fate}, ${sent}`;
  assert.equal(plans.length, 1_200);
  assert.equal(new Set(plans.map(told)).size, plans.length);
  assert.equal(racePlans(SEED + 1).length, plans.length);
  assert.deepEqual(racePlans(SEED), plans);
});

describe('a leader that stood still, and goes on after another one has claimed, undoes nothing', {
  concurrency: true,
}, () => {
  for (const { subject, runs } of samples) {
    test(`in ${subject.name}, in ${runs} of all the ways`, async (t) => {
      const tally = await playRaces([subject], plans.slice(0, runs));
      t.diagnostic(toldTally(tally));
      assert.deepEqual(tally.wrong, []);
      if (tally.compared) assert.ok(tally.told.ok > 0 && tally.told.fenced > 0, 'it was never early, or never late');
    });
  }
});

test('one that has claimed nothing would be found out', async () => {
  const subject = memorySubject();
  const claimless: RaceSubject = {
    ...subject,
    openOld(retry) {
      const { registry, line } = subject.openOld(retry);
      return { line, registry: { ...registry, claim: async () => {} } };
    },
  };
  // Of a whole batch that arrives after everything else.
  const late = plans.filter(
    ({ sent, moment, fate }) => sent === 0 && moment === 'after the second write' && fate === 'arrives',
  );
  const { wrong } = await playRaces([claimless], late);
  for (const one of ['lost: what the new leader wrote', 'the old leader wrote', 'something was written after'])
    assert.ok(wrong.filter((text) => text.includes(one)).length >= late.length, one);
});
