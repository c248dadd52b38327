import type { Condition, Registration, RegistrationSpec } from '../api/kinds.generated.ts';
import { type OutputFormat, rendered } from './output.ts';
import { age, table } from './table.ts';

/** What `-o json` and `-o yaml` print for each registration. */
export interface StatusLine {
  readonly kind: Registration['kind'];
  /** Absent for what has no namespace. */
  readonly namespace?: string;
  readonly name: string;
  /** `name` of a ClusterRegistry, `namespace/name` of a Registry. */
  readonly registry: string;
  /** `Unknown` as well when the operator has not looked at it yet. */
  readonly ready: Condition['status'];
  /** `Leased` entries vanish when no operator keeps them alive; a registry with `ttlSeconds` leases those of `Persistent` registrations too. */
  readonly liveness: RegistrationSpec['liveness'];
  readonly services: { readonly matched: number; readonly synced: number };
  readonly instances: { readonly desired: number; readonly registered: number; readonly healthy: number };
  readonly names: readonly string[];
  /** The gravest thing that the status tells, empty when there is none. */
  readonly lastError: string;
  readonly createdAt: string;
}

export function statusLine({ kind, metadata, spec, status }: Registration): StatusLine {
  const { namespace, name, creationTimestamp } = metadata;
  const { kind: registryKind, name: registryName } = spec.registryRef;
  const current =
    status !== undefined && status.observedGeneration === (metadata.generation ?? status.observedGeneration);
  return {
    kind,
    ...(namespace !== undefined && { namespace }),
    name,
    registry: registryKind === 'Registry' && namespace !== undefined ? `${namespace}/${registryName}` : registryName,
    ready: (current ? condition(status.conditions, 'Ready')?.status : undefined) ?? 'Unknown',
    liveness: spec.liveness,
    services: status?.services ?? { matched: 0, synced: 0 },
    instances: status?.instances ?? { desired: 0, registered: 0, healthy: 0 },
    names: status?.names ?? [],
    lastError: lastError(status),
    createdAt: creationTimestamp,
  };
}

const condition = (conditions: readonly Condition[] = [], type: string): Condition | undefined =>
  conditions.find((each) => each.type === type);

function lastError(status: Registration['status']): string {
  const conditions = status?.conditions;
  const blocked = condition(conditions, 'DeletionBlocked');
  const refused = ['Accepted', 'Ready', 'Synced'].map((type) => condition(conditions, type));
  const grave = blocked?.status === 'True' ? blocked : refused.find((each) => each?.status === 'False');
  if (grave !== undefined) return `${grave.reason}: ${grave.message}`;
  const [failure] = status?.failures ?? [];
  return failure === undefined ? '' : `${failure.code}: ${failure.service}: ${failure.message}`;
}

export interface StatusView {
  /** Wall clock, for ages. */
  readonly nowMs: number;
  readonly showNamespaces: boolean;
}

export const renderStatus = (items: readonly StatusLine[], format: OutputFormat, view: StatusView): string =>
  rendered(format, { items: items.toSorted(byPlace) }, (sorted, wide) => draw(sorted.items, wide, view));

const SHORT = { ServiceRegistration: 'sreg', ClusterServiceRegistration: 'csreg' } as const;

function draw(items: readonly StatusLine[], wide: boolean, { nowMs, showNamespaces }: StatusView): string {
  const heads = [
    ...(showNamespaces ? ['NAMESPACE'] : []),
    ...['NAME', 'REGISTRY', 'READY', 'DESIRED', 'REGISTERED', 'HEALTHY'],
    ...(wide ? ['LIVENESS', 'SERVICES', 'NAMES'] : []),
    ...['AGE', 'LAST ERROR'],
  ];
  const rows = items.map((item) => [
    ...(showNamespaces ? [item.namespace ?? ''] : []),
    `${SHORT[item.kind]}/${item.name}`,
    item.registry,
    item.ready,
    ...[item.instances.desired, item.instances.registered, item.instances.healthy].map(String),
    ...(wide ? [item.liveness, `${item.services.synced}/${item.services.matched}`, item.names.join(',')] : []),
    age(nowMs - Date.parse(item.createdAt)),
    item.lastError,
  ]);
  return table(heads, rows);
}

const byPlace = (a: StatusLine, b: StatusLine): number => compare(place(a), place(b));
const place = ({ namespace = '', kind, name }: StatusLine): string => `${namespace}/${SHORT[kind]}/${name}`;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
