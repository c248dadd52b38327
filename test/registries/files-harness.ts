import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import type { Harness, Stranger } from '../conformance/harness.ts';
import { sampleOf } from '../conformance/samples.ts';

/** The files of the example in docs/custom-registry.md, as anybody may read and write them. */
export function filesHarness(directory: string, open: (directory: string) => ServiceRegistry): Harness {
  const path = (id: string) => join(directory, `${encodeURIComponent(id)}.json`);
  const names = async () => {
    await mkdir(directory, { recursive: true });
    return (await readdir(directory)).filter((name) => name.endsWith('.json')).sort();
  };
  const all = async (): Promise<readonly Instance[]> => {
    // Other tests write and sweep in the same directory: what went meanwhile was not this one's.
    const texts = (await names()).map((name) => readFile(join(directory, name), 'utf8').catch(() => 'null'));
    return (await Promise.all(texts)).flatMap((text) => JSON.parse(text) ?? []);
  };
  const of = async (cluster: string) => (await all()).filter(({ marks }) => marks.cluster === cluster);
  const nobody = { cluster: '', owner: '', registration: '', retained: false };
  const put = async (instance: Instance): Promise<Stranger> => {
    await mkdir(directory, { recursive: true });
    const text = JSON.stringify(instance);
    const fresh = `${path(instance.id)}.${randomUUID()}`;
    await writeFile(fresh, text);
    await rename(fresh, path(instance.id));
    return {
      isIntact: async () => (await readFile(path(instance.id), 'utf8').catch(() => undefined)) === text,
    };
  };
  return {
    name: 'the example of docs/custom-registry.md',
    open: () => open(directory),
    peek: of,
    revision: async (cluster) => {
      const files = (await of(cluster)).map(async ({ id }) => [id, (await stat(path(id), { bigint: true })).ino]);
      return String(await Promise.all(files));
    },
    intruder: {
      addStranger: (service) => put({ ...sampleOf(''), id: `stranger of ${service}`, service, marks: nobody }),
      takeOver: (instance) => put({ ...instance, port: 7, marks: nobody }),
      setPort: async (instance, port) => void (await put({ ...instance, port })),
      remove: ({ id }) => rm(path(id), { force: true }),
    },
    async sweep(cluster) {
      const named = ({ service, marks }: Instance) => service.startsWith(cluster) || marks.cluster === cluster;
      for (const { id } of (await all()).filter(named)) await rm(path(id), { force: true });
    },
    spoil: (instance) => ({ ...instance, service: '' }),
    refuses: new Map([['an empty name', /empty/]]),
    link: undefined,
    faults: [],
  };
}
