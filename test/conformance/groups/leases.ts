import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Instance } from '../../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../../src/registries/registry.ts';
import { until } from '../../servers/until.ts';
import { assertOk, assertSame, never, stored } from '../expectations.ts';
import type { Collect, Leasing, Subject } from '../harness.ts';
import { deregister, freshCluster, register, sampleOf, update } from '../samples.ts';

/** What a busy machine may add to the time after which an entry is gone. */
const LATE_MS = 15_000;

/** Entries that vanish with their writer, where they are claimed. */
export function leases({ leasing, open, peek }: Subject, it: Collect): void {
  if (leasing === undefined) return;

  it('what is leased goes some time after its writer was killed or closed, unless another client took it over; all else stays', async () => {
    const cluster = freshCluster();
    const clients: ServiceRegistry[] = [];
    const client = (opened: ServiceRegistry) => {
      clients.push(opened);
      return opened;
    };
    const [holder, heir, closing, reader] = [
      client(leasing.open()),
      client(leasing.open()),
      client(leasing.open()),
      client(open()),
    ];
    const entry = (number: number, over: Partial<Instance> = {}) =>
      stored(reader, sampleOf(cluster, { number, liveness: 'leased', ...over }));
    const [held, killed, taken, left] = [entry(1), entry(2, { health: 'draining' }), entry(3), entry(4)];
    const apart = leasing.servicesApart === true ? { service: `${cluster}-stays` } : {};
    const stays = entry(5, { liveness: 'persistent', ...apart });
    const all = [held, killed, taken, left, stays];
    const services = new Set(all.map(({ service }) => service));
    const consumers = async () => {
      const found = await Promise.all([...services].map((service) => reader.discover(service, never)));
      return idsOf(found.flat());
    };

    const writer = await startWriter(leasing, [killed, taken, stays]);
    try {
      assertOk(await holder.apply([register(held)], never));
      assertOk(await closing.apply([register(left)], never));
      assertSame(await peek(cluster), all);
      assertSame(await reader.list(cluster, never), all.map(asOthersSee));
      assert.deepEqual(await consumers(), idsOf(all));
      assertSame(
        (await holder.list(cluster, never)).filter(({ id }) => id === held.id),
        [held],
      );

      assertOk(await heir.apply([update(taken, asOthersSee(taken))], never));
      const ended = performance.now();
      await closing.close();
      await writer.kill();
      const seen = await consumers();
      // On a machine that took this long, they may be gone already.
      if (performance.now() - ended < leasing.vanishesWithinMs / 4) assert.deepEqual(seen, idsOf(all));

      const remaining = [held, taken, stays];
      await until(
        'what nobody holds to be gone',
        async () => {
          const now = await consumers();
          for (const { id } of remaining) assert.ok(now.includes(id), `${id} is gone, though nothing ended it`);
          return now.length === remaining.length ? true : undefined;
        },
        leasing.vanishesWithinMs + LATE_MS,
      );
      assertSame(await peek(cluster), remaining);
      const listed = await reader.list(cluster, never);
      assertSame(
        listed.filter(({ id }) => remaining.some((one) => one.id === id)),
        remaining.map(asOthersSee),
      );
      for (const { liveness } of listed) assert.notEqual(liveness, 'leased');

      // What lapsed is written again, or removed, like anything else.
      assertOk(await heir.apply([update(killed, asOthersSee(killed)), deregister(left)], never));
      assertSame(await peek(cluster), [...remaining, killed]);
      assertSame(await heir.list(cluster, never), [asOthersSee(held), killed, taken, stays]);
      assert.deepEqual(await consumers(), idsOf([...remaining, killed]));
    } finally {
      await writer.kill();
      for (const one of clients) await one.close();
    }
  });
}

const idsOf = (instances: readonly Instance[]) => instances.map(({ id }) => id).sort();

const asOthersSee = (instance: Instance): Instance =>
  instance.liveness === 'leased' ? { ...instance, liveness: 'lapsing' } : instance;

/** A client that has written these, in a process of its own where that is possible. */
async function startWriter(
  { open, config, secrets }: Leasing,
  instances: readonly Instance[],
): Promise<{ kill(): Promise<void> }> {
  if (config === undefined) {
    const client = open();
    assertOk(await client.apply(instances.map(register), never));
    return { kill: () => client.close() };
  }
  const program = join(import.meta.dirname, 'lease-writer.ts');
  const child = spawn(process.execPath, [program, JSON.stringify({ config, secrets, instances })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  const [said] = await Promise.race([once(child.stdout, 'data'), ended]);
  if (String(said).startsWith('written')) return { kill };
  await kill();
  return assert.fail('the writer ended before it had written');
}
