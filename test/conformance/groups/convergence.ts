import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Change } from '../../../src/mirror/change.ts';
import { type Instance, sameInstance } from '../../../src/mirror/instance.ts';
import { assertOk, assertSame, assertStanding, never, stored } from '../expectations.ts';
import type { Collect, Harness } from '../harness.ts';
import { deregister, freshCluster, register, sampleOf, update } from '../samples.ts';

/** One desired instance: which of twelve, under which of two names, and in what state. */
const wish = fc.record({
  number: fc.integer({ min: 1, max: 12 }),
  service: fc.constantFrom('web', 'api'),
  health: fc.constantFrom('healthy', 'draining', 'unhealthy'),
  weight: fc.constantFrom(0, 1, 100),
  team: fc.constantFrom('shop', 'search'),
});

const step = fc.record({
  wishes: fc.uniqueArray(wish, { selector: ({ number }) => number, maxLength: 12 }),
  before: fc.constantFrom('nothing', 'drift', 'removal', 'another client'),
  /** Whether the decision is taken from a new list, or from what was acknowledged. */
  informed: fc.boolean(),
});

type Steps = readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[];

/** What the client has not heard of is gone already when the next one comes to change it, and then when one comes to remove it. */
const twiceBehindItsBack: Steps = (['nothing', 'removal', 'drift', 'removal', 'nothing'] as const).map((before) => ({
  wishes: [{ number: 1, service: 'web', health: 'healthy', weight: 1, team: 'shop' }],
  before,
  informed: false,
}));

export function convergence(harness: Harness, it: Collect): void {
  const stands = 'what is wanted last stands; strangers stay';
  it(`after two intrusions of which the client has not heard ${stands}`, () => converges(harness, twiceBehindItsBack));

  // Each of a few, since a registry that shows late what was written takes long over one.
  for (const part of ['', ', again', ', once more']) {
    it(`whatever is wanted one after the other, with intrusions in between, ${stands}${part}`, () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => converges(harness, steps)),
        { numRuns: 5 },
      ));
  }
}

async function converges(harness: Harness, steps: Steps): Promise<void> {
  const cluster = freshCluster();
  const strangers = [
    await harness.intruder.addStranger(`${cluster}-web`),
    await harness.intruder.addStranger(`${cluster}-api`),
  ];
  const clients = [harness.open(), harness.open()];
  let registry = clients[0] ?? assert.fail();
  let known = new Map<string, Instance>();
  try {
    for (const { wishes, before, informed } of steps) {
      const [victim] = known.values();
      if (before === 'another client') registry = clients.find((one) => one !== registry) ?? assert.fail();
      if (before === 'drift' && victim !== undefined) await harness.intruder.setPort(victim, 9999);
      if (before === 'removal' && victim !== undefined) await harness.intruder.remove(victim);
      if (informed) known = byId(await registry.list(cluster, never));
      const wanted = wishes.map((one) => stored(registry, instanceOf(cluster, one)));
      assertOk(await registry.apply(changes(known, wanted), never));
      if (informed) assertSame(await harness.peek(cluster), wanted);
      known = byId(wanted);
    }
    // An intrusion that no later decision knew of is found by the next list.
    const wanted = [...known.values()];
    assertOk(await registry.apply(changes(byId(await registry.list(cluster, never)), wanted), never));
    await assertStanding(harness, registry, cluster, wanted);
    for (const stranger of strangers) assert.ok(await stranger.isIntact());
  } finally {
    for (const client of clients) await client.close();
  }
}

const byId = (instances: readonly Instance[]) => new Map(instances.map((instance) => [instance.id, instance]));

function instanceOf(cluster: string, { number, service, health, weight, team }: Steps[number]['wishes'][number]) {
  return sampleOf(cluster, { number, service: `${cluster}-${service}`, health, weight, metadata: { team } });
}

function changes(known: ReadonlyMap<string, Instance>, wanted: readonly Instance[]): Change[] {
  const keep = new Set(wanted.map(({ id }) => id));
  const upserts = wanted.flatMap((instance) => {
    const previous = known.get(instance.id);
    if (previous === undefined) return [register(instance)];
    return sameInstance(previous, instance) ? [] : [update(instance, previous)];
  });
  return [...upserts, ...[...known.values()].filter(({ id }) => !keep.has(id)).map(deregister)];
}
