import { isIP } from 'node:net';
import type { Endpoint, EndpointSlice, EndpointSubset } from '../api/core.ts';
import type { Health } from './instance.ts';
import { isReserved } from './reserved-addresses.ts';

/** What was decided about one address of a Service, and the rule that decided: `roster explain` prints these. */
export type Verdict =
  | {
      readonly included: true;
      readonly address: string;
      readonly port: number;
      readonly health: Health;
      readonly zone?: string;
      readonly rule: string;
    }
  | { readonly included: false; readonly address: string; readonly port?: number; readonly rule: string };

export interface EndpointRules {
  readonly namespace: string;
  /** Name of the Service port; slices carry the same names with the Pods' own port numbers. */
  readonly portName: string;
  readonly protocol: string;
  readonly health: 'Readiness' | 'ReadyOnly';
  readonly allowUnmanagedEndpoints: boolean;
}

/** The controllers that derive endpoints from Pods. Whoever else writes slices can point them anywhere (CVE-2021-25740). */
const ENDPOINT_CONTROLLERS: ReadonlySet<string> = new Set(['endpointslice-controller.k8s.io', 'endpoint-controller']);

const RANK: Readonly<Record<Health, number>> = { healthy: 3, draining: 2, unhealthy: 1 };

const rank = (verdict: Verdict): number => (verdict.included ? RANK[verdict.health] : 0);

/**
 * Merges the slices of one Service into one verdict for each address and port, sorted.
 *
 * An endpoint that moves between slices stands in both for a moment: the healthier of two wins, so that the move is not
 * seen as an outage.
 */
export function verdicts(slices: readonly EndpointSlice[], rules: EndpointRules): readonly Verdict[] {
  const merged = new Map<string, Verdict>();
  for (const slice of slices) {
    for (const verdict of slice.subsets.flatMap((subset) => judgeSubset(slice, subset, rules))) {
      const key = `${verdict.address} ${verdict.port ?? ''}`;
      const other = merged.get(key);
      if (other === undefined || rank(verdict) > rank(other)) merged.set(key, verdict);
    }
  }
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, verdict]) => verdict);
}

function judgeSubset(slice: EndpointSlice, subset: EndpointSubset, rules: EndpointRules): readonly Verdict[] {
  const port = subset.ports.find(({ name, protocol }) => name === rules.portName && protocol === rules.protocol)?.port;
  if (subset.addressType === 'FQDN') {
    const rule = `slice ${slice.metadata.name} holds host names, not addresses`;
    return subset.endpoints.map(({ addresses }) => ({ included: false, address: addresses[0] ?? '', rule }));
  }
  return subset.endpoints.map((endpoint) => judge(slice, endpoint, port, rules));
}

function judge(slice: EndpointSlice, endpoint: Endpoint, port: number | undefined, rules: EndpointRules): Verdict {
  const address = endpoint.addresses[0] ?? '';
  const out = (rule: string): Verdict => ({ included: false, address, ...(port === undefined ? {} : { port }), rule });

  if (port === undefined)
    return out(`slice ${slice.metadata.name} has no ${rules.protocol} port named "${rules.portName}"`);
  if (isIP(address) === 0)
    return out(`slice ${slice.metadata.name} has ${JSON.stringify(address)} where an IP address belongs`);
  if (isReserved(address)) {
    return out('unspecified, loopback, link-local, multicast, broadcast and metadata addresses are never registered');
  }
  if (!rules.allowUnmanagedEndpoints) {
    const stranger = unmanaged(slice, endpoint, rules.namespace);
    if (stranger !== undefined) return out(stranger);
  }

  const zone = endpoint.zone === undefined ? {} : { zone: endpoint.zone };
  const in_ = (health: Health, rule: string): Verdict => ({ included: true, address, port, health, ...zone, rule });

  if (endpoint.ready) return in_('healthy', 'ready');
  if (endpoint.terminating && !endpoint.serving) return out('terminating and no longer serving');
  if (rules.health === 'ReadyOnly') return out('not ready, and health is ReadyOnly');
  if (endpoint.terminating) return in_('draining', 'terminating but still serving: listed as draining');
  return in_('unhealthy', 'not ready: listed as unhealthy');
}

function unmanaged(slice: EndpointSlice, endpoint: Endpoint, namespace: string): string | undefined {
  if (!ENDPOINT_CONTROLLERS.has(slice.managedBy)) {
    const by = slice.managedBy === '' ? 'an unknown writer' : slice.managedBy;
    return `slice ${slice.metadata.name} was written by ${by}, and the registry does not set allowUnmanagedEndpoints`;
  }
  const target = endpoint.targetRef;
  if (target?.kind !== 'Pod' || target.namespace !== namespace) {
    return `the endpoint is not a Pod of namespace ${namespace}, and the registry does not set allowUnmanagedEndpoints`;
  }
  return undefined;
}
