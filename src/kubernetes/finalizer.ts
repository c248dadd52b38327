import { isFields } from '../api/metadata.ts';
import { type KubeClient, KubeError } from './client.ts';
import type { ObjectTarget } from './resources.ts';

export const FINALIZER = 'roster.dev/deregister';

/** Its own, so that the field set of the status writer and that of the finalizer never meet. */
const FIELD_MANAGER = 'roster-finalizer';
const ATTEMPTS = 5;

/**
 * Puts our finalizer on the object. `gone`: the object of this UID does not exist any more or is being deleted, so nothing was put on it.
 *
 * Guarantees: never creates an object, never touches the finalizers of others; doing it again changes nothing.
 */
export async function ensureFinalizer(
  client: KubeClient,
  target: ObjectTarget,
  signal: AbortSignal,
): Promise<'held' | 'gone'> {
  const { resource, namespace, name, uid } = target;
  const object = await current(client, target, signal);
  if (object === undefined) return 'gone';
  if (object.finalizers.includes(FINALIZER)) return 'held';
  if (object.deleting) return 'gone';
  try {
    await client.request({
      method: 'PATCH',
      path: resource.objectPath(namespace, name),
      query: { fieldManager: FIELD_MANAGER, force: 'true' },
      contentType: 'application/apply-patch+yaml',
      // With its UID, an apply cannot create the object anew: the server refuses it.
      body: {
        apiVersion: resource.apiVersion,
        kind: resource.kind,
        metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, finalizers: [FINALIZER] },
      },
      signal,
    });
    return 'held';
  } catch (error) {
    const after = await current(client, target, signal);
    if (after === undefined || after.deleting) return 'gone';
    throw error;
  }
}

/**
 * Takes our finalizer off, whoever put it there. Resolves as well when the object or the finalizer is gone already.
 *
 * Guarantees: the finalizers of others stay, in their order. A JSON patch names the exact entry, because an apply removes only what the
 * same field manager has put there: after a restore from a backup that would hold the object for ever.
 */
export async function removeFinalizer(client: KubeClient, target: ObjectTarget, signal: AbortSignal): Promise<void> {
  const { resource, namespace, name, uid } = target;
  for (let attempt = 1; ; attempt++) {
    const object = await current(client, target, signal);
    const at = object?.finalizers.indexOf(FINALIZER) ?? -1;
    if (at < 0) return;
    const entry = `/metadata/finalizers/${at}`;
    try {
      await client.request({
        method: 'PATCH',
        path: resource.objectPath(namespace, name),
        query: { fieldManager: FIELD_MANAGER },
        contentType: 'application/json-patch+json',
        body: [
          { op: 'test', path: '/metadata/uid', value: uid },
          { op: 'test', path: entry, value: FINALIZER },
          { op: 'remove', path: entry },
        ],
        signal,
      });
      return;
    } catch (error) {
      // Somebody else changed the list between our look and our patch; 404: it went meanwhile, which the next look shows.
      const raced = error instanceof KubeError && [404, 409, 422].includes(error.status);
      if (!raced || attempt >= ATTEMPTS) throw error;
    }
  }
}

interface Current {
  readonly finalizers: readonly unknown[];
  readonly deleting: boolean;
}

/** undefined when no object of this UID is there. */
async function current(client: KubeClient, target: ObjectTarget, signal: AbortSignal): Promise<Current | undefined> {
  try {
    const object = await client.request({
      method: 'GET',
      path: target.resource.objectPath(target.namespace, target.name),
      signal,
    });
    const metadata = isFields(object) && isFields(object['metadata']) ? object['metadata'] : undefined;
    if (metadata === undefined)
      throw new KubeError(0, 'Malformed', `the API server's answer about ${target.name} is no object`);
    if (metadata['uid'] !== target.uid) return undefined;
    const finalizers = metadata['finalizers'];
    return {
      finalizers: Array.isArray(finalizers) ? finalizers : [],
      deleting: metadata['deletionTimestamp'] !== undefined,
    };
  } catch (error) {
    if (error instanceof KubeError && error.status === 404 && error.objectName === target.name) return undefined;
    throw error;
  }
}
