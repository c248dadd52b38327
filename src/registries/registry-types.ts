import type { RegistryConfig, RegistrySettings, RegistryTimeouts } from '../api/kinds.generated.ts';
import type { Clock } from '../clock.ts';
import { RegistryError } from './error.ts';
import type { ServiceRegistry } from './registry.ts';
import type { Secrets } from './secrets.ts';

/** A config of a type that {@link registerRegistryType} has added; its block bears the type in small letters. */
export type CustomRegistryConfig = RegistrySettings & { readonly type: string; readonly [block: string]: unknown };

/** What a registry type of one's own is made from. */
export interface RegistryTypeInput {
  /** The block of the config, `eureka: {…}`, as it was written: check it, and throw a RegistryError `invalid` for what cannot be used. */
  readonly config: unknown;
  readonly secrets: Secrets;
  readonly timeouts: RegistryTimeouts;
  readonly clock: Clock;
}

/** Makes the bare registry, with nothing connected yet. Retries, deadlines, limits and metrics come around it. */
export type RegistryTypeFactory = (input: RegistryTypeInput) => ServiceRegistry;

const BUILT_IN: Readonly<Record<RegistryConfig['type'], true>> = {
  Memory: true,
  Etcd: true,
  Consul: true,
  Nacos: true,
  ZooKeeper: true,
};

const added = new Map<string, RegistryTypeFactory>();

/**
 * Adds a type to what `parseRegistryConfig` and `createRegistry` of this process know. The returned function removes it again; registries that are open
 * stay. Throws `invalid` for a name that is none or that is taken, whatever the letters' case.
 */
export function registerRegistryType(type: string, factory: RegistryTypeFactory): () => void {
  if (!/^[A-Z][A-Za-z0-9]*$/.test(type)) {
    throw new RegistryError('invalid', 'the name of a registry type is a capital letter, then letters and digits');
  }
  if (knownTypes().some((known) => blockName(known) === blockName(type))) {
    throw new RegistryError(
      'invalid',
      `there is a registry type ${type} already; take another name, or remove that one`,
    );
  }
  added.set(type, factory);
  return () => {
    if (added.get(type) === factory) added.delete(type);
  };
}

export const isBuiltIn = (config: { readonly type: string }): config is RegistryConfig =>
  Object.hasOwn(BUILT_IN, config.type);

export const customType = (type: string): RegistryTypeFactory | undefined => added.get(type);

export const knownTypes = (): readonly string[] => [...Object.keys(BUILT_IN), ...added.keys()];

export const blockName = (type: string): string => type.toLowerCase();
