import assert from 'node:assert/strict';
import type { RegistryError } from '../../../src/registries/error.ts';
import type { ServiceRegistry } from '../../../src/registries/registry.ts';
import { assertTold, failureIn, failureOf, never } from '../expectations.ts';
import type { Collect, Subject } from '../harness.ts';
import { freshCluster, register, samplesOf } from '../samples.ts';

export function faults(harness: Subject, it: Collect): void {
  if (harness.faults.length === 0) return;
  for (const fault of harness.faults) {
    for (const operation of fault.operations ?? (['check', 'list', 'discover', 'apply'] as const)) {
      it(`${operation} with ${fault.name} is ${fault.code}`, async () => {
        const { registry, retire } = await fault.open();
        try {
          for (const failure of await failuresOf(registry, operation)) {
            assert.equal(failure.code, fault.code, failure.message);
            assertTold(failure, operation, harness.told);
            if (fault.retryAfterMs !== undefined) assert.equal(failure.retryAfterMs, fault.retryAfterMs);
            if (operation !== 'apply') assert.equal(failure.ambiguous, false);
          }
        } finally {
          await registry.close();
          await retire?.();
        }
      });
    }

    if (fault.operations?.includes('apply') === false) continue;
    it(`a write with ${fault.name} ${fault.ambiguous ? 'may have happened' : 'did not happen'}`, async () => {
      const { registry, retire } = await fault.open();
      try {
        const [first] = await failuresOf(registry, 'apply');
        assert.equal(first?.ambiguous, fault.ambiguous);
      } finally {
        await registry.close();
        await retire?.();
      }
    });
  }
}

async function failuresOf(
  registry: ServiceRegistry,
  operation: 'check' | 'list' | 'discover' | 'apply',
): Promise<readonly RegistryError[]> {
  const cluster = freshCluster();
  switch (operation) {
    case 'check':
      return [await failureOf(registry.check(never))];
    case 'list':
      return [await failureOf(registry.list(cluster, never))];
    case 'discover':
      return [await failureOf(registry.discover('web', never))];
    case 'apply': {
      const results = await registry.apply(samplesOf(cluster, 3).map(register), never);
      assert.equal(results.length, 3);
      return results.map(failureIn);
    }
  }
}
