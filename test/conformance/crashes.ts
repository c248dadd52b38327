import assert from 'node:assert/strict';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import type { ServerProcess } from '../servers/process.ts';
import { assertOk, assertStanding, failureOf, never, stored, using } from './expectations.ts';
import type { Harness } from './harness.ts';
import { deregister, freshCluster, register, sampleOf } from './samples.ts';

interface Crashing {
  /** A server of its own, which keeps its data. */
  readonly server: ServerProcess;
  open(): ServiceRegistry;
  harness(): Promise<Harness>;
}

/** Entries outlive a crash of the server, which is told as such until it is back. Stops the server. */
export async function assertOutlivesCrash({ server, open, harness }: Crashing): Promise<void> {
  const cluster = freshCluster();
  try {
    await using(open, async (registry) => {
      const instance = stored(registry, sampleOf(cluster, { health: 'draining' }));
      assertOk(await registry.apply([register(instance)], never));
      server.kill('SIGKILL');
      const { code } = await failureOf(untilItFails(() => registry.check(never)));
      assert.equal(code, 'unreachable');
      await server.restart();
      await assertStanding(await harness(), registry, cluster, [instance]);
      assertOk(await registry.apply([deregister(instance)], never));
    });
  } finally {
    await server.stop();
  }
}

/** Calls on end. Rejects as the first call does that fails, and resolves when none has after a long while. */
export async function untilItFails(call: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) await call();
}
