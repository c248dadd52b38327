// A list of the registry is newer than every acknowledgement that came before it, whenever it was asked for.
import { createLedger as create, type Ledger } from '../../../src/operator/registry/ledger.ts';

export function createLedger(): Ledger {
  const ledger = create();
  return Object.create(ledger, {
    beginList: {
      value: () => (instances: Parameters<ReturnType<Ledger['beginList']>>[0]) => ledger.beginList()(instances),
    },
  });
}
