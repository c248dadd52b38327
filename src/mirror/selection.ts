import type { Namespace, Service } from '../api/core.ts';
import type { LabelSelector, Registration, RegistryObject } from '../api/kinds.generated.ts';

/** Which registrations take which Services. */

type Labels = Readonly<Record<string, string>>;

/** Kubernetes' label selector; an empty or absent one takes everything. */
export function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    if (labelOf(labels, key) !== value) return false;
  }
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const value = labelOf(labels, key);
    const member = value !== undefined && values.includes(value);
    if (operator === 'In' && !member) return false;
    if (operator === 'NotIn' && member) return false;
    if (operator === 'Exists' && value === undefined) return false;
    if (operator === 'DoesNotExist' && value !== undefined) return false;
  }
  return true;
}

/** `constructor` and `toString` are lawful keys of labels. */
export const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

/** True when the selector asks for this namespace by its name, not merely by a label it happens to bear. */
function names(selector: LabelSelector | undefined, namespace: string): boolean {
  if (selector?.matchLabels?.[NAMESPACE_NAME] === namespace) return true;
  return (selector?.matchExpressions ?? []).some(
    ({ key, operator, values }) => key === NAMESPACE_NAME && operator === 'In' && values?.includes(namespace) === true,
  );
}

/** Does the registration ask for this Service? Precedence and admission by the registry are other questions. */
export function covers(
  registration: Registration,
  service: Service,
  namespace: Namespace | undefined,
  reserved: ReadonlySet<string>,
): boolean {
  const { spec } = registration;
  const { name, labels } = service.metadata;
  if (registration.kind === 'ServiceRegistration') {
    if (registration.metadata.namespace !== service.metadata.namespace) return false;
    const { serviceRef, selector } = registration.spec;
    return serviceRef === undefined ? selects(selector, labels) : serviceRef.name === name;
  }
  if (namespace === undefined) return false;
  const { namespaceSelector } = registration.spec;
  const namespaceName = namespace.metadata.name;
  if (reserved.has(namespaceName) && !names(namespaceSelector, namespaceName)) return false;
  return selects(namespaceSelector, namespace.metadata.labels) && selects(spec.selector, labels);
}

/** `ClusterRegistry/name` or `Registry/namespace/name`: the identity of a registry in keys, logs and metrics. */
export function registryId(registry: { kind: string; metadata: { name: string; namespace?: string } }): string {
  const { kind, metadata } = registry;
  return metadata.namespace === undefined
    ? `${kind}/${metadata.name}`
    : `${kind}/${metadata.namespace}/${metadata.name}`;
}

/** The registry that a registration names. A namespaced Registry resolves in the registration's own namespace only. */
export function referencedRegistry(registration: Registration): string {
  const { kind, name } = registration.spec.registryRef;
  if (kind === 'ClusterRegistry') return `ClusterRegistry/${name}`;
  return `Registry/${registration.metadata.namespace ?? ''}/${name}`;
}

/** May Services of this namespace stand in the registry? */
export function admits(registry: RegistryObject, namespace: Namespace | undefined, namespaceName: string): boolean {
  if (registry.kind === 'Registry') return registry.metadata.namespace === namespaceName;
  const { allowedNamespaces } = registry.spec;
  if (allowedNamespaces.all === true) return true;
  if (allowedNamespaces.names?.includes(namespaceName) === true) return true;
  return allowedNamespaces.selector !== undefined && namespace !== undefined
    ? selects(allowedNamespaces.selector, namespace.metadata.labels)
    : false;
}

/** A ServiceRegistration wins over automatic mirroring; of one kind the older comes first. */
export function byPrecedence(a: Registration, b: Registration): number {
  if (a.kind !== b.kind) return a.kind === 'ServiceRegistration' ? -1 : 1;
  const [x, y] = [a.metadata, b.metadata];
  if (x.creationTimestamp !== y.creationTimestamp) return x.creationTimestamp < y.creationTimestamp ? -1 : 1;
  return x.name < y.name ? -1 : 1;
}
