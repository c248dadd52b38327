// A timer ends the term, and nobody asks the clock before a batch.
import { standForLease as stand } from '../../../src/kubernetes/lease.ts';

export const standForLease: typeof stand = (options) =>
  stand({
    ...options,
    onTerm: ({ signal }) => options.onTerm({ signal, isValid: () => !signal.aborted }),
  });
