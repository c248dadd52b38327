import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

const check = (directory: string) =>
  spawnSync(process.execPath, [join(directory, 'src/api/generate.ts'), '--check'], { encoding: 'utf8' });

describe('generated types and schemas', () => {
  const copy = mkdtempSync(join(tmpdir(), 'roster-generate-'));
  after(() => rmSync(copy, { recursive: true }));
  for (const path of ['crds', 'src/api', 'package.json'])
    cpSync(join(root, path), join(copy, path), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

  const edited = (from: string, to: string, ...files: readonly string[]) => {
    for (const file of files) {
      const path = join(copy, 'crds', file);
      const source = readFileSync(path, 'utf8');
      assert.ok(source.includes(from));
      writeFileSync(path, source.replaceAll(from, to));
    }
    return check(copy);
  };

  it('are up to date', () => {
    const result = check(root);
    assert.equal(result.status, 0, result.stderr);
  });

  it('are stale once a bound of a CRD changes, and the check says where', () => {
    const files = ['serviceregistrations.yaml', 'clusterserviceregistrations.yaml'];
    const result = edited('maximum: 10000', 'maximum: 9999', ...files);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /schemas\.generated\.ts is stale, line \d+: is " *\\"maximum\\": 10000/);
    assert.equal(edited('maximum: 9999', 'maximum: 10000', ...files).status, 0);
  });

  it('cannot be made while one title stands for two shapes', () => {
    const result = edited('title: RegistryTimeouts', 'title: RegistryAudit', 'registries.yaml');
    assert.equal(result.status, 1);
    assert.match(result.stderr, /two schemas have the title RegistryAudit but not the same fields/);
  });
});
