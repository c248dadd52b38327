import assert from 'node:assert/strict';
import type { Change } from '../../../src/mirror/change.ts';
import type { Instance } from '../../../src/mirror/instance.ts';
import type { RegistryErrorCode } from '../../../src/registries/error.ts';
import type { ServiceRegistry } from '../../../src/registries/registry.ts';
import { until } from '../../servers/until.ts';
import {
  assertOk,
  assertSame,
  assertStanding,
  assertTold,
  failureIn,
  failureOf,
  never,
  stored,
  using,
} from '../expectations.ts';
import type { Collect, Harness, Subject } from '../harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from '../samples.ts';
import { watching } from '../watching.ts';

const US = 'roster/us';
const THEM = 'roster/them:2';

/** The harness of a registry that takes claims. */
type Claiming = Subject & Required<Pick<Harness, 'claimOf' | 'dropClaim'>>;

export function fencing(subject: Subject, it: Collect): void {
  const { claimOf, dropClaim } = subject;
  if (claimOf === undefined || dropClaim === undefined) return;
  const claiming = { ...subject, claimOf, dropClaim };
  records(claiming, it);
  checks(claiming, it);
  // Where the server compares nothing, a claim tells two operators apart, and `check` says who came last.
  if (subject.capabilities.fenced) batches(claiming, it);
}

/** The record, and who may replace it. */
function records(harness: Claiming, it: Collect): void {
  const { told } = harness;
  it('a claim changes no entry, and is neither listed nor discovered', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      await registry.claim({ cluster, owner: US }, never);
      await assertStanding(harness, registry, cluster, []);
      const ours = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([register(ours)], never));
      const before = await harness.revision(cluster);
      await registry.claim({ cluster, owner: US }, never);
      assert.equal(await harness.revision(cluster), before);
      assert.equal(await harness.claimOf(cluster), US);
      await assertStanding(harness, registry, cluster, [ours]);
      assertSame(await registry.discover(ours.service, never), [ours]);
    }));

  if (harness.capabilities.watch) {
    it('own claims give the watch of a cluster no hint, or seldom', () =>
      using(harness.open, (registry) =>
        using(harness.open, async (other) => {
          const cluster = freshCluster();
          const claims = 8;
          const view = await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));
          for (let n = 0; n < claims; n++) await registry.claim({ cluster, owner: US }, never);
          const noticed = view.hints() - 1;
          // A hint of a claim would have come before that of what happened after it.
          assertOk(await other.apply([register(stored(other, sampleOf(cluster)))], never));
          await until('the hint of another client', async () => (view.hints() > 1 + noticed ? true : undefined));
          assert.ok(view.hints() - 1 < claims, `${view.hints() - 1} hints of ${claims} claims and a change`);
          view.abort();
        }),
      ));
  }

  it("another owner's claim is owned, and left as it is: who holds it goes on", () =>
    using(harness.open, (ours) =>
      using(harness.open, async (theirs) => {
        const cluster = freshCluster();
        await ours.claim({ cluster, owner: US }, never);
        for (const adopt of [undefined, 'roster/nobody']) {
          const asked = { cluster, owner: THEM, ...(adopt === undefined ? {} : { adopt }) };
          const refused = await failureOf(theirs.claim(asked, never));
          assert.equal(refused.code, 'owned');
          assert.ok(refused.message.includes(US), 'nobody could tell whose it is');
          assertTold(refused, 'claim', told);
        }
        assert.equal(await harness.claimOf(cluster), US);
        await ours.check(never);
        assertOk(await ours.apply([register(stored(ours, sampleOf(cluster)))], never));
      }),
    ));

  it('who adopts another owner takes over from it', () =>
    using(harness.open, (ours) =>
      using(harness.open, async (theirs) => {
        const cluster = freshCluster();
        await ours.claim({ cluster, owner: US }, never);
        await theirs.claim({ cluster, owner: THEM, adopt: US }, never);
        assert.equal(await harness.claimOf(cluster), THEM);
        await theirs.check(never);
        assert.equal((await failureOf(ours.check(never))).code, 'fenced');
        assert.equal((await failureOf(ours.claim({ cluster, owner: US }, never))).code, 'owned');
        assertOk(await theirs.apply([register(stored(theirs, sampleOf(cluster)))], never));
      }),
    ));

  it('nobody needs to be there to be adopted', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      for (const adopt of [THEM, US]) await registry.claim({ cluster, owner: US, adopt }, never);
      assert.equal(await harness.claimOf(cluster), US);
    }));

  it('the record outlives the client that left it', async () => {
    const cluster = freshCluster();
    const first = harness.open();
    await first.claim({ cluster, owner: US }, never);
    await first.close();
    assert.equal(await harness.claimOf(cluster), US);
    await using(harness.open, async (next) => {
      assert.equal((await failureOf(next.claim({ cluster, owner: THEM }, never))).code, 'owned');
      await next.claim({ cluster, owner: US }, never);
      assertOk(await next.apply([register(stored(next, sampleOf(cluster)))], never));
    });
  });

  it('a name of an owner is written as it is, or invalid', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      for (const owner of ['', 'a b', 'a\n', 'ιστός', '{}', 'a'.repeat(201)]) {
        assert.equal((await failureOf(registry.claim({ cluster, owner }, never))).code, 'invalid');
        assert.equal(await harness.claimOf(cluster), undefined);
      }
      const long = 'Az09-_./:'.repeat(30).slice(0, 200);
      for (const [owner, adopt] of [
        [long, long],
        ['1', long],
        ['10.0.0.1:80', '1'],
      ] as const) {
        await registry.claim({ cluster, owner, adopt }, never);
        assert.equal(await harness.claimOf(cluster), owner);
      }
    }));

  it('a claim that was cancelled beforehand, or comes after close, leaves none', async () => {
    const cluster = freshCluster();
    const registry = harness.open();
    const aborted = registry.claim({ cluster, owner: US }, AbortSignal.abort());
    assert.equal((await failureOf(aborted)).code, 'aborted');
    await registry.close();
    assert.equal((await failureOf(registry.claim({ cluster, owner: US }, never))).code, 'closed');
    assert.equal(await harness.claimOf(cluster), undefined);
  });
}

/** Who came last, as `check` tells it. */
function checks(harness: Claiming, it: Collect): void {
  const { link } = harness;
  it('of the claims of one owner the last holds, and one that is gone holds no more', () =>
    using(harness.open, (first) =>
      using(harness.open, async (second) => {
        const cluster = freshCluster();
        const claim = { cluster, owner: US };
        await first.claim(claim, never);
        await first.check(never);
        await second.claim(claim, never);
        await second.check(never);
        assert.equal((await failureOf(first.check(never))).code, 'fenced');
        await first.claim(claim, never);
        await first.check(never);
        assert.equal((await failureOf(second.check(never))).code, 'fenced');
        await harness.dropClaim(cluster);
        assert.equal((await failureOf(first.check(never))).code, 'fenced');
        await first.claim(claim, never);
        await first.check(never);
      }),
    ));

  it('of many who claim at once exactly one holds it in the end', async () => {
    const cluster = freshCluster();
    const clients = Array.from({ length: 6 }, () => harness.open());
    try {
      await Promise.all(clients.map((client) => client.claim({ cluster, owner: US }, never)));
      const codes = await Promise.all(clients.map((client) => codeOf(client.check(never))));
      assert.deepEqual(codes.sort(), ['fenced', 'fenced', 'fenced', 'fenced', 'fenced', 'ok']);
      if (!harness.capabilities.fenced) return;
      const wanted = samplesOf(cluster, 6).map((instance) => stored(clients[0] as ServiceRegistry, instance));
      const written = await Promise.all(
        clients.map(async (client, n) => codesIn(client, wanted.slice(n, n + 1).map(register))),
      );
      assert.deepEqual(written.flat().sort(), codes);
      const standing = wanted.filter((_, n) => written[n]?.[0] === 'ok');
      assertSame(await harness.peek(cluster), standing);
    } finally {
      for (const client of clients) await client.close();
    }
  });

  if (link === undefined) return;
  it('a claim whose answer was lost is claimed again', () =>
    using(link.open, async (registry) => {
      const cluster = freshCluster();
      link.cutNextAnswer();
      await codeOf(registry.claim({ cluster, owner: US }, never));
      link.heal();
      await registry.claim({ cluster, owner: US }, never);
      await registry.check(never);
      assert.equal(await harness.claimOf(cluster), US);
      assertOk(await registry.apply([register(stored(registry, sampleOf(cluster)))], never));
    }));
}

/** What the server compares. */
function batches(harness: Claiming, it: Collect): void {
  const { link, capabilities, told } = harness;
  /** Two entries that stand, written by the first of two clients, and then claimed by the second. */
  const overtaken = (
    open: () => ServiceRegistry,
    test: (one: { first: ServiceRegistry; second: ServiceRegistry; cluster: string; ours: Pair }) => Promise<void>,
  ) =>
    using(open, (first) =>
      using(harness.open, async (second) => {
        const cluster = freshCluster();
        const ours = samplesOf(cluster, 2).map((instance) => stored(first, instance)) as unknown as Pair;
        await first.claim({ cluster, owner: US }, never);
        assertOk(await first.apply(ours.map(register), never));
        await second.claim({ cluster, owner: US }, never);
        await test({ first, second, cluster, ours });
      }),
    );

  /** All of them fail with `fenced`, and nothing is written. */
  async function assertFencedOff(registry: ServiceRegistry, cluster: string, changes: readonly Change[]) {
    const before = await harness.revision(cluster);
    const results = await registry.apply(changes, never);
    assert.equal(results.length, changes.length);
    for (const result of results) {
      const failure = failureIn(result);
      assert.deepEqual([failure.code, failure.ambiguous], ['fenced', false]);
      assertTold(failure, 'apply', told);
    }
    assert.equal(await harness.revision(cluster), before);
  }

  it('after another claim every change of the client before fails with fenced, and nothing is written', () =>
    overtaken(harness.open, async ({ first, second, cluster, ours }) => {
      const [one, two] = ours;
      const changes = [
        update({ ...one, port: 9090 }, one),
        deregister(two),
        register(stored(first, sampleOf(cluster, { number: 3 }))),
        deregister(stored(first, sampleOf(cluster, { number: 4 }))),
        register(stored(first, { ...sampleOf(cluster, { number: 5 }), service: `${cluster}-new` })),
      ];
      for (const change of changes) await assertFencedOff(first, cluster, [change]);
      await assertFencedOff(first, cluster, changes);
      // Knowing nothing of what stands makes no difference.
      await first.list(cluster, never);
      await assertFencedOff(first, cluster, changes);
      await assertStanding(harness, second, cluster, ours);
      assertOk(await second.apply([deregister(two)], never));

      await first.claim({ cluster, owner: US }, never);
      assertSame(await first.list(cluster, never), [one]);
      assertOk(await first.apply([changes[0] as Change], never));
      await assertFencedOff(second, cluster, [deregister(one)]);
      await assertStanding(harness, second, cluster, [{ ...one, port: 9090 }]);
    }));

  it('in an apply of more than one batch too, of which all fits beside the comparison', () =>
    overtaken(harness.open, async ({ first, second, cluster, ours }) => {
      const many = samplesOf(cluster, 2 * capabilities.batchSize + 3)
        .slice(2)
        .map((instance) => stored(first, instance));
      await assertFencedOff(first, cluster, [...ours.map(deregister), ...many.map(register)]);
      assertOk(await second.apply([...ours.map(deregister), ...many.map(register)], never));
      await assertStanding(harness, second, cluster, many);
      await assertFencedOff(first, cluster, many.map(deregister));
    }));

  it('where the record is gone nothing is written until it is claimed again', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const [one, two] = samplesOf(cluster, 2).map((instance) => stored(registry, instance)) as unknown as Pair;
      await registry.claim({ cluster, owner: US }, never);
      assertOk(await registry.apply([register(one)], never));
      await harness.dropClaim(cluster);
      await assertFencedOff(registry, cluster, [register(two), deregister(one)]);
      assert.equal(await harness.claimOf(cluster), undefined);
      await registry.claim({ cluster, owner: US }, never);
      assertOk(await registry.apply([register(two), deregister(one)], never));
      await assertStanding(harness, registry, cluster, [two]);
    }));

  it('who was adopted, and whose claim is refused since, stays fenced off', () =>
    overtaken(harness.open, async ({ first, second, cluster, ours }) => {
      await second.claim({ cluster, owner: THEM, adopt: US }, never);
      assert.equal((await failureOf(first.claim({ cluster, owner: US }, never))).code, 'owned');
      await assertFencedOff(first, cluster, ours.map(deregister));
      assertOk(await second.apply([deregister(ours[0])], never));
    }));

  it('a client that has claimed nothing writes without comparing', () =>
    overtaken(harness.open, ({ second, cluster, ours: [one, two] }) =>
      using(harness.open, async (free) => {
        await free.list(cluster, never);
        const moved = { ...one, port: 9090 };
        assertOk(await free.apply([update(moved, one), deregister(two)], never));
        await free.check(never);
        assertOk(await second.apply([register(two)], never));
        await assertStanding(harness, second, cluster, [moved, two]);
      }),
    ));

  it('claims of two clusters do not disturb each other, in one apply either', () =>
    overtaken(harness.open, async ({ first, cluster, ours }) => {
      const other = freshCluster();
      const theirs = samplesOf(other, 2).map((instance) => stored(first, instance)) as unknown as Pair;
      await first.claim({ cluster: other, owner: THEM }, never);
      const changes = [register(theirs[0]), deregister(ours[0]), register(theirs[1]), deregister(ours[1])];
      assert.deepEqual(await codesIn(first, changes), ['ok', 'fenced', 'ok', 'fenced']);
      await assertStanding(harness, first, cluster, ours);
      await assertStanding(harness, first, other, theirs);
    }));

  if (capabilities.leased) {
    it('leased entries are written under a claim, and taken over under the next', () =>
      using(harness.open, (first) =>
        using(harness.open, async (second) => {
          const cluster = freshCluster();
          const ours = stored(first, sampleOf(cluster, { liveness: 'leased' }));
          await first.claim({ cluster, owner: US }, never);
          assertOk(await first.apply([register(ours)], never));
          await second.claim({ cluster, owner: US }, never);
          const [lapsing] = await second.list(cluster, never);
          assert.ok(lapsing !== undefined);
          assertOk(await second.apply([update(ours, lapsing)], never));
          await assertFencedOff(first, cluster, [update({ ...ours, weight: 7 }, ours), deregister(ours)]);
          await assertStanding(harness, second, cluster, [ours]);
        }),
      ));
  }

  it('clients with seats of their own write for one cluster beside each other, and fence off their own predecessors only', () =>
    using(harness.open, (first) =>
      using(harness.open, (second) =>
        using(harness.open, async (successor) => {
          const cluster = freshCluster();
          const [one, two] = samplesOf(cluster, 2).map((instance) => stored(first, instance)) as unknown as Pair;
          for (const [client, seat] of [
            [first, 'a'],
            [second, 'b'],
          ] as const) {
            await client.claim({ cluster, owner: US }, never);
            await client.claim({ cluster, owner: US, seat }, never);
          }
          assertOk(await first.apply([register(one)], never));
          assertOk(await second.apply([register(two)], never));
          await successor.claim({ cluster, owner: US, seat: 'a' }, never);
          await assertFencedOff(first, cluster, [deregister(one)]);
          await second.check(never);
          assertOk(await second.apply([deregister(two)], never));
          await assertStanding(harness, successor, cluster, [one]);
          const other = { cluster, owner: THEM };
          assert.equal(await codeOf(second.claim(other, never)), 'owned');
          assert.equal(await codeOf(second.claim({ ...other, seat: 'b' }, never)), 'owned');
        }),
      ),
    ));

  if (link === undefined) return;
  it('what a frozen client had sent before another claimed is not written over what came after', () =>
    using(link.open, (first) =>
      using(harness.open, async (second) => {
        const cluster = freshCluster();
        const [one, two] = samplesOf(cluster, 2).map((instance) => stored(first, instance)) as unknown as Pair;
        await first.claim({ cluster, owner: US }, never);
        assertOk(await first.apply([register(one)], never));
        link.freeze();
        const late = first.apply([deregister(one), register(two)], never);
        const newer = { ...one, weight: 7 };
        try {
          await second.claim({ cluster, owner: US }, never);
          await second.list(cluster, never);
          assertOk(await second.apply([update(newer, one)], never));
        } finally {
          link.heal();
        }
        // The connection may have been given up before anything could pass.
        for (const result of await late) {
          const { code, ambiguous } = failureIn(result);
          assert.ok(code === 'fenced' || ambiguous || code === 'unreachable', code);
        }
        await assertStanding(harness, second, cluster, [newer]);
        await answered(first);
        await assertFencedOff(first, cluster, [deregister(one), register(two)]);
      }),
    ));
}

type Pair = readonly [Instance, Instance];

const codeOf = (call: Promise<unknown>): Promise<RegistryErrorCode | 'ok'> =>
  call.then(
    () => 'ok',
    async (error) => (await failureOf(Promise.reject(error))).code,
  );

const codesIn = async (registry: ServiceRegistry, changes: readonly Change[]) =>
  (await registry.apply(changes, never)).map((result) => (result.ok ? 'ok' : failureIn(result).code));

/** A client whose connection broke has another after a while. */
async function answered(registry: ServiceRegistry): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await codeOf(registry.check(never))) === 'fenced') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail('the client that was frozen does not hear that it is fenced off');
}
