import type { Service } from '../api/core.ts';

/** What the annotations of a Service say. An invalid one is a note for `failures` and changes nothing. */
export interface Overrides {
  readonly register: boolean;
  readonly name?: string;
  readonly tags?: readonly string[];
  readonly port?: string;
  readonly weight?: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly invalid: readonly string[];
}

const PREFIX = 'roster.dev/';
const METADATA = 'metadata-';
const MAX_WEIGHT = 10_000;

export function overridesOf(service: Service): Overrides {
  const invalid: string[] = [];
  const metadata: Record<string, string> = Object.create(null);
  const found: { register?: boolean; name?: string; tags?: readonly string[]; port?: string; weight?: number } = {};
  const refuse = (key: string, value: string, rule: string) => {
    invalid.push(`annotation ${PREFIX}${key}: ${JSON.stringify(value.slice(0, 64))} ${rule}; it is ignored`);
  };

  for (const [annotation, value] of Object.entries(service.metadata.annotations)) {
    if (!annotation.startsWith(PREFIX)) continue;
    const key = annotation.slice(PREFIX.length);
    if (key === 'register') {
      if (value === 'true' || value === 'false') found.register = value === 'true';
      else refuse(key, value, 'must be "true" or "false"');
    } else if (key === 'name') {
      if (value.trim() === value && value !== '') found.name = value;
      else refuse(key, value, 'must be a name without surrounding space');
    } else if (key === 'tags') {
      found.tags = value
        .split(',')
        .map((tag) => tag.trim())
        .filter((tag) => tag !== '');
    } else if (key === 'port') {
      if (value.trim() !== '') found.port = value.trim();
      else refuse(key, value, 'must be the name or number of a port');
    } else if (key === 'weight') {
      if (/^\d{1,5}$/.test(value) && Number(value) <= MAX_WEIGHT) found.weight = Number(value);
      else refuse(key, value, `must be a whole number from 0 to ${MAX_WEIGHT}`);
    } else if (key.startsWith(METADATA) && key.length > METADATA.length) {
      metadata[key.slice(METADATA.length)] = value;
    } else {
      refuse(key, value, 'is not an annotation that Roster knows');
    }
  }
  return { register: true, ...found, metadata, invalid };
}
