import { RegistryError } from './error.ts';
import type { KeyValue, ServiceRegistry } from './registry.ts';

/** `watch` of a registry that does not claim it. */
export const noWatch = (registry: string): ServiceRegistry['watch'] => refuse(`${registry} has nothing to watch`);

/** `kv` of a registry that does not claim it. */
export function noKeyValue(registry: string): KeyValue {
  const refused = refuse(`${registry} keeps no key-value pairs beside its services`);
  return { get: refused, put: refused, watch: refused };
}

const refuse = (message: string) => async (): Promise<never> => {
  throw new RegistryError('unsupported', message);
};
