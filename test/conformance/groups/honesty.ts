import assert from 'node:assert/strict';
import fc from 'fast-check';
import { instances } from '../../registries/arbitrary-instance.ts';
import { assertOk, assertSame, assertSentence, failureOf, never, stored, using } from '../expectations.ts';
import type { Collect, Subject } from '../harness.ts';
import { freshCluster, nastySamples, register, sampleOf, samplesOf } from '../samples.ts';
import { watching } from '../watching.ts';
import { errors } from './errors.ts';

export function honesty(subject: Subject, it: Collect): void {
  claims(subject, it);
  predictions(subject, it);
  errors(subject, it);
}

/** What the registry says of itself. */
function claims({ capabilities, leasing, ...harness }: Subject, it: Collect): void {
  const { batchSize, leased, watch, kv, fenced } = capabilities;

  const kinds = leased
    ? 'leased entries stand as leased, and others beside them as persistent'
    : 'a leased entry is refused by normalise';
  it(kinds, () =>
    using(leasing?.open ?? harness.open, async (registry) => {
      assert.equal(leasing !== undefined, leased, 'the harness has leases when the registry claims them');
      const cluster = freshCluster();
      const apart = leasing?.servicesApart === true ? { service: `${cluster}-stays` } : {};
      const asked = [sampleOf(cluster, { liveness: 'leased' }), sampleOf(cluster, { number: 2, ...apart })] as const;
      if (!leased) {
        const answer = registry.normalise(asked[0]);
        return assertSentence(answer.ok ? assert.fail('normalise took it') : answer.message);
      }
      const both = asked.map((instance) => stored(registry, instance));
      assert.deepEqual(
        both.map(({ liveness }) => liveness),
        ['leased', 'persistent'],
      );
      assertOk(await registry.apply(both.map(register), never));
      assertSame(await registry.list(cluster, never), both);
      assertSame(await harness.peek(cluster), both);
    }),
  );

  for (const kind of ['cluster', 'service'] as const) {
    it(`a watch of a ${kind} ${watch ? 'stands' : 'is unsupported, and gives no hint'}`, () =>
      using(harness.open, async (registry) => {
        const cluster = freshCluster();
        const scope = kind === 'cluster' ? { cluster } : { service: `${cluster}-web` };
        const attempt = (onHint: () => void, signal: AbortSignal) => registry.watch(scope, onHint, signal);
        if (watch) return (await watching(attempt)).abort();
        const hinted = Promise.withResolvers<never>();
        const failure = failureOf(attempt(() => hinted.reject(new Error('a hint came')), never));
        assert.equal((await Promise.race([failure, hinted.promise])).code, 'unsupported');
      }));
  }

  it(`key-value pairs ${kv ? 'are kept' : 'are unsupported, and change nothing'}`, () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const ours = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([register(ours)], never));
      const before = await harness.revision(cluster);
      const { service } = ours;
      if (kv) {
        await registry.kv.put(service, 'key', 'value', never);
        assert.equal(await registry.kv.get(service, 'key', never), 'value');
        await registry.kv.put(service, 'key', undefined, never);
      } else {
        const calls = [
          () => registry.kv.get(service, 'key', never),
          () => registry.kv.put(service, 'key', 'value', never),
          () => registry.kv.put(service, 'key', undefined, never),
          () => registry.kv.watch(service, 'key', () => {}, never),
        ];
        for (const call of calls) assert.equal((await failureOf(call())).code, 'unsupported');
      }
      assert.equal(await harness.revision(cluster), before);
      assertSame(await registry.discover(service, never), [ours]);
    }));

  it(`a claim ${harness.claimOf === undefined ? 'is unsupported, and changes nothing' : 'leaves a record'}`, () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const claimed = registry.claim({ cluster, owner: 'roster/us' }, never);
      if (harness.claimOf !== undefined) {
        await claimed;
        assert.equal(await harness.claimOf(cluster), 'roster/us');
      } else {
        assert.ok(!fenced, 'it compares what nobody can claim');
        assert.equal((await failureOf(claimed)).code, 'unsupported');
        assertOk(await registry.apply([register(stored(registry, sampleOf(cluster)))], never));
        await registry.check(never);
      }
    }));

  it('a batch of the size that it asks for is taken, and one more', () =>
    using(harness.open, async (registry) => {
      assert.ok(Number.isInteger(batchSize) && batchSize > 0);
      const cluster = freshCluster();
      const all = samplesOf(cluster, batchSize + 1).map((instance) => stored(registry, instance));
      assertOk(await registry.apply(all.slice(1).map(register), never));
      assertOk(await registry.apply(all.map(register), never));
      assertSame(await registry.list(cluster, never), all);
    }));
}

/** What `normalise` says beforehand. */
function predictions(harness: Subject, it: Collect): void {
  it('what normalise gives is what consumers get, whatever else they get', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const places = new Set<string>();
      const taken = [...nastySamples(cluster).values()].flatMap((sample, number) => {
        const place = `${sample.service} ${sample.address} ${sample.port}`;
        const apart =
          harness.onePerPlace === true && places.has(place) ? { service: `${sample.service}-${number}` } : {};
        places.add(place);
        const answer = registry.normalise({ ...sample, ...apart, id: `${cluster}/${number}` });
        return answer.ok ? [answer.instance] : [];
      });
      assertOk(await registry.apply(taken.map(register), never));
      for (const service of new Set(taken.map((instance) => instance.service))) {
        const found = await registry.discover(service, never);
        assertSame(
          found.filter(({ marks }) => marks.cluster === cluster),
          taken.filter((instance) => instance.service === service && harness.hides?.(instance) !== true),
        );
      }
    }));

  it('normalise answers whatever it is asked, and refuses in one sentence', () =>
    using(harness.open, async (registry) => {
      fc.assert(
        fc.property(instances('unset'), (instance) => {
          const answer = registry.normalise(instance);
          if (answer.ok) assert.equal(answer.instance.id, instance.id);
          else assertSentence(answer.message);
        }),
        { numRuns: 300 },
      );
    }));
}
