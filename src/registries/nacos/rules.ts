import type { Instance } from '../../mirror/instance.ts';
import { RegistryError } from '../error.ts';
import type { Normalised } from '../registry.ts';
import { assertPem } from '../tls.ts';
import { isReserved, metadataOf } from './entry.ts';
import { RECORDS_GROUP } from './http-records.ts';
import type { NacosSettings } from './settings.ts';

// The limits of common/paramcheck/ParamCheckRule.java in Nacos 2.3 and later; 2.2 has fewer, but a server is upgraded some day.
const NAME_LENGTH = 512;
const ADDRESS_LENGTH = 128;
const METADATA_LENGTH = 1_024;
const GROUP = /^[A-Za-z0-9_:.-]{1,128}$/;
// Nacos 2 takes no underscore here.
const CLUSTER = /^[0-9A-Za-z-]{1,64}$/;
const NAMESPACE = /^[A-Za-z0-9_-]{0,64}$/;
// Nacos also drops control characters at both ends, so that another name would be written.
const BLANK = /[\s\p{Cc}]/u;
const CHINESE = /[\u4e00-\u9fa5]/;

/** How Nacos would hold an instance, or the rule that the instance breaks. Nothing is rewritten; tags are sorted. */
export function normaliseFor(leases: boolean, instance: Instance): Normalised {
  const broken = brokenRule(instance) ?? brokenLiveness(leases, instance);
  if (broken !== undefined) return { ok: false, message: broken };
  return {
    ok: true,
    instance: {
      ...instance,
      tags: [...new Set(instance.tags)].sort(),
      metadata: { ...instance.metadata },
      marks: { ...instance.marks },
    },
  };
}

function brokenLiveness(leases: boolean, { liveness }: Instance): string | undefined {
  if (liveness === 'lapsing') return 'liveness lapsing is read, and never wanted';
  if (liveness === 'persistent' || leases) return undefined;
  return 'leased entries need gRPC; set spec.nacos.protocol to Auto or Grpc';
}

/** The server checks some of it, in words that depend on its version: what is not refused here is written. */
export function brokenRule(instance: Instance): string | undefined {
  const { id, service, address, port, weight, marks } = instance;
  const broken = brokenNameRule(service);
  if (broken !== undefined) return broken;
  if (id === '') return 'an instance needs an id';
  if (address === '') return 'an instance needs an address';
  if (address.length > ADDRESS_LENGTH || BLANK.test(address) || CHINESE.test(address)) {
    return `${quote(address)} cannot be an address in Nacos, which takes ${ADDRESS_LENGTH} characters without spaces`;
  }
  if (marks.cluster === '') return 'an instance needs the name of its cluster';
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return `port ${port} is not between 1 and 65535`;
  if (!Number.isInteger(weight) || weight < 0 || weight > 10_000) return `weight ${weight} is not between 0 and 10000`;
  return brokenMetadata(instance);
}

/** The rule of Nacos that a service name breaks. */
export function brokenNameRule(service: string): string | undefined {
  if (service === '') return 'a service name cannot be empty';
  if (service.length > NAME_LENGTH)
    return `${quote(service)} is longer than the ${NAME_LENGTH} characters of a Nacos service name`;
  if (service.startsWith('@') || service.includes('@@')) {
    return `${quote(service)} cannot be a service name in Nacos, which takes no @@ and no @ at the beginning`;
  }
  if (BLANK.test(service) || CHINESE.test(service)) {
    return `${quote(service)} cannot be a service name in Nacos, which takes no spaces, control characters and Chinese characters there`;
  }
  return undefined;
}

function brokenMetadata(instance: Instance): string | undefined {
  const reserved = Object.keys(instance.metadata).find(isReserved);
  if (reserved !== undefined) {
    return `metadata key ${quote(reserved)} is reserved: managed-by and roster-* are Roster's marks`;
  }
  const pairs = Object.entries(metadataOf(instance)).flat();
  const garbled = [instance.service, instance.address, ...instance.tags, ...pairs].find((text) => !text.isWellFormed());
  if (garbled !== undefined) return `${quote(garbled)} is not valid Unicode`;
  const length = pairs.reduce((sum, text) => sum + text.length, 0);
  if (length <= METADATA_LENGTH) return undefined;
  return `its metadata, tags and marks have ${length} characters, more than the ${METADATA_LENGTH} that Nacos takes; use less metadata`;
}

/** Throws `invalid` for settings that no server takes. */
export function assertSettings({
  group,
  cluster,
  namespace = '',
  protectThreshold = 0,
  tls,
  addresses,
}: NacosSettings): void {
  const refuse = (message: string) => {
    throw new RegistryError('invalid', message);
  };
  if (!GROUP.test(group))
    refuse('spec.nacos.group must have 1 to 128 letters, digits, dashes, underscores, colons and dots');
  if (group === RECORDS_GROUP)
    refuse(`spec.nacos.group cannot be ${RECORDS_GROUP}, where Roster keeps who writes; choose another group`);
  if (!CLUSTER.test(cluster)) refuse('spec.nacos.cluster must have 1 to 64 letters, digits and dashes');
  if (!NAMESPACE.test(namespace))
    refuse('spec.nacos.namespace must have at most 64 letters, digits, dashes and underscores');
  if (!(protectThreshold >= 0 && protectThreshold <= 1)) refuse('spec.nacos.protectThreshold must be between 0 and 1');
  if (addresses.some((address) => address.startsWith('https:'))) assertPem(tls ?? {}, 'spec.nacos');
}

/** In one line, whatever is in it. */
const quote = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
