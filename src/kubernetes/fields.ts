import type { ObjectMeta } from '../api/core.ts';
import { type Fields, isFields } from '../api/metadata.ts';

/** An object of the cluster that lacks what the API guarantees. The message says which field; it never holds a value. */
export class MalformedObject extends Error {
  override readonly name = 'MalformedObject';
}

export function fieldsOf(value: unknown, what: string): Fields {
  if (!isFields(value)) throw new MalformedObject(`${what} is not an object`);
  return value;
}

/** A missing or null object counts as empty: Go leaves them out or writes null. */
export const optionalFields = (value: unknown, what: string): Fields =>
  value === undefined || value === null ? {} : fieldsOf(value, what);

export function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new MalformedObject(`${what} is not a list`);
  return value;
}

export function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new MalformedObject(`${what} is not a string`);
  return value;
}

export const optionalText = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

export const flag = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined);

/** How much of the labels and annotations is kept. */
export interface MetaTrim {
  labels(key: string): boolean;
  annotations(key: string): boolean;
}

/** Roster reads no annotations but its own and those of the endpoints controllers; others can be as large as the object itself. */
const OUR_ANNOTATIONS = (key: string) => key.startsWith('roster.dev/') || key.startsWith('endpoints.kubernetes.io/');

export const KEEP_LABELS: MetaTrim = { labels: () => true, annotations: OUR_ANNOTATIONS };
export const DROP_LABELS: MetaTrim = { labels: () => false, annotations: OUR_ANNOTATIONS };

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});
const NO_FINALIZERS: readonly string[] = Object.freeze([]);

export function parseMeta(value: unknown, trim: MetaTrim): ObjectMeta {
  const raw = fieldsOf(value, 'metadata');
  const name = textOf(raw['name'], 'metadata.name');
  const namespace = optionalText(raw['namespace']);
  const deletionTimestamp = optionalText(raw['deletionTimestamp']);
  const generation = raw['generation'];
  const finalizers = listOf(raw['finalizers'], 'metadata.finalizers').filter((entry) => typeof entry === 'string');
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: textOf(raw['uid'], 'metadata.uid'),
    resourceVersion: textOf(raw['resourceVersion'], 'metadata.resourceVersion'),
    ...(typeof generation === 'number' ? { generation } : {}),
    creationTimestamp: optionalText(raw['creationTimestamp']) ?? '',
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    labels: textMap(raw['labels'], trim.labels),
    annotations: textMap(raw['annotations'], trim.annotations),
    finalizers: finalizers.length === 0 ? NO_FINALIZERS : finalizers,
  };
}

function textMap(value: unknown, keep: (key: string) => boolean): Readonly<Record<string, string>> {
  if (!isFields(value)) return NOTHING;
  const kept = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && keep(entry[0]),
  );
  return kept.length === 0 ? NOTHING : Object.fromEntries(kept);
}
