import type { Instance } from '../../mirror/instance.ts';
import type { Normalised } from '../registry.ts';
import { OWNER } from './keys.ts';
import type { Layout } from './layouts/layout.ts';
import { encode } from './value.ts';

/** etcd takes 1.5 MiB in a request by default; a value has to fit in with room for its keys and, in some layouts, a second time. */
const VALUE_BYTES = 512 * 1_024;

/** How etcd would hold an instance, or the rule that the instance breaks. Nothing is rewritten; tags are sorted. */
export function normaliseFor(layout: Layout, leasesAll: boolean, instance: Instance): Normalised {
  if (instance.liveness === 'lapsing') return { ok: false, message: 'liveness lapsing is read, and never wanted' };
  const broken = brokenRule(layout, instance);
  if (broken !== undefined) return { ok: false, message: broken };
  return {
    ok: true,
    instance: {
      ...instance,
      liveness: leasesAll ? 'leased' : instance.liveness,
      tags: [...new Set(instance.tags)].sort(),
      metadata: { ...instance.metadata },
      marks: { ...instance.marks },
    },
  };
}

/** etcd itself takes any bytes: what is not refused here is written. */
export function brokenRule(layout: Layout, instance: Instance): string | undefined {
  const { id, service, address, port, weight, marks } = instance;
  if (service === '') return 'a service name cannot be empty';
  if (service === OWNER) return `the service name ${OWNER} is Roster's own`;
  if (id === '') return 'an instance needs an id';
  if (address === '') return 'an instance needs an address';
  if (marks.cluster === '') return 'an instance needs the name of its cluster';
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return `port ${port} is not between 1 and 65535`;
  if (!Number.isInteger(weight) || weight < 0 || weight > 10_000) return `weight ${weight} is not between 0 and 10000`;
  return brokenText(instance) ?? layout.brokenRule(instance);
}

function brokenText(instance: Instance): string | undefined {
  const { id, service, address, tags, metadata, marks } = instance;
  let length = 0;
  let garbled: string | undefined;
  const look = (text: string) => {
    length += text.length;
    // UTF-8 carries half a surrogate pair as another character.
    if (!text.isWellFormed()) garbled ??= text;
  };
  for (const text of [id, service, address, marks.cluster, marks.owner, marks.registration]) look(text);
  for (const tag of tags) look(tag);
  for (const key in metadata) {
    look(key);
    look(metadata[key] ?? '');
  }
  if (garbled !== undefined) return `${quote(garbled)} is not valid Unicode`;
  // JSON makes six bytes of a character at most.
  const bytes = length * 6 > VALUE_BYTES ? Buffer.byteLength(encode(instance)) : 0;
  if (bytes <= VALUE_BYTES) return undefined;
  return `its ${bytes} bytes are more than the ${VALUE_BYTES} that fit into a request; use less metadata`;
}

/** In one line, whatever is in it. */
const quote = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
