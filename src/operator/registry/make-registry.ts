import type { RegistryObject } from '../../api/kinds.generated.ts';
import type { Clock } from '../../clock.ts';
import { tenantRule } from '../../registries/address-rule.ts';
import type { createRegistry, OpenRegistry } from '../../registries/create.ts';
import type { Secrets } from '../../registries/secrets.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { shortName } from '../reporting/overview.ts';
import { observeRequests } from './observe-worker.ts';

export interface MakeRegistryOptions {
  readonly create: typeof createRegistry;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Where the registries of namespaces may be; those of the cluster may be anywhere. */
  readonly tenantNetworks: readonly string[] | undefined;
}

/** The registry of an object, as the operator uses it. */
export function makeRegistry(
  { create, clock, metrics, tenantNetworks }: MakeRegistryOptions,
  object: RegistryObject,
  secrets: Secrets,
): OpenRegistry {
  return create(object.spec, secrets, {
    clock,
    name: shortName(object),
    // The work queue backs off by itself, for each key.
    retry: false,
    observe: observeRequests(shortName(object), metrics),
    ...(object.kind === 'Registry' && { mayConnect: tenantRule(tenantNetworks) }),
  });
}
