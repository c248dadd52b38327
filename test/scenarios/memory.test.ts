// The scenarios by the operator as it is run, on a real control plane, with the registry that it holds itself.
import assert from 'node:assert/strict';
import type { Instance } from '../../src/mirror/instance.ts';
import { openBareStage, testTraces } from '../e2e/stage.ts';
import { testOnCluster } from './cluster-world.ts';
import { memorySpec } from './registries.ts';
import { readScenarios } from './scenario-file.ts';

const stage = await openBareStage();

/** As the operator shows it over HTTP; nothing of one that it has not opened yet. */
async function entriesOf(registry: string): Promise<readonly Instance[]> {
  const { status, text } = await stage.operator.get(`/registries/${registry}`);
  if (status === 404) return [];
  assert.equal(status, 200, text);
  return JSON.parse(text).instances;
}

await testOnCluster(stage, readScenarios(import.meta.dirname), [
  {
    name: 'Memory',
    spec: memorySpec,
    peek: async (registries) => (await Promise.all(registries.map(entriesOf))).flat(),
  },
]);

testTraces(stage);
