// Which entries the cluster asks for, told apart from the product's own decisions: the few rules that the workloads need, from the objects as they stand.
import type { Json } from './api-server.ts';

export interface Objects {
  readonly services: readonly Json[];
  readonly slices: readonly Json[];
  readonly registrations: readonly Json[];
}

/** Ids of the entries. */
export function wantedEntries({ services, slices, registrations }: Objects, cluster: string): ReadonlySet<string> {
  const wanted = new Set<string>();
  const holders = new Map<string, string>();
  const asking = registrations
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .flatMap((registration) =>
      services.filter((one) => isAsked(one, registration, registrations)).map((service) => ({ registration, service })),
    )
    .sort((a, b) => compare(age(a.registration), age(b.registration)));
  for (const { registration, service } of asking) {
    const { name, namespace } = service.metadata;
    const entry = (registration.spec.name ?? '{service}').replace('{service}', name);
    const holder = holders.get(entry);
    if (holder !== undefined && holder !== name) continue;
    holders.set(entry, name);
    for (const slice of slices) {
      const of = slice.metadata.labels['kubernetes.io/service-name'];
      if (slice.metadata.namespace !== namespace || of !== name) continue;
      for (const { addresses, conditions } of slice.endpoints) {
        const ends = conditions.terminating === true && conditions.serving === false;
        if (!ends) wanted.add(`${cluster}/${namespace}/${name}/${addresses[0]}:${slice.ports[0].port}`);
      }
    }
  }
  return wanted;
}

/** A team's own registration goes before automatic mirroring. */
function isAsked({ metadata }: Json, registration: Json, all: readonly Json[]): boolean {
  if (registration.kind === 'ServiceRegistration') return names(registration, metadata);
  const { matchLabels } = registration.spec.namespaceSelector;
  const own = all.some((one) => one.metadata.deletionTimestamp === undefined && names(one, metadata));
  return !own && matchLabels['kubernetes.io/metadata.name'] === metadata.namespace;
}

const names = ({ kind, metadata, spec }: Json, service: Json): boolean =>
  kind === 'ServiceRegistration' && metadata.namespace === service.namespace && spec.serviceRef.name === service.name;

const age = ({ metadata, kind }: Json): string => `${metadata.creationTimestamp} ${kind} ${metadata.name}`;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
