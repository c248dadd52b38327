// The suite itself is tested: wrong registries that it must reject, each in the group that is named.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { dressed, GROUPS, type GroupName } from './conformance.ts';
import type { Subject } from './harness.ts';
import { memoryHarness } from './memory-harness.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import { atADistance } from './mutants-line.ts';

const groups = Object.keys(GROUPS) as GroupName[];

interface Collected {
  readonly name: string;
  readonly test: () => Promise<void>;
}

async function subjectOf(mutate: Mutant['mutate']): Promise<Subject> {
  const entries = new Map<string, Instance>();
  const harness = dressed(atADistance(memoryHarness(entries)), (client: ServiceRegistry) => mutate(client, entries));
  const client = harness.open();
  await client.close();
  return { ...harness, capabilities: client.capabilities, told: undefined };
}

function testsOf(group: GroupName, subject: Subject): readonly Collected[] {
  const tests: Collected[] = [];
  for (const part of GROUPS[group]) part(subject, (name, test) => tests.push({ name, test }));
  return tests;
}

describe('a Memory that is right', () => {
  for (const group of groups) {
    it(`passes ${group}, which has tests for it`, async () => {
      const tests = testsOf(group, await subjectOf((client) => client));
      assert.ok(tests.length > 0);
      for (const { test } of tests) await test();
    });
  }
});

describe('a Memory that', () => {
  for (const { name, group, mutate } of MUTANTS) {
    it(`${name} is rejected by ${group}`, async () => {
      for (const { test } of testsOf(group, await subjectOf(mutate))) {
        const failure = await test().then(
          () => undefined,
          (error: unknown) => error,
        );
        if (failure !== undefined) return;
      }
      assert.fail('the group passes');
    });
  }

  it('is wrong is there for each group', () => {
    const rejecting = new Set(MUTANTS.map(({ group }) => group));
    assert.deepEqual(
      groups.filter((group) => !rejecting.has(group)),
      [],
    );
  });
});
