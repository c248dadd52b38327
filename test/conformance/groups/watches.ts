import assert from 'node:assert/strict';
import type { Instance } from '../../../src/mirror/instance.ts';
import type { Scope, ServiceRegistry } from '../../../src/registries/registry.ts';
import { assertOk, failureOf, never, stored, using } from '../expectations.ts';
import type { Collect, Subject } from '../harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf, update } from '../samples.ts';
import { watching } from '../watching.ts';
import { type Following, following } from './following.ts';

/** Hints, where they are claimed. */
export function watches({ capabilities, intruder, open }: Subject, it: Collect): void {
  if (!capabilities.watch) return;

  for (const kind of ['cluster', 'service'] as const) {
    it(`who watches a ${kind}, and reads after each hint alone, misses nothing of what others do`, () =>
      using(open, (registry) =>
        using(open, async (other) => {
          const cluster = freshCluster();
          const [one, two, three] = samplesOf(cluster, 3).map((sample) => stored(registry, sample)) as Three;
          assertOk(await registry.apply([one, two].map(register), never));
          const view = await followingOf(registry, kind, one);
          await view.reach(shown([one, two]));

          await intruder.setPort(one, 9999);
          await view.reach(shown([{ ...one, port: 9999 }, two]));
          await intruder.remove(two);
          await view.reach(shown([{ ...one, port: 9999 }]));
          assertOk(await other.apply([register(three)], never));
          await view.reach(shown([{ ...one, port: 9999 }, three]));
          assertOk(await other.apply([update(one, { ...one, port: 9999 }), deregister(three)], never));
          await view.reach(shown([one]));
          if (kind === 'service') {
            await intruder.addStranger(one.service);
            const seen = await registry.discover(one.service, never);
            assert.equal(seen.length, 2);
            await view.reach(shown(seen));
          }
          view.abort();
          assert.equal((await view.ended).code, 'aborted');
        }),
      ));

    for (const code of ['aborted', 'closed'] as const) {
      it(`a watch of a ${kind} rejects when it is ${code}, and gives no hint any more`, () =>
        using(open, async (other) => {
          const registry = open();
          try {
            const cluster = freshCluster();
            const one = stored(registry, sampleOf(cluster));
            const ending = await watching((onHint, signal) => registry.watch(scopeOf(kind, one), onHint, signal));
            const beside = code === 'aborted' ? await followingOf(registry, kind, one) : undefined;
            const witness = await followingOf(other, kind, one);
            if (code === 'aborted') ending.abort();
            else await registry.close();
            assert.equal((await ending.ended).code, code);
            const hints = ending.hints();
            await using(open, async (writer) => assertOk(await writer.apply([register(one)], never)));
            await witness.reach(shown([one]));
            // Another watch of the same client goes on.
            await beside?.reach(shown([one]));
            assert.equal(ending.hints(), hints);
          } finally {
            await registry.close();
          }
        }));
    }

    it(`a watch of a ${kind} with a signal that was aborted before gives no hint`, () =>
      using(open, async (registry) => {
        let hints = 0;
        const scope = scopeOf(kind, sampleOf(freshCluster()));
        const failure = await failureOf(registry.watch(scope, () => hints++, AbortSignal.abort()));
        assert.deepEqual([failure.code, hints], ['aborted', 0]);
      }));
  }

  it('acknowledged writes of its own client give the watch of a cluster no hint, or seldom where others write too', () =>
    using(open, (registry) =>
      using(open, async (other) => {
        const cluster = freshCluster();
        const one = stored(registry, sampleOf(cluster));
        const own = await watching((onHint, signal) => registry.watch({ cluster }, onHint, signal));
        const witness = await followingOf(other, 'cluster', one);
        const states: readonly (readonly Instance[])[] = [
          [one],
          [{ ...one, weight: 7 }],
          [{ ...one, health: 'unhealthy' }],
          [],
        ];
        let before: readonly Instance[] = [];
        let noticed = 0;
        for (const state of [...states, ...states]) {
          const hints = own.hints();
          const [was] = before;
          const [now] = state;
          const change = now === undefined ? deregister(one) : was === undefined ? register(now) : update(now, was);
          assertOk(await registry.apply([change], never));
          await witness.reach(shown(state));
          if (own.hints() > hints) noticed++;
          before = state;
        }
        assert.ok(noticed < states.length, `${noticed} of ${2 * states.length} own writes gave a hint`);
      }),
    ));
}

type Three = [Instance, Instance, Instance];

const scopeOf = (kind: 'cluster' | 'service', { service, marks }: Instance): Scope =>
  kind === 'cluster' ? { cluster: marks.cluster } : { service };

/** What differs in these tests. */
const shown = (instances: readonly Instance[]) =>
  instances.map(({ id, port, weight, health }) => `${id} ${port} ${weight} ${health}`).sort();

function followingOf(
  registry: ServiceRegistry,
  kind: 'cluster' | 'service',
  { service, marks }: Instance,
): Promise<Following<readonly string[]>> {
  const read = async () =>
    shown(await (kind === 'cluster' ? registry.list(marks.cluster, never) : registry.discover(service, never)));
  return following(
    (onHint, signal) => registry.watch(scopeOf(kind, { service, marks } as Instance), onHint, signal),
    read,
  );
}
