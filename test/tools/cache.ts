// Where built tools are kept, for all checkouts of one user, and who may build there.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

type Pins = { readonly folder: string; readonly files: readonly string[]; readonly recipe?: string };

/**
 * The path of a program in the cache, where `build` puts it when it is missing. Its directory is named by the content of the files
 * that pin the version (names relative to `folder`), and by what else is done with them, so each version has its own.
 */
export async function findOrBuild(name: string, pins: Pins, build: (path: string) => Promise<void>): Promise<string> {
  const directory = await cacheDirectory(pins);
  const path = join(directory, name);
  if (await isExecutable(path)) return path;
  await mkdir(directory, { recursive: true });
  const release = await lock(join(directory, 'lock.db'), () =>
    progress(`${name}: another process is building, waiting`),
  );
  try {
    if (!(await isExecutable(path))) await build(path);
  } finally {
    release();
  }
  return path;
}

/** Runs a build, telling when it begins, that it goes on, and how long it took. */
export async function withProgress(label: string, how: string, build: () => Promise<void>): Promise<void> {
  const started = Date.now();
  const elapsed = () => `${Math.round((Date.now() - started) / 1000)} s`;
  progress(`${label}: ${how}`);
  const timer = setInterval(() => progress(`${label}: still building, ${elapsed()}`), 30_000);
  try {
    await build();
  } finally {
    clearInterval(timer);
  }
  progress(`${label}: built in ${elapsed()}`);
}

async function cacheDirectory({ folder, files, recipe = '' }: Pins): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} 1\n`);
  for (const file of files) hash.update(await readFile(join(folder, file)));
  hash.update(recipe);
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'roster', hash.digest('hex').slice(0, 16));
}

/**
 * Waits for the exclusive use of `path`. A database file is the lock, because its lock is one of the operating system:
 * it goes with its holder, however that ends, and leaves nothing to be judged stale.
 */
async function lock(path: string, waiting: () => void): Promise<() => void> {
  const database = new DatabaseSync(path);
  for (let told = false; ; ) {
    try {
      database.exec('BEGIN EXCLUSIVE');
      return () => database.close();
    } catch (error) {
      // 5: SQLITE_BUSY
      if ((error as { errcode?: number }).errcode !== 5) throw error;
    }
    if (!told) waiting();
    told = true;
    await delay(200);
  }
}

export function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

export function progress(line: string): void {
  process.stderr.write(`tools: ${line}\n`);
}
