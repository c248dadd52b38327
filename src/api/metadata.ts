import type { ObjectMeta } from './core.ts';
import type { Problem } from './problem.ts';

export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The metadata of an object. What only an API server gives (uid, resourceVersion, creationTimestamp) is "" in an object
 * read from a file.
 */
export function parseMetadata(value: unknown): ObjectMeta | Problem {
  if (!isFields(value)) return { path: 'metadata', message: 'is required' };
  const name = value['name'];
  if (typeof name !== 'string' || name === '') return { path: 'metadata.name', message: 'is required' };
  const namespace = optional(value['namespace']);
  const deletionTimestamp = optional(value['deletionTimestamp']);
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: optional(value['uid']) ?? '',
    resourceVersion: optional(value['resourceVersion']) ?? '',
    ...(typeof value['generation'] === 'number' ? { generation: value['generation'] } : {}),
    creationTimestamp: optional(value['creationTimestamp']) ?? '',
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    labels: strings(value['labels']),
    annotations: strings(value['annotations']),
    finalizers: Array.isArray(value['finalizers'])
      ? value['finalizers'].filter((item) => typeof item === 'string')
      : [],
  };
}

const optional = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

function strings(value: unknown): Readonly<Record<string, string>> {
  if (!isFields(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])),
  );
}
