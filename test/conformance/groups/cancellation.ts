import assert from 'node:assert/strict';
import type { ServiceRegistry } from '../../../src/registries/registry.ts';
import { until } from '../../servers/until.ts';
import { assertOk, assertStanding, failureOf, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { freshCluster, register, sampleOf, samplesOf } from '../samples.ts';

const operations: readonly [string, (registry: ServiceRegistry, signal: AbortSignal) => Promise<unknown>][] = [
  ['apply', (registry, signal) => registry.apply([register(sampleOf(freshCluster()))], signal)],
  ['list', (registry, signal) => registry.list(freshCluster(), signal)],
  ['discover', (registry, signal) => registry.discover('nobody', signal)],
  ['check', (registry, signal) => registry.check(signal)],
];

export function cancellation({ link, ...harness }: Harness, it: Collect): void {
  for (const [name, call] of operations) {
    it(`${name} with a signal that was aborted before does nothing`, () =>
      using(harness.open, async (registry) => {
        assert.equal((await failureOf(call(registry, AbortSignal.abort()))).code, 'aborted');
      }));

    if (link === undefined) continue;
    it(`${name} ends with its signal while the server is silent, and leaves no connection`, async () => {
      // No time-out below the deadline of the test: only the signal can end the call.
      await using(link.open, async (registry) => {
        await registry.check(never);
        link.freeze();
        const abort = new AbortController();
        const call_ = failureOf(call(registry, abort.signal));
        setImmediate(() => abort.abort());
        const failure = await call_;
        assert.equal(failure.code, 'aborted');
        assert.equal(failure.ambiguous, name === 'apply');
        link.heal();
      });
      await until('all connections to close', async () => (link.connections() === 0 ? true : undefined));
    });
  }

  it('a client goes on after a cancelled call', () =>
    using(harness.open, async (registry) => {
      const cluster = freshCluster();
      const instances = samplesOf(cluster, 300).map((instance) => stored(registry, instance));
      const abort = new AbortController();
      const cancelled = registry.apply(instances.map(register), abort.signal).catch(() => undefined);
      setImmediate(() => abort.abort());
      await cancelled;
      assertOk(await registry.apply(instances.map(register), never));
      await assertStanding({ ...harness, link }, registry, cluster, instances);
    }));
}
