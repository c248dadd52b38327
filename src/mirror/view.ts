import type { EndpointSlice, Service } from '../api/core.ts';
import type { Registration, RegistrationSpec } from '../api/kinds.generated.ts';
import type { AcceptedReason } from '../api/reasons.ts';
import type { Claim } from './claims.ts';
import type { Instance } from './instance.ts';

/**
 * Whether an object is there. `deleted`: its DELETED event was seen. `proved-absent`: two looks and a live read lack it. `missing` is only
 * the lack of it in our cache, which a restart, an error or an older server can cause as well.
 */
export type Presence<T> =
  | { readonly state: 'present'; readonly object: T }
  | { readonly state: 'deleted' }
  | { readonly state: 'proved-absent' }
  | { readonly state: 'missing' };

/**
 * The registration that an entry names as its own, seen from this Service. `elsewhere`: it is there and does not ask for the Service (any
 * more). `refused`: it asks, but the registry does not admit the namespace, or it cannot be read. `other-registry`: it writes through
 * another Registry object, which then leads to the same server.
 */
export type RegistrationState =
  | 'covers'
  | 'elsewhere'
  | 'refused'
  | 'other-registry'
  | 'deleting'
  | 'deleted'
  | 'proved-absent'
  | 'missing';

/** What a registration says about entries that bear its name. */
export type EntryPolicy = Pick<RegistrationSpec, 'updatePolicy' | 'deletionPolicy' | 'suspend'>;

/** Why a registration as a whole is not carried out: a reason of the condition `Accepted`, and one sentence that says what to do. */
export interface Refusal {
  readonly code: AcceptedReason;
  readonly message: string;
}

/**
 * Everything that one decision may look at, gathered once: one Service in one registry. Plain data, so a bug report is a View in
 * JSON.
 */
export interface View {
  readonly cluster: string;
  readonly registry: { readonly id: string; readonly allowUnmanagedEndpoints: boolean };
  /** `namespace/name` of the Service. */
  readonly owner: string;
  readonly service: Presence<Service>;
  readonly slices: readonly EndpointSlice[];
  /**
   * `unknown`: no slice was seen and none was deleted before our eyes, or the source is cut short. `unconfirmed`: the last list lacked a slice that is
   * cached, or everything. Nothing may be removed for either.
   */
  readonly endpoints: 'known' | 'unknown' | 'unconfirmed';
  /** Addresses of entries that slices, those of now or earlier ones, have shown as terminating. */
  readonly terminated: readonly string[];
  /** Those that cover the Service, the one with precedence first. */
  readonly covering: readonly Registration[];
  /** `unknown`: automatic mirroring may cover it, or not; its Namespace is not in the cache, and was not seen to be deleted. */
  readonly coverage: 'known' | 'unknown';
  /** Covering registrations that can be carried out for no Service, by id. */
  readonly refusals: Readonly<Record<string, Refusal>>;
  /** For each registration named by an entry that stands: what became of it. */
  readonly registrations: Readonly<Record<string, RegistrationState>>;
  /** For each of those that is there, covering or not: what it says about its entries. */
  readonly policies: Readonly<Record<string, EntryPolicy>>;
  /** For the key of each name that the covering registrations give the Service: who claims it, holder first. */
  readonly claims: Readonly<Record<string, readonly Claim[]>>;
  /** Our entries of this Service in the registry, by the ledger. */
  readonly observed: readonly Instance[];
}

/** `Kind/namespace/name` or `Kind/name`. */
export function registrationId(registration: Registration): string {
  const { kind, metadata } = registration;
  return metadata.namespace === undefined
    ? `${kind}/${metadata.name}`
    : `${kind}/${metadata.namespace}/${metadata.name}`;
}
