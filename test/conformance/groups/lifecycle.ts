import assert from 'node:assert/strict';
import { assertOk, assertStanding, failureOf, never, stored, using } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { freshCluster, register, sampleOf } from '../samples.ts';

export function lifecycle(harness: Harness, it: Collect): void {
  it('after close, which may be called twice, every operation rejects with closed', async () => {
    const registry = harness.open();
    await registry.check(never);
    await registry.close();
    await registry.close();
    const calls = [
      () => registry.apply([register(sampleOf(freshCluster()))], never),
      () => registry.list(freshCluster(), never),
      () => registry.discover('web', never),
      () => registry.check(never),
    ];
    for (const call of calls) assert.equal((await failureOf(call())).code, 'closed');
  });

  it('an apply of nothing rejects too after close', async () => {
    const registry = harness.open();
    await registry.close();
    assert.equal((await failureOf(registry.apply([], never))).code, 'closed');
  });

  it('entries outlive the client that wrote them', async () => {
    const cluster = freshCluster();
    const writer = harness.open();
    const instance = stored(writer, sampleOf(cluster));
    assertOk(await writer.apply([register(instance)], never));
    await writer.close();
    await using(harness.open, (reader) => assertStanding(harness, reader, cluster, [instance]));
  });

  it('a client may be closed while it is at work', async () => {
    const registry = harness.open();
    const calls = [registry.list(freshCluster(), never), registry.check(never)];
    await registry.close();
    for (const outcome of await Promise.allSettled(calls)) {
      if (outcome.status === 'rejected') assert.equal((await failureOf(Promise.reject(outcome.reason))).code, 'closed');
    }
  });
}
