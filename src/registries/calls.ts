import type { Change } from '../mirror/change.ts';
import type { Health, Instance, Liveness } from '../mirror/instance.ts';
import { instanceId } from '../mirror/naming.ts';
import { RegistryError } from './error.ts';
import type { ServiceRegistry } from './registry.ts';

/** One address of a service, as a program says it. */
export interface Registration {
  readonly service: string;
  readonly address: string;
  readonly port: number;
  /** Who registers: what one cluster name has written, another never changes. Not empty. */
  readonly cluster: string;
  /** `namespace/name` of whatever this is an address of. Default: `library/` and the service. */
  readonly owner?: string;
  /** Default: `healthy`. */
  readonly health?: Health;
  /** `leased` vanishes with this client, within the TTL of the registry. Default: `persistent`. */
  readonly liveness?: Exclude<Liveness, 'lapsing'>;
  /** 0..10000, 0 drains. Default: 100. */
  readonly weight?: number;
  readonly tags?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes it, or writes it again as it is now. Resolves with what stands in the registry. Rejects with a RegistryError; `invalid` names the rule of the
 * registry that it breaks, and `ambiguous` means that it may have been written: register again.
 */
export async function register(
  registry: ServiceRegistry,
  registration: Registration,
  signal: AbortSignal,
): Promise<Instance> {
  const instance = normalised(registry, registration);
  await applyOne(registry, { action: 'register', instance, reason: 'EndpointAdded' }, signal);
  return instance;
}

/** Removes it. Succeeds when it is gone already, and when somebody else's entry stands in its place, which stays. */
export async function deregister(
  registry: ServiceRegistry,
  registration: Registration,
  signal: AbortSignal,
): Promise<void> {
  const instance = normalised(registry, registration);
  await applyOne(registry, { action: 'deregister', instance, reason: 'EndpointRemoved' }, signal);
}

/** What consumers of this service name get, whoever wrote it. */
export const discover = (
  registry: ServiceRegistry,
  service: string,
  signal: AbortSignal,
): Promise<readonly Instance[]> => registry.discover(service, signal);

async function applyOne(registry: ServiceRegistry, change: Change, signal: AbortSignal): Promise<void> {
  const [result] = await registry.apply([change], signal);
  if (result === undefined || result.ok) return;
  throw result.error;
}

function normalised(registry: ServiceRegistry, registration: Registration): Instance {
  const { service, address, port, cluster, owner = `library/${service}` } = registration;
  const { health = 'healthy', liveness = 'persistent', weight = 100, tags = [], metadata = {} } = registration;
  if (cluster === '') throw new RegistryError('invalid', 'cluster must say who registers, and cannot be empty');
  const result = registry.normalise({
    id: instanceId(cluster, owner, address, port),
    service,
    address,
    port,
    health,
    liveness,
    weight,
    tags: [...new Set(tags)].sort(),
    metadata,
    marks: { cluster, owner, registration: `Program/${owner}`, retained: false },
  });
  if (result.ok) return result.instance;
  throw new RegistryError('invalid', result.message, { operation: 'normalise' });
}
