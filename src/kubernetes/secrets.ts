import { isFields } from '../api/metadata.ts';
import { type KubeClient, KubeError } from './client.ts';

export interface SecretKey {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
}

/** The messages name the Secret and the key, never a value. */
export type SecretValue =
  | { readonly ok: true; readonly value: string }
  | {
      readonly ok: false;
      readonly reason: 'SecretNotFound' | 'SecretKeyNotFound' | 'SecretForbidden' | 'SecretUnreadable';
      readonly message: string;
    };

/** Reads one key of one Secret, at the moment it is needed: Secrets are never listed, watched or cached. Rejects only when aborted. */
export async function readSecretKey(
  client: KubeClient,
  { namespace, name, key }: SecretKey,
  signal: AbortSignal,
): Promise<SecretValue> {
  const secret = `Secret ${namespace}/${name}`;
  try {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets/${encodeURIComponent(name)}`;
    const object = await client.request({ method: 'GET', path, signal });
    const data = isFields(object) && isFields(object['data']) ? object['data'] : {};
    const encoded = data[key];
    if (typeof encoded !== 'string') {
      const message = `${secret} has no key "${key}": add it, or name another one`;
      return { ok: false, reason: 'SecretKeyNotFound', message };
    }
    const bytes = Buffer.from(encoded, 'base64');
    const value = bytes.toString('utf8');
    if (!bytes.equals(Buffer.from(value, 'utf8'))) {
      return { ok: false, reason: 'SecretUnreadable', message: `the key "${key}" of ${secret} is not UTF-8 text` };
    }
    return { ok: true, value };
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    return { ok: false, ...refusal(error, secret, namespace) };
  }
}

function refusal(error: KubeError, secret: string, namespace: string) {
  if (error.status === 404) {
    return { reason: 'SecretNotFound', message: `${secret} does not exist: create it, or name another one` } as const;
  }
  if (error.status === 403) {
    const message = `Roster may not read ${secret}: grant its service account the verb get on secrets in namespace ${namespace}`;
    return { reason: 'SecretForbidden', message } as const;
  }
  const why = error.status === 0 ? 'the API server did not answer' : `the API server answered ${error.status}`;
  return { reason: 'SecretUnreadable', message: `${secret} could not be read: ${why}` } as const;
}
