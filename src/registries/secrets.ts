import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Clock, pause } from '../clock.ts';
import { RegistryError } from './error.ts';

/** Credentials, already read from where the config refers to. PEM text for `ca`, `cert` and `key`. */
export interface Secrets {
  readonly token?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly username?: string;
  readonly password?: string;
  /** `user:password` */
  readonly digestAuth?: string;
}

/** Credentials as text, or as files, which are read again while the registry is open. The line break at the end of a file is no part of it. */
export type SecretSources = { readonly [F in keyof Secrets]?: string | { readonly file: string } };

const REREAD_MS = 10_000;

/** Throws `invalid` when a file cannot be read. */
export function readSecrets(sources: SecretSources): Secrets {
  return mapSources(sources, (file, field) => {
    try {
      return content(readFileSync(file, 'utf8'));
    } catch (cause) {
      throw new RegistryError(
        'invalid',
        `the file with the secret "${field}" cannot be read; check its path and rights`,
        {
          cause,
        },
      );
    }
  });
}

export interface Following {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The secrets differ from those before. What it throws is taken for "not usable": the same is tried again with the next reading. */
  onChange(secrets: Secrets): void;
}

export const hasFiles = (sources: SecretSources): boolean =>
  Object.values(sources).some((source) => typeof source === 'object');

/**
 * Reads the files again every 10 s, until the signal aborts. A file that cannot be read, as while it is being replaced, and contents that the
 * registry refuses, leave everything as it is.
 */
export async function followSecrets(
  sources: SecretSources,
  first: Secrets,
  { clock, signal, onChange }: Following,
): Promise<void> {
  let known = JSON.stringify(first);
  while (!signal.aborted) {
    await pause(clock, REREAD_MS, signal);
    if (signal.aborted) return;
    try {
      const secrets = await reread(sources);
      const now = JSON.stringify(secrets);
      if (signal.aborted || now === known) continue;
      onChange(secrets);
      known = now;
    } catch {
      // Half of a new certificate and key: the next reading finds the other half.
    }
  }
}

async function reread(sources: SecretSources): Promise<Secrets> {
  const texts = new Map<string, string>();
  for (const source of Object.values(sources)) {
    if (typeof source === 'object') texts.set(source.file, content(await readFile(source.file, 'utf8')));
  }
  return mapSources(sources, (file) => texts.get(file) ?? '');
}

function mapSources(sources: SecretSources, read: (file: string, field: string) => string): Secrets {
  return Object.fromEntries(
    Object.entries(sources).map(([field, source]) => [
      field,
      typeof source === 'object' ? read(source.file, field) : source,
    ]),
  );
}

const content = (text: string): string => text.replace(/\r?\n$/, '');
