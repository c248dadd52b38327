import type { Instance } from '../../mirror/instance.ts';
import type { Normalised } from '../registry.ts';
import type { Layout } from './layouts/layout.ts';
import { brokenNameRule, nodeOf, quote } from './paths.ts';

/** ZooKeeper takes requests below 1 MiB (`jute.maxbuffer`), with some room for the path and the lengths. */
const ENTRY_BYTES = 1_000_000;

/** How ZooKeeper would hold an instance, or the rule that the instance breaks. Nothing is rewritten; tags and metadata are sorted. */
export function normaliseFor(layout: Layout, instance: Instance): Normalised {
  const broken = brokenRule(layout, instance);
  if (broken !== undefined) return { ok: false, message: broken };
  return {
    ok: true,
    instance: {
      ...instance,
      tags: [...new Set(instance.tags)].sort(),
      // Equal instances are equal texts, and no reason to write.
      metadata: Object.fromEntries(Object.entries(instance.metadata).sort(([a], [b]) => (a < b ? -1 : 1))),
      marks: { ...instance.marks },
    },
  };
}

function brokenRule(layout: Layout, instance: Instance): string | undefined {
  const { id, service, address, port, weight, tags, metadata, marks } = instance;
  const { cluster, owner, registration } = marks;
  const texts = [id, service, address, ...tags, ...Object.entries(metadata).flat(), cluster, owner, registration];
  // Other languages read half a character as another one.
  const garbled = texts.find((one) => !one.isWellFormed());
  if (garbled !== undefined) return `${quote(garbled)} is not valid Unicode`;
  if (instance.liveness === 'lapsing') return 'liveness lapsing is read, and never wanted';
  if (id === '') return 'an instance needs an id';
  if (cluster === '') return 'an instance needs the name of its cluster';
  if (!HOST.test(address)) return `${quote(address)} is neither an IP address nor a host name`;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return `port ${port} is not between 1 and 65535`;
  if (!Number.isInteger(weight) || weight < 0 || weight > 10_000) return `weight ${weight} is not between 0 and 10000`;
  return brokenNameRule(service) ?? layout.brokenRule(instance) ?? brokenSizeRule(layout, instance, texts);
}

/** As much as consumers can put into a URL. */
const HOST = /^[A-Za-z0-9._:-]+$/;

function brokenSizeRule(layout: Layout, instance: Instance, texts: readonly string[]): string | undefined {
  const characters = texts.reduce((sum, one) => sum + one.length, 0);
  // Writing it out costs more than all else here: not unless it is large. A character takes six bytes at most.
  if (characters < ENTRY_BYTES / 10) return undefined;
  const node = nodeOf(instance.id);
  const bytes = Buffer.byteLength(layout.write({ instance, registeredAt: 0 }, node)) + Buffer.byteLength(node);
  if (bytes <= ENTRY_BYTES) return undefined;
  return `its ${bytes} bytes are more than the ${ENTRY_BYTES} that ZooKeeper has room for in a node; use less metadata`;
}
