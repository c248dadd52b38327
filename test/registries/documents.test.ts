// The examples of the documents for programs, run as they are written there.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { createRegistry } from '../../src/registries/create.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { registryConformance } from '../conformance/conformance.ts';
import { register, sampleOf } from '../conformance/samples.ts';
import { sharedConsul } from '../servers/shared.ts';
import { filesHarness } from './files-harness.ts';

const root = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);
const never = new AbortController().signal;
const consul = await sharedConsul();

const examples = async (document: string): Promise<readonly string[]> =>
  [...(await readFile(join(root, 'docs', document), 'utf8')).matchAll(/^```ts\n(.*?)^```/gms)].map(
    ([, code = '']) => code,
  );

/** A module in the root of the project, where its imports are those of a program that has it installed. */
async function written(name: string, code: string): Promise<string> {
  const path = join(root, `example-${name}-${process.pid}.ts`);
  await writeFile(path, code);
  after(() => rm(path, { force: true }));
  return path;
}

describe('docs/library.md', async () => {
  const [calls = '', document = ''] = await examples('library.md');

  for (const [name, code] of [
    ['a real Consul', calls.replace('http://127.0.0.1:8500', consul.address)],
    ['Memory', calls.replace(/withType\('Consul'\)\.withConsul\(.*?\}\)/, "withType('Memory')")],
  ] as const) {
    it(`shows calls that run against ${name}`, async () => {
      assert.notEqual(code, calls);
      const { stdout } = await run(process.execPath, [await written('calls', code)], { timeout: 60_000 });
      assert.equal(stdout, 'found 10.0.0.7:8080\nnow 1\nnow 0\n');
    });
  }

  it('shows a config whose errors are told at once, and one that is used', async () => {
    const { stdout } = await run(process.execPath, [await written('document', document)], { timeout: 60_000 });
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[0])
        .sort(),
      ['check', 'etcd.endpoints', 'etcd.layout', 'timeouts.connectSeconds'],
    );
  });
});

describe('docs/custom-registry.md', async () => {
  const [code = ''] = await examples('custom-registry.md');
  const example: {
    openFiles(directory: string): ServiceRegistry;
    addFiles(): () => void;
  } = await import(await written('registry', code));
  const directory = await mkdtemp(join(tmpdir(), 'roster-files-'));
  after(() => rm(directory, { recursive: true }));

  it('shows a type that a config can name, in its layers, until it is taken back', async () => {
    const remove = example.addFiles();
    const parsed = parseRegistryConfig({ type: 'Files', files: { directory: join(directory, 'named') } });
    assert.ok(parsed.ok);
    const seen: string[] = [];
    const options = { observe: ({ operation }: { operation: string }) => seen.push(operation) };
    const registry = createRegistry(parsed.value, {}, options);
    const [result] = await registry.apply([register(sampleOf('prod'))], never);
    assert.ok(result?.ok);
    assert.equal((await readdir(join(directory, 'named'))).length, 1);
    assert.deepEqual(seen, ['apply']);
    await registry.close();
    assert.throws(() => createRegistry({ ...parsed.value, files: {} }), /files\.directory/);
    remove();
    assert.throws(() => createRegistry(parsed.value), /registerRegistryType/);
  });

  registryConformance(filesHarness(join(directory, 'suite'), example.openFiles));
});
