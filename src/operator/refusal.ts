import type { Namespace } from '../api/core.ts';
import type { Registration, RegistryObject } from '../api/kinds.generated.ts';
import { admits, referencedRegistry } from '../mirror/selection.ts';
import type { Refusal } from '../mirror/view.ts';

/** Why a registration is carried out for no Service at all, or undefined when nothing speaks against it. */
export function refusalOf(
  registration: Registration,
  registry: RegistryObject | undefined,
  namespace: Namespace | undefined,
): Refusal | undefined {
  const { spec, metadata } = registration;
  if (registry === undefined) {
    const wanted = referencedRegistry(registration);
    return {
      code: 'RegistryNotFound',
      message: `${wanted} does not exist; create it, or make a registration that names another`,
    };
  }
  if (
    registry.kind === 'ClusterRegistry' &&
    metadata.namespace !== undefined &&
    !admits(registry, namespace, metadata.namespace)
  ) {
    const message = `ClusterRegistry ${registry.metadata.name} does not admit namespace ${metadata.namespace}; ask for it to be added to spec.allowedNamespaces`;
    return { code: 'NamespaceNotAllowed', message };
  }
  if (spec.addressType !== 'Endpoints') {
    return notYet(`addressType ${spec.addressType} is not supported by this version; use Endpoints`);
  }
  return undefined;
}

const notYet = (message: string): Refusal => ({ code: 'NotYetSupported', message });
