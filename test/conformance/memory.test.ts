import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { registryConformance } from './conformance.ts';
import { assertOk, failureIn, never, using } from './expectations.ts';
import { memoryHarness } from './memory-harness.ts';
import { deregister, freshCluster, register, sampleOf, samplesOf } from './samples.ts';

registryConformance(memoryHarness(), { support: 'Memory' });

it('Memory refuses what goes over its capacity, and takes it when there is room again', () =>
  using(
    () => openMemory({ capacity: 2 }),
    async (registry) => {
      const [one, two, three] = samplesOf(freshCluster(), 3) as [Instance, Instance, Instance];
      const results = await registry.apply([one, two, three].map(register), never);
      assert.deepEqual(
        results.map(({ ok }) => ok),
        [true, true, false],
      );
      const failure = failureIn(results[2]);
      assert.equal(failure.code, 'too-large');
      assert.match(failure.message, /spec\.memory\.capacity/);
      assertOk(await registry.apply([deregister(one), register({ ...two, port: 1 }), register(three)], never));
    },
  ));

it('nothing that a caller does to what it passed or got reaches what Memory holds', () =>
  using(openMemory, async (registry) => {
    const cluster = freshCluster();
    const instance = { ...sampleOf(cluster), tags: ['a'], metadata: { a: '1' } };
    assertOk(await registry.apply([register(instance)], never));
    instance.tags.push('b');
    instance.metadata.a = '2';
    const [got] = (await registry.list(cluster, never)) as [Instance];
    (got.tags as string[]).push('c');
    const [again] = (await registry.list(cluster, never)) as [Instance];
    assert.deepEqual([again.tags, again.metadata], [['a'], { a: '1' }]);
  }));
