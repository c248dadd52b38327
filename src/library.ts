/** What programs may use. Everything else can change without notice. */

export type { RegistryConfig } from './api/kinds.generated.ts';
export type { Problem } from './api/problem.ts';
export type { Change } from './mirror/change.ts';
export type { Health, Instance, Liveness } from './mirror/instance.ts';
export { registryBuilder } from './registries/builder.ts';
export { deregister, discover, type Registration, register } from './registries/calls.ts';
export { type CreateOptions, createRegistry, type OpenRegistry } from './registries/create.ts';
export { type ErrorContext, RegistryError, type RegistryErrorCode } from './registries/error.ts';
export type { Operation } from './registries/layers/around.ts';
export type { Observation } from './registries/layers/metrics.ts';
export { parseRegistryConfig } from './registries/parse-config.ts';
export type {
  Capabilities,
  ChangeResult,
  Claim,
  KeyValue,
  Normalised,
  Scope,
  ServiceRegistry,
} from './registries/registry.ts';
export {
  type CustomRegistryConfig,
  type RegistryTypeFactory,
  registerRegistryType,
} from './registries/registry-types.ts';
export type { SecretSources, Secrets } from './registries/secrets.ts';
export { noClaim, noKeyValue, noWatch } from './registries/unclaimed.ts';
export { type WatchOptions, watchService } from './registries/watch-service.ts';
