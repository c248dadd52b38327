import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Change,
  type ChangeResult,
  type Instance,
  noClaim,
  noKeyValue,
  noWatch,
  RegistryError,
  registerRegistryType,
  type ServiceRegistry,
} from 'roster';

export function openFiles(directory: string): ServiceRegistry {
  let closed = false;
  const usable = (operation: string, signal: AbortSignal) => {
    if (closed) throw new RegistryError('closed', `${operation} was called after the registry was closed`);
    if (signal.aborted) throw new RegistryError('aborted', `${operation} was cancelled`);
  };
  const fileOf = (id: string) => join(directory, `${encodeURIComponent(id)}.json`);

  async function read(file: string): Promise<Instance | undefined> {
    try {
      return JSON.parse(await readFile(file, 'utf8'));
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
      throw new RegistryError('protocol', 'a file of the registry cannot be read; repair or remove it', { cause });
    }
  }

  async function readAll(wanted: (instance: Instance) => boolean): Promise<readonly Instance[]> {
    await mkdir(directory, { recursive: true });
    const files = (await readdir(directory)).filter((name) => name.endsWith('.json'));
    const instances = await Promise.all(files.map((name) => read(join(directory, name))));
    return instances.filter((instance) => instance !== undefined).filter(wanted);
  }

  async function applyOne({ action, instance }: Change): Promise<ChangeResult> {
    try {
      const file = fileOf(instance.id);
      const standing = await read(file);
      const foreign = standing !== undefined && standing.marks.cluster !== instance.marks.cluster;
      if (action === 'deregister') {
        if (!foreign) await rm(file, { force: true });
      } else if (foreign) {
        throw new RegistryError('conflict', `an entry that is not ours stands under the id ${instance.id}`);
      } else if (instance.service === '') {
        throw new RegistryError('invalid', 'a service name cannot be empty');
      } else if (JSON.stringify(standing) !== JSON.stringify(instance)) {
        await mkdir(directory, { recursive: true });
        // A cancelled write may still be under way: each has a name of its own.
        const fresh = `${file}.${randomUUID()}`;
        await writeFile(fresh, JSON.stringify(instance));
        await rename(fresh, file);
      }
      return { ok: true };
    } catch (error) {
      return { ok: false, error: RegistryError.from(error, 'apply') };
    }
  }

  return {
    capabilities: { batchSize: 100, leased: false, watch: false, kv: false, fenced: false },
    normalise(instance) {
      if (instance.service === '') return { ok: false, message: 'a service name cannot be empty' };
      if (instance.liveness !== 'persistent') return { ok: false, message: 'files have no leases' };
      if (encodeURIComponent(instance.id).length > 200) return { ok: false, message: 'the id is too long for a file' };
      return { ok: true, instance };
    },
    async apply(changes, signal) {
      usable('apply', signal);
      return Promise.all(changes.map(applyOne));
    },
    async list(cluster, signal) {
      usable('list', signal);
      return readAll(({ marks }) => marks.cluster === cluster);
    },
    async discover(service, signal) {
      usable('discover', signal);
      return readAll((instance) => instance.service === service);
    },
    async check(signal) {
      usable('check', signal);
      await mkdir(directory, { recursive: true });
      return { version: '1' };
    },
    claim: noClaim('a directory'),
    watch: noWatch('a directory'),
    kv: noKeyValue('a directory'),
    async close() {
      closed = true;
    },
  };
}

/** Makes `{ type: 'Files', files: { directory } }` a config. The returned function takes that back. */
export const addFiles = () =>
  registerRegistryType('Files', ({ config }) => {
    const directory = (config as { directory?: unknown } | undefined)?.directory;
    if (typeof directory === 'string') return openFiles(directory);
    throw new RegistryError('invalid', 'files.directory must be the path of a directory');
  });
