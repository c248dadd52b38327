// What the documents say is held against what is there.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { parseRosterObject } from '../src/api/parse.ts';
import { CONDITION_REASONS } from '../src/api/reasons.ts';
import { defences } from './faults/naive/builds.ts';
import { sharedConsul } from './servers/shared.ts';

const root = join(import.meta.dirname, '..');
const run = promisify(execFile);
const consul = await sharedConsul();
const readme = await readFile(join(root, 'README.md'), 'utf8');
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'deploy/README.md',
  ...(await readdir(join(root, 'docs'), { recursive: true }))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const blocks = (text: string, language: string): readonly string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, content = '']) => content);

describe('the README', () => {
  const [manifest = '', status = ''] = blocks(readme, 'yaml');

  test('shows a registration that the API takes, and a status that it can have', () => {
    const object = { ...parse(manifest), ...parse(status) };
    const parsed = parseRosterObject(object, { unknownFields: 'reject' });
    assert.ok(parsed.ok, JSON.stringify(parsed));
    // A status that does not fit is dropped in parsing.
    assert.deepEqual(JSON.parse(JSON.stringify(parsed.value.status)), parse(status).status);
    for (const { reason } of parse(status).status.conditions) assert.ok(CONDITION_REASONS.includes(reason), reason);
  });

  test('shows a library example that runs', async () => {
    const [example = ''] = blocks(readme, 'ts');
    assert.match(example, /http:\/\/127\.0\.0\.1:8500/);
    // Its imports are those of a file in the root.
    const path = join(root, `readme-example-${process.pid}.ts`);
    await writeFile(path, example.replace('http://127.0.0.1:8500', consul.address));
    try {
      const { stdout } = await run(process.execPath, [path], { timeout: 30_000 });
      assert.match(stdout, /^\{ version: '\d+\.\d+\.\d+' \}\n$/);
    } finally {
      await rm(path);
    }
  });

  test('names commands that the program has', async () => {
    const { stdout } = await run(process.execPath, [join(root, 'src', 'main.ts'), '--help']);
    const named = [...readme.matchAll(/`roster ([a-z]+)/g)].map(([, name]) => name);
    assert.ok(named.length >= 5);
    for (const name of named) assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
  });
});

for (const document of documents) {
  test(`${document} names make targets and files that exist`, async () => {
    const text = await readFile(join(root, document), 'utf8');
    const makefile = await readFile(join(root, 'Makefile'), 'utf8');
    const targets = new Set([...makefile.matchAll(/^([a-z-]+):/gm)].map(([, name]) => name));
    const code = [...text.matchAll(/`([^`\n]+)`/g), ...text.matchAll(/^```\n(.*?)^```/gms)].map(([, span]) => span);
    for (const [, target] of code.join('\n').matchAll(/(?:^|&& )make ([a-z-]+)/gm))
      assert.ok(targets.has(target), `make ${target}`);
    for (const [, link = ''] of text.matchAll(/\]\(([^)#:]+)\)/g)) await access(join(root, dirname(document), link));
    for (const [, path = ''] of text.matchAll(/`((?:src|test|docs|deploy|crds)\/[\w./-]+)`/g))
      await access(join(root, path));
  });
}

test('docs/conditions.md explains every reason that a condition can have, and no other', async () => {
  const text = await readFile(join(root, 'docs', 'conditions.md'), 'utf8');
  const explained = new Set(text.split('\n').flatMap((line) => (line.startsWith('|') ? firstCell(line) : [])));
  const elsewhere = new Set(['TooManyRemovals']);
  for (const reason of CONDITION_REASONS)
    assert.ok(explained.has(reason) || (elsewhere.has(reason) && text.includes(`\`${reason}\``)), reason);
  const codes = new Set(await failureCodes());
  for (const word of explained) assert.ok(CONDITION_REASONS.some((reason) => reason === word) || codes.has(word), word);
  for (const code of codes) assert.ok(explained.has(code), code);
});

const firstCell = (line: string): readonly string[] =>
  [...(line.split('|')[1] ?? '').matchAll(/`([A-Za-z]+)`/g)].map(([, word = '']) => word);

/** Those of `status.failures` that are no reasons of conditions, as the sources write them. */
async function failureCodes(): Promise<readonly string[]> {
  const files = ['src/mirror/desired.ts', 'src/mirror/ports.ts', 'src/operator/reconcile.ts'];
  const sources = await Promise.all(files.map((file) => readFile(join(root, file), 'utf8')));
  const codes = sources.flatMap((source) => [...source.matchAll(/(?:code: |return |\? |: )'([A-Z][A-Za-z]+)'/g)]);
  return codes.map(([, code = '']) => code);
}

test('docs/reliability.md names tests that are there, and defences that the laboratory can switch off', async () => {
  const text = await readFile(join(root, 'docs', 'reliability.md'), 'utf8');
  const files = [...text.matchAll(/test\/[\w/-]+\.test\.ts/g)].map(([path]) => path);
  assert.ok(files.length >= 15);
  for (const path of files) await access(join(root, path));
  const track = text.slice(text.indexOf('## Track record'));
  const named = [...track.matchAll(/naive: ((?:`[^`]+`(?:, )?)+)/g)].flatMap(([, list = '']) =>
    [...list.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
  assert.ok(named.length >= 5);
  for (const name of named)
    assert.ok(defences.includes(name), `there is no defence "${name}" in test/faults/naive/builds.ts`);
});
