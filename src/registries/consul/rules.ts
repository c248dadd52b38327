import type { Instance } from '../../mirror/instance.ts';
import type { Normalised } from '../registry.ts';
import { isReserved, MARKS } from './entry.ts';

export interface Rules {
  /** Put before every service name. */
  readonly prefix: string;
  /** Without checks Consul takes every instance for passing, and that is what is stored. */
  readonly healthChecks: boolean;
  /** Every entry is leased, whatever is asked for. */
  readonly leasesAll: boolean;
}

// The limits of agent/structs/service_definition.go and agent/structs/structs.go in Consul.
const NAME = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const META_KEY = /^[A-Za-z0-9_-]{1,128}$/;
const META_VALUE_BYTES = 512;
const META_PAIRS = 64;
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '[::]']);

/**
 * How Consul would hold an instance, or its rule that the instance breaks. Rewritten are the service name (prefix) and, in metadata keys,
 * the dots and slashes of Kubernetes label keys (`app.kubernetes.io/name` becomes `app-kubernetes-io-name`); nothing else is.
 * Tags are free: Traefik, fabio and Kratos read tags with dots and equal signs, and only DNS passes those over.
 */
export function normaliseFor(rules: Rules, instance: Instance): Normalised {
  const service = rules.prefix + instance.service;
  const metadata = rewriteKeys(instance.metadata);
  const broken = metadata.broken ?? brokenRule(instance, service, rules);
  if (broken !== undefined) return { ok: false, message: broken };
  return {
    ok: true,
    instance: {
      ...instance,
      service,
      health: rules.healthChecks ? instance.health : 'healthy',
      liveness: rules.leasesAll ? 'leased' : instance.liveness,
      tags: [...new Set(instance.tags)].sort(),
      metadata: metadata.pairs,
      marks: { ...instance.marks },
    },
  };
}

function brokenRule(instance: Instance, service: string, rules: Rules): string | undefined {
  const { id, address, port, weight, tags, liveness, marks } = instance;
  if (!NAME.test(service)) {
    return `${quote(service)} cannot be a service name in Consul: 1 to 63 letters, digits and dashes are, with no dash at either end`;
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return `port ${port} is not between 1 and 65535`;
  if (!Number.isInteger(weight) || weight < 0 || weight > 10_000) return `weight ${weight} is not between 0 and 10000`;
  if (weight === 0 && !rules.healthChecks) {
    return 'weight 0 needs a check in Consul, whose weights begin at 1; set spec.consul.healthChecks to true, or a weight';
  }
  if (liveness === 'lapsing') return 'liveness lapsing is read, and never wanted';
  if (WILDCARDS.has(address))
    return `address ${address} stands for every address of a host, and Consul takes it for none`;
  if (address === '') return 'an instance without an address would be taken for its Consul node';
  if (id === '') return 'an instance needs an id';
  const marked = [marks.cluster, marks.owner, marks.registration].find((mark) => utf8Length(mark) > META_VALUE_BYTES);
  if (marked !== undefined)
    return `${quote(marked)} is longer than the ${META_VALUE_BYTES} bytes of a metadata value in Consul`;
  // JSON carries half a surrogate pair as another character.
  const garbled = [id, address, ...tags, marks.cluster, marks.owner, marks.registration].find(
    (one) => !one.isWellFormed(),
  );
  if (garbled !== undefined) return `${quote(garbled)} is not valid Unicode`;
  return undefined;
}

function rewriteKeys(metadata: Instance['metadata']): { pairs: Record<string, string>; broken?: string } {
  const pairs: Record<string, string> = {};
  const origin = new Map<string, string>();
  for (const [key, value] of Object.entries(metadata)) {
    const rewritten = key.replaceAll(/[./]/g, '-');
    const broken = brokenPair(key, rewritten, value, origin.get(rewritten));
    if (broken !== undefined) return { pairs, broken };
    origin.set(rewritten, key);
    // Not by assignment: `__proto__` is a key that Consul takes.
    Object.defineProperty(pairs, rewritten, { value, enumerable: true, configurable: true, writable: true });
  }
  const room = META_PAIRS - MARKS;
  if (origin.size > room) {
    return {
      pairs,
      broken: `${origin.size} metadata keys are more than the ${room} that Consul has room for beside Roster's own`,
    };
  }
  return { pairs };
}

function brokenPair(key: string, rewritten: string, value: string, taken: string | undefined): string | undefined {
  const shown = `metadata key ${quote(key)}`;
  if (!META_KEY.test(rewritten)) {
    return `${shown} cannot stand in Consul: 1 to 128 letters, digits, dashes and underscores can; dots and slashes become dashes`;
  }
  if (taken !== undefined) return `${shown} and ${quote(taken)} would both be "${rewritten}" in Consul; drop one`;
  if (isReserved(rewritten)) return `${shown} is reserved: managed-by and roster-* are Roster's marks`;
  if (rewritten.startsWith('consul-')) return `${shown} is reserved: the prefix consul- belongs to Consul`;
  if (utf8Length(value) > META_VALUE_BYTES)
    return `the value of ${shown} is longer than the ${META_VALUE_BYTES} bytes that Consul takes`;
  if (!value.isWellFormed()) return `the value of ${shown} is not valid Unicode`;
  return undefined;
}

const utf8Length = (text: string): number => Buffer.byteLength(text);

/** In one line, whatever is in it. */
const quote = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
