import { RegistryError } from './error.ts';
import type { KeyValue, ServiceRegistry } from './registry.ts';

/** `watch` of a registry that does not claim it. */
export const noWatch = (registry: string): ServiceRegistry['watch'] => refuse(`${registry} has nothing to watch`);

/** `kv` of a registry that does not claim it. */
export function noKeyValue(registry: string): KeyValue {
  const refused = refuse(`${registry} keeps no key-value pairs beside its services`);
  return { get: refused, put: refused, watch: refused };
}

/** `claim` of a registry that has no place for it. */
export const noClaim = (registry: string): ServiceRegistry['claim'] =>
  refuse(`${registry} has no place for a record of who writes`);

const refuse = (message: string) => async (): Promise<never> => {
  throw new RegistryError('unsupported', message);
};
