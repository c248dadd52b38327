// Whoever has claimed leads, without asking once more.
import { createRegistryClaim as create } from '../../../src/operator/leading/registry-claim.ts';

export const createRegistryClaim: typeof create = (options) => {
  const { terms } = options;
  // Not spread: what it tells of itself changes.
  return Object.create(create(options), { confirmed: { value: async () => terms.current !== undefined } });
};
