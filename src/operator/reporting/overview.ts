import type { Registration, RegistryObject } from '../../api/kinds.generated.ts';
import type { Instance } from '../../mirror/instance.ts';
import type { StatusPage } from '../../telemetry/status-page.ts';
import { allRegistrations, type Caches } from '../cluster/caches.ts';
import type { Leadership } from '../leading/leadership.ts';
import type { RegistrySet } from '../registry/registry-set.ts';
import type { Outcomes } from './outcomes.ts';

/** What the operator shows of itself over HTTP. */

export type Summary = Pick<StatusPage, 'registries' | 'registrations'>;

export function summarise(caches: Caches, registries: RegistrySet, outcomes: Outcomes): Summary {
  return {
    registries: [...registries.ids()].flatMap((id) => {
      const slot = registries.get(id);
      if (slot === undefined) return [];
      const { desired, standing } = outcomes.totals(id);
      const { object, worker } = slot;
      const up = worker?.link.state === 'up';
      const owned = worker?.ledger.size ?? 0;
      return [{ name: shortName(object), type: object.spec.type, up, desired, registered: standing, owned }];
    }),
    registrations: readiness(allRegistrations(caches)),
  };
}

function readiness(registrations: readonly Registration[]): Summary['registrations'] {
  const ready = registrations.filter(({ status }) =>
    status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
  );
  return { total: registrations.length, ready: ready.length };
}

/** Each replica has a Memory registry of its own, and only that of the leader is kept in step. */
export function snapshotOf(
  registries: RegistrySet,
  leadership: Pick<Leadership, 'leads' | 'leader'>,
  name: string,
): readonly Instance[] | { readonly leader: string | undefined } | undefined {
  const id = name.includes('/') ? `Registry/${name}` : `ClusterRegistry/${name}`;
  const snapshot = registries.get(id)?.worker?.registry.snapshot;
  if (snapshot === undefined) return undefined;
  return leadership.leads(id) ? snapshot() : { leader: leadership.leader(id) };
}

/** As people write it: `name`, or `namespace/name` for a namespaced Registry. */
export const shortName = ({ metadata }: RegistryObject): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;

/** The same of an id: `ClusterRegistry/consul` → `consul`, `Registry/shop/consul` → `shop/consul`. */
export const shortId = (id: string): string => id.slice(id.indexOf('/') + 1);
