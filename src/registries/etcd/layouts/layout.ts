import type { Instance } from '../../../mirror/instance.ts';
import type { HostPort, KeyRange } from '../keys.ts';

/** What consumers take a value for. */
export type Seen = HostPort & Partial<Instance>;

interface Place {
  /** Where consumers look, without a slash at its end. They parse everything below, whoever wrote it. */
  readonly home: string;
  /** The rule of the layout that an instance breaks, besides those that all layouts have. */
  brokenRule(instance: Instance): string | undefined;
  /** Whether consumers may see it at all: they would send requests to an instance whose health or weight they cannot read. */
  serves(instance: Instance): boolean;
  /** The key that consumers read. No two instances share one. */
  keyOf(instance: Instance): string;
  /** The value that consumers read. */
  write(instance: Instance): string;
  /** What a consumer of a service asks for. */
  asks(service: string): KeyRange;
  /** What such a consumer takes a value for; nothing when it passes it over. */
  sees(service: string, value: string): readonly Seen[];
}

/** The value tells everything, marks included: by them it is ours. */
export interface SelfTelling extends Place {
  /**
   * never: consumers read health and weight, so every instance stands where they look.
   * unserved: an instance that they must not see stands in a record of ours instead.
   */
  readonly records: 'never' | 'unserved';
  /** The instance that was written, of a damaged one as much as is left; without our marks, somebody else's. */
  read(value: string): Instance | undefined;
}

/** The value has no room for more than an address: a record beside it tells the rest, and makes it ours. */
export interface Recorded extends Place {
  readonly records: 'always';
  address(value: string): HostPort | undefined;
}

/** How keys and values are written, so that the consumers of a framework find them. */
export type Layout = SelfTelling | Recorded;
