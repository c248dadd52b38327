import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import type { RegistryErrorCode } from '../../src/registries/error.ts';
import type { Capabilities, ServiceRegistry } from '../../src/registries/registry.ts';
import type { Secrets } from '../../src/registries/secrets.ts';
import type { Disturbances } from '../links/tcp-link.ts';

/**
 * What the suite needs to know of one registry. Everything but `open` speaks the registry's own protocol, never through our adapter: a writer
 * and a reader that are wrong in the same way would agree.
 */
export interface Harness {
  readonly name: string;
  /** A new client of the same server. The suite closes it. */
  open(): ServiceRegistry;
  /** The truth: every entry with the mark of this cluster, read as the documentation of the adapter says that it stands there. */
  peek(cluster: string): Promise<readonly Instance[]>;
  /** Something that differs after every write that changed an entry of this cluster; who has claimed it is no entry. */
  revision(cluster: string): Promise<string>;
  readonly intruder: Intruder;
  /** A service holds one entry for an address and port; another one is a `conflict`. */
  readonly onePerPlace?: true;
  /** The owner that the record of who writes for this cluster names; undefined when there is none. Not there where `claim` is `unsupported`. */
  claimOf?(cluster: string): Promise<string | undefined>;
  /** Removes that record. Where there is `claimOf`. */
  dropClaim?(cluster: string): Promise<void>;
  /** Removes whatever stands in the registry of this cluster, that record too, and under service names that begin with its name. */
  sweep(cluster: string): Promise<void>;
  /** Makes of an instance one that the server itself refuses when it is applied without having been normalised. */
  spoil(instance: Instance): Instance;
  /** Names of {@link samples} that `normalise` must refuse, with a word of the rule. All others must come back as they went. */
  readonly refuses: ReadonlyMap<string, RegExp>;
  /** Instances that no consumer may get, where consumers could not read what is wrong with them. Default: none. */
  hides?(instance: Instance): boolean;
  /** A client of the same server with this text in each of its credentials; whether the server takes them is open. Undefined where there are none. */
  openWith?(secret: string): ServiceRegistry;
  /** A connection that can be disturbed; undefined for a registry without one. */
  readonly link: Link | undefined;
  readonly faults: readonly Fault[];
  /** Undefined for a registry that does not claim `leased`. */
  readonly leasing?: Leasing;
}

/** A registry as a group of tests gets it: bare, or inside its layers. */
export interface Subject extends Harness {
  readonly capabilities: Capabilities;
  /** The `type` in the context of each error; undefined for a bare adapter, whose errors need not have one. */
  readonly told: string | undefined;
}

/** Where a group puts its tests: into node:test, or into a list that somebody else runs. */
export type Collect = (name: string, test: () => Promise<void>) => unknown;

export type Group = (subject: Subject, it: Collect) => void;

/** Entries that vanish with their writer. */
export interface Leasing {
  /** A client of the same server whose leases are as short as the server allows. Entries that ask for it are leased, others are not. */
  open(): ServiceRegistry;
  /** Configuration and credentials of such a client, for a process of its own that is killed. Undefined where clients are in this process, and end by `close`. */
  readonly config: RegistryConfig | undefined;
  readonly secrets: Secrets;
  /** A service holds leased or persistent entries, never both. */
  readonly servicesApart?: true;
  /** From the death of the writer until consumers must not get the entry any more: the TTL, and what the server takes to notice. */
  readonly vanishesWithinMs: number;
}

/** Someone with write access to the registry who knows nothing of us. */
export interface Intruder {
  /** Puts an entry without marks under this service name, with an id of its own. */
  addStranger(service: string): Promise<Stranger>;
  /** Replaces our entry by one without marks, under the same id. */
  takeOver(instance: Instance): Promise<Stranger>;
  /** Sets the port of our entry, and leaves the rest as it is; nothing where the entry is gone, or an intruder was there before. */
  setPort(instance: Instance, port: number): Promise<void>;
  /** Nothing where it is gone already. */
  remove(instance: Instance): Promise<void>;
}

export interface Stranger {
  /** Still there, as it was written. */
  isIntact(): Promise<boolean>;
}

export interface Link extends Disturbances {
  /** A new client whose connections go over the link, with a time-out of half a second for a request. */
  open(): ServiceRegistry;
  /** Each change is a request of its own, so that an answer that is damaged is that to one of them. */
  readonly oneByOne?: true;
}

/** A server, or something in its place, that does not do what it is asked. */
export interface Fault {
  /** Ends "with …". */
  readonly name: string;
  readonly code: RegistryErrorCode;
  /** Whether a write may have happened. */
  readonly ambiguous: boolean;
  readonly retryAfterMs?: number;
  /** Operations that meet the fault; default: all. */
  readonly operations?: readonly ('check' | 'list' | 'discover' | 'apply')[];
  /** A client of it. What `retire` returns ends whatever was started for it. */
  open(): Promise<{ readonly registry: ServiceRegistry; readonly retire?: () => Promise<void> }>;
}

/** Stands in every credential and every answer of a faulty server: no error may contain it. */
export const SECRET = 'xyzzy-secret';
