import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConditionReason } from '../../api/reasons.ts';
import type { Secrets } from '../../registries/secrets.ts';

/** The names under which kubectl, cert-manager and agents of vaults put them. */
const FILE_NAMES: Readonly<Record<keyof Secrets, string>> = {
  token: 'token',
  username: 'username',
  password: 'password',
  digestAuth: 'digest-auth',
  ca: 'ca.crt',
  cert: 'tls.crt',
  key: 'tls.key',
};

export type CredentialFile =
  /** Undefined: there is no such file, so nothing was meant to be in it. */
  | { readonly ok: true; readonly value: string | undefined }
  | { readonly ok: false; readonly reason: ConditionReason; readonly message: string };

/** The line break at the end, which every editor adds, is no part of a credential. `root`: `--credentials-directory`. */
export async function readCredentialFile(
  root: string | undefined,
  directory: string,
  field: keyof Secrets,
): Promise<CredentialFile> {
  const refused = (reason: ConditionReason, message: string): CredentialFile => ({ ok: false, reason, message });
  if (root === undefined) {
    const what = 'spec.credentialsDirectory is set, but roster was started without --credentials-directory';
    return refused('SecretNotFound', `${what}: mount the files, and say where`);
  }
  const name = FILE_NAMES[field];
  try {
    const value = await readFile(join(root, directory, name), 'utf8');
    return { ok: true, value: value.replace(/\r?\n$/, '') };
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') {
      const message = `${directory}/${name} of the credentials directory could not be read (${codeOf(error)})`;
      return refused('SecretUnreadable', `${message}: let the operator's user read it`);
    }
  }
  const there = await stat(join(root, directory)).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (there) return { ok: true, value: undefined };
  return refused(
    'SecretNotFound',
    `the credentials directory has no directory ${directory}: mount it, or name another`,
  );
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error';
