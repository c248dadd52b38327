// A model of the API server: what Roster asks of one, answered as a real one answers it, out of a history that is never lost. Time is virtual, and any
// state of the past can be shown again. It knows nothing of faults: those are between it and the operator, see `api-link.ts`.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../src/clock.ts';
import { KubeError, type KubeRequest } from '../../src/kubernetes/client.ts';

// biome-ignore lint/suspicious/noExplicitAny: objects of any kind, as they stand in JSON.
export type Json = any;

/** `services`, `serviceregistrations.roster.dev`: a collection, as in RBAC rules. */
export interface Address {
  readonly resource: string;
  readonly key?: string;
  readonly subresource?: string;
}

export interface Recorded {
  readonly version: number;
  readonly resource: string;
  readonly key: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Json;
  readonly before: Json | undefined;
  readonly at: number;
  /** `user` or the field manager. */
  readonly by: string;
}

export type ApiServer = ReturnType<typeof openApiServer>;

/** Midnight of the virtual world. Creation times have whole seconds, as everywhere. */
const EPOCH = Date.parse('2026-01-01T00:00:00Z');
/** Where a fresh server begins: versions of one length, as everybody compares them. */
const FIRST_VERSION = 1000;
/** Nobody needs to see these again, and their kinds come and go with every run. */
const WRITE_ONLY: ReadonlySet<string> = new Set(['events.events.k8s.io']);

export const timeOf = (clock: Clock): Date => new Date(EPOCH + clock.now());

export const rfc3339 = (clock: Clock): string =>
  new Date(EPOCH + Math.floor(clock.now() / 1000) * 1000).toISOString().replace('.000Z', 'Z');

export function openApiServer(clock: Clock) {
  const objects = new Map<string, Map<string, Json>>();
  const history: Recorded[] = [];
  const listeners = new Set<(event: Recorded) => void>();
  let version = FIRST_VERSION;
  let uids = 0;

  const collection = (resource: string): Map<string, Json> => {
    const known = objects.get(resource) ?? new Map<string, Json>();
    objects.set(resource, known);
    return known;
  };

  function commit(resource: string, key: string, after: Json | undefined, by: string): Json {
    const before = collection(resource).get(key);
    version++;
    const metadata = { ...(after ?? before).metadata, resourceVersion: String(version) };
    const object = { ...(after ?? before), metadata };
    if (after === undefined) collection(resource).delete(key);
    else collection(resource).set(key, object);
    if (WRITE_ONLY.has(resource)) return object;
    const type = after === undefined ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED';
    const event: Recorded = { version, resource, key, type, object, before, at: clock.now(), by };
    history.push(event);
    for (const listener of [...listeners]) listener(event);
    return object;
  }

  function create(resource: string, key: string, object: Json, by: string): Json {
    const metadata = {
      ...object.metadata,
      uid: `uid-${++uids}`,
      creationTimestamp: rfc3339(clock),
      generation: 1,
    };
    return commit(resource, key, { ...object, metadata }, by);
  }

  /** Nothing that changes nothing makes a version, and only a new spec a generation. */
  function update(resource: string, key: string, wanted: Json, by: string): Json {
    const before = collection(resource).get(key);
    const generation = before.metadata.generation + (isDeepStrictEqual(before.spec, wanted.spec) ? 0 : 1);
    const after = { ...wanted, metadata: { ...wanted.metadata, generation } };
    if (isDeepStrictEqual(before, after)) return before;
    const leaves = after.metadata.deletionTimestamp !== undefined && (after.metadata.finalizers ?? []).length === 0;
    return commit(resource, key, leaves ? undefined : after, by);
  }

  function remove(resource: string, key: string, { preconditions = {} }: Json, by: string): Json {
    const object = collection(resource).get(key);
    if (object === undefined) throw notFound(resource, key);
    for (const [field, expected] of Object.entries(preconditions))
      if (object.metadata[field] !== expected) throw new KubeError(409, 'Conflict', `${key}: not of this ${field}`);
    if ((object.metadata.finalizers ?? []).length === 0) return commit(resource, key, undefined, by);
    if (object.metadata.deletionTimestamp !== undefined) return object;
    const metadata = { ...object.metadata, deletionTimestamp: rfc3339(clock) };
    return commit(resource, key, { ...object, metadata }, by);
  }

  /** Server-side apply by the only writer of these fields, which is what both users and Roster are here. */
  function apply({ resource, key = '', subresource }: Address, body: Json, by: string): Json {
    const before = collection(resource).get(key);
    const { uid, resourceVersion } = body.metadata;
    if (before === undefined) {
      if (subresource !== undefined) throw notFound(resource, key);
      if (uid !== undefined) throw new KubeError(409, 'Conflict', `${key}: no object of this UID`);
      return create(resource, key, body, by);
    }
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      throw new KubeError(409, 'Conflict', `${key}: the object has been modified`);
    if (subresource === 'status') return update(resource, key, { ...before, status: body.status }, by);
    if (uid !== undefined && uid !== before.metadata.uid)
      throw new KubeError(409, 'Conflict', `${key}: another UID stands there`);
    const { metadata, ...rest } = body;
    const finalizers = [...new Set([...(before.metadata.finalizers ?? []), ...(metadata.finalizers ?? [])])];
    const kept = finalizers.length === 0 ? {} : { finalizers };
    const known = { ...before.metadata, ...metadata, ...kept, resourceVersion: before.metadata.resourceVersion };
    return update(resource, key, { ...before, ...rest, metadata: known }, by);
  }

  function jsonPatch({ resource, key = '' }: Address, operations: readonly Json[], by: string): Json {
    const before = collection(resource).get(key);
    if (before === undefined) throw notFound(resource, key);
    const after = structuredClone(before);
    for (const { op, path, value } of operations) {
      const parts: string[] = path.slice(1).split('/');
      const last = parts.pop() ?? '';
      const parent = parts.reduce((at: Json, part) => at?.[part], after);
      if (op === 'test' && parent?.[last] !== value) throw new KubeError(422, 'Invalid', `the test of ${path} failed`);
      if (op === 'remove' && Array.isArray(parent)) parent.splice(Number(last), 1);
    }
    return update(resource, key, after, by);
  }

  /** What existed when this version was the newest. */
  function stateAt(resource: string, at: number): ReadonlyMap<string, Json> {
    const state = new Map<string, Json>();
    for (const event of history) {
      if (event.version > at) break;
      if (event.resource !== resource) continue;
      if (event.type === 'DELETED') state.delete(event.key);
      else state.set(event.key, event.object);
    }
    return state;
  }

  return {
    history: history as readonly Recorded[],
    get version() {
      return version;
    },
    stateAt,
    get: ({ resource, key = '' }: Address): Json | undefined => collection(resource).get(key),
    all: (resource: string): readonly Json[] => [...collection(resource).values()],
    listen(listener: (event: Recorded) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    /** A write of anybody, by the rules of the server. Throws {@link KubeError}. */
    write({ method, path, body, contentType, query }: KubeRequest, by = query?.['fieldManager'] ?? 'unknown'): Json {
      const address = addressOf(path);
      const { resource, key = '' } = address;
      const sent = body as Json;
      switch (method) {
        case 'POST': {
          const made = keyOf(sent);
          if (collection(resource).has(made)) throw new KubeError(409, 'AlreadyExists', `${made} exists`);
          return create(resource, made, sent, by);
        }
        case 'PUT': {
          const before = collection(resource).get(key);
          if (before === undefined) throw notFound(resource, key);
          const expected = sent.metadata.resourceVersion;
          if (expected !== undefined && expected !== before.metadata.resourceVersion)
            throw new KubeError(409, 'Conflict', `${key}: the object has been modified`);
          return update(resource, key, { ...sent, metadata: { ...before.metadata, ...sent.metadata } }, by);
        }
        case 'DELETE':
          return remove(resource, key, sent ?? {}, by);
        case 'PATCH':
          if (contentType === 'application/apply-patch+yaml') return apply(address, sent, by);
          if (contentType === 'application/json-patch+json') return jsonPatch(address, sent, by);
          return mergePatch(address, sent, by);
        case 'GET':
          throw new Error('a GET writes nothing');
      }
    },
  };

  function mergePatch({ resource, key = '' }: Address, patch: Json, by: string): Json {
    const before = collection(resource).get(key);
    if (before === undefined) throw notFound(resource, key);
    return update(resource, key, merged(before, patch), by);
  }
}

export const notFound = (resource: string, key: string): KubeError => {
  const name = key.slice(key.indexOf('/') + 1);
  return new KubeError(404, 'NotFound', `${resource} "${name}" not found`, { objectName: name });
};

export const keyOf = ({ metadata }: Json): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;

function merged(value: Json, patch: Json): Json {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, Json> = { ...value };
  for (const [field, change] of Object.entries(patch)) {
    if (change === null) delete result[field];
    else result[field] = merged(result[field], change);
  }
  return result;
}

const PATH = /^\/api(?:s\/([^/]+))?\/v[^/]+(?:\/namespaces\/([^/]+)(?=\/[^/]))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

/** Where a path leads. `/api/v1/namespaces/shop` is an object, not what is in it. */
export function addressOf(path: string): Address {
  const [, group, namespace, name, object, subresource] = PATH.exec(path) ?? [];
  if (name === undefined) throw new KubeError(404, 'NotFound', `the model serves no ${path}`);
  const resource = group === undefined ? name : `${name}.${group}`;
  if (object === undefined) return { resource };
  const key = namespace === undefined ? object : `${namespace}/${object}`;
  return { resource, key, ...(subresource === undefined ? {} : { subresource }) };
}
