import type { Service, ServicePort } from '../api/core.ts';
import type { Registration } from '../api/kinds.generated.ts';
import type { AcceptedReason } from '../api/reasons.ts';
import { type Overrides, overridesOf } from './annotations.ts';
import { type Claim, claimKey } from './claims.ts';
import { hasPortPlaceholder, renderName } from './naming.ts';
import { registrationId, type View } from './view.ts';

/** Which ports of a Service are registered, and under which names. */

export type ProblemCode = AcceptedReason | 'NameNotAllowed';

/** Why a registration could not be carried out for this Service. Its entries are held as they stand, never removed for it. */
export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
}

/** What the covering registrations want as names for the Service, before the registry's prefix. */
export function claimsOf({
  service,
  covering,
  refusals,
  cluster,
  owner,
}: Omit<View, 'claims'>): ReadonlyMap<string, Claim> {
  const claims = new Map<string, Claim>();
  if (service.state !== 'present') return claims;
  const overrides = overridesOf(service.object);
  if (!overrides.register) return claims;
  for (const registration of covering) {
    const id = registrationId(registration);
    const choice = choosePorts(registration, service.object, overrides);
    if (refusals[id] !== undefined || 'problem' in choice) continue;
    for (const port of choice.ports) {
      const name = nameFor(registration, { cluster, owner }, port, overrides);
      const key = claimKey(name);
      if (claims.has(key)) continue;
      claims.set(key, {
        owner,
        registration: id,
        registrationCreated: registration.metadata.creationTimestamp,
        serviceCreated: service.object.metadata.creationTimestamp,
        mergeName: registration.spec.mergeName,
      });
    }
  }
  return claims;
}

export function nameFor(
  registration: Registration,
  view: Pick<View, 'cluster' | 'owner'>,
  port: ServicePort,
  overrides: Overrides,
): string {
  const slash = view.owner.indexOf('/');
  return renderName(overrides.name ?? registration.spec.name, {
    namespace: view.owner.slice(0, slash),
    service: view.owner.slice(slash + 1),
    cluster: view.cluster,
    port: portLabel(port),
  });
}

export const portLabel = (port: ServicePort): string => (port.name === '' ? String(port.port) : port.name);

type Choice = { readonly ports: readonly ServicePort[] } | { readonly problem: Problem };

export function choosePorts(registration: Registration, service: Service, overrides: Overrides): Choice {
  const asked = overrides.port === undefined ? (registration.spec.ports ?? []) : [overrides.port];
  const has = service.spec.ports;
  const list = has.map(portLabel).join(', ') || 'none';
  const missing = (message: string): Choice => ({ problem: { code: 'PortNotFound', message } });

  if (asked.length === 0) {
    const port = has.length === 1 ? has[0] : (has.find(({ name }) => name === 'http') ?? has[0]);
    return port === undefined
      ? missing(`Service ${objectName(service)} has no ports; nothing can be registered for it`)
      : { ports: [port] };
  }
  const ports: ServicePort[] = [];
  for (const wanted of asked) {
    const port = has.find(({ name, port }) => name === String(wanted) || String(port) === String(wanted));
    if (port === undefined) return missing(`Service ${objectName(service)} has no port "${wanted}"; it has: ${list}`);
    if (!ports.includes(port)) ports.push(port);
  }
  if (ports.length > 1 && !hasPortPlaceholder(overrides.name ?? registration.spec.name)) {
    const message = `${ports.length} ports of Service ${objectName(service)} would share one name; put {port} into the name`;
    return { problem: { code: 'InvalidSpec', message } };
  }
  return { ports };
}

const objectName = ({ metadata }: Service): string => `${metadata.namespace}/${metadata.name}`;
