import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { isFields } from '../src/api/metadata.ts';
import { parseRosterObject } from '../src/api/parse.ts';

/** What can be known of the manifests without a cluster; test/api asks a real one. */

const root = join(import.meta.dirname, '..');
const kustomizations = globSync('deploy/**/kustomization.yaml', { cwd: root });
const manifests = [...globSync('{crds,deploy}/**/*.yaml', { cwd: root }), 'kind-config.yaml'].filter(
  (file) => !kustomizations.includes(file),
);

function documentsOf(file: string): readonly unknown[] {
  return parseAllDocuments(readFileSync(join(root, file), 'utf8')).map((document) => {
    assert.deepEqual(document.errors, [], file);
    return document.toJS();
  });
}

test('every document of every manifest is an object with an API version and a kind', () => {
  assert.ok(manifests.length > 10, `only ${manifests.length} manifests were found`);
  for (const file of manifests) {
    for (const document of documentsOf(file)) {
      assert.ok(
        isFields(document) && typeof document['apiVersion'] === 'string' && typeof document['kind'] === 'string',
        file,
      );
    }
  }
});

test('every shipped object of our kinds is one that the API server will take, without a field that it would drop', () => {
  let seen = 0;
  for (const file of manifests) {
    for (const document of documentsOf(file)) {
      if (!isFields(document) || document['apiVersion'] !== 'roster.dev/v1alpha1') continue;
      const parsed = parseRosterObject(document, { unknownFields: 'reject' });
      assert.ok(parsed.ok, `${file}: ${JSON.stringify(parsed.ok ? [] : parsed.errors)}`);
      seen++;
    }
  }
  assert.ok(seen >= 4, `only ${seen} objects of our kinds are shipped`);
});

test('every file that a kustomization names is there', () => {
  assert.ok(kustomizations.length > 0);
  for (const file of kustomizations) {
    for (const document of documentsOf(file)) {
      assert.ok(isFields(document), file);
      for (const field of ['resources', 'components']) {
        const named = document[field];
        for (const path of Array.isArray(named) ? named : []) {
          assert.ok(existsSync(join(root, dirname(file), path)), `${file} names ${path}`);
        }
      }
    }
  }
});
