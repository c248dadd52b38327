// No evidence: whatever stands and is not wanted goes.
import type { Plan, Removal } from '../../../src/mirror/change.ts';
import { planChanges as plan } from '../../../src/mirror/plan.ts';

export function planChanges(...args: Parameters<typeof plan>): Plan {
  const { changes, leftAlone } = plan(...args);
  const held = leftAlone.filter(({ because }) => because === 'unconfirmed' || because === 'no-endpoint-slices');
  const removals = held.map(
    ({ instance }): Removal => ({
      action: 'deregister',
      instance,
      reason: 'NotSelected',
      evidence: 'NewerVersion',
    }),
  );
  return { changes: [...changes, ...removals], leftAlone: leftAlone.filter((one) => !held.includes(one)) };
}
