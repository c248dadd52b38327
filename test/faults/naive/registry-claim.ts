// Whoever has claimed leads, without asking once more.
import { createRegistryClaim as create } from '../../../src/operator/leading/registry-claim.ts';

export const createRegistryClaim: typeof create = (options) => {
  const { terms } = options;
  const claim = create(options);
  return { ...claim, confirmed: async () => terms.current !== undefined };
};
