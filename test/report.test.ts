import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { type Events, report } from './report.ts';

const importing = [
  "import assert from 'node:assert/strict';",
  "import { describe, it } from 'node:test';",
  `import fc from '${import.meta.resolve('fast-check')}';`,
].join('\n');

/** The runner as `make test` calls it, over files with these texts. */
async function runOver(t: TestContext, texts: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'roster-report-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), `${importing}\n${text}\n`);
  // With it a run is taken for a part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = [join(import.meta.dirname, 'run.ts'), ...Object.keys(texts).map((name) => join(folder, name))];
  return new Promise<{ readonly code: unknown; readonly lines: readonly string[] }>((resolve) => {
    execFile(process.execPath, args, { env }, (error, stdout) =>
      resolve({ code: error === null ? 0 : error.code, lines: stdout.trimEnd().split('\n') }),
    );
  });
}

it('a run ends with the slowest files and the totals', async (t) => {
  const { code, lines } = await runOver(t, {
    'one.test.ts': "it('a', () => {}); it('b', () => {});",
    'two.test.ts': "describe('c', () => { it('d', () => {}); });",
  });
  assert.equal(code, 0);
  const [slowest, slower, ...totals] = lines.slice(-10);
  assert.deepEqual([slowest, slower].map((line) => line?.replace(/^\d+ s: .*\//, '')).sort(), [
    'one.test.ts',
    'two.test.ts',
  ]);
  assert.deepEqual(totals.slice(0, -1), [
    '# tests 3',
    '# suites 1',
    '# pass 3',
    '# fail 0',
    '# cancelled 0',
    '# skipped 0',
    '# todo 0',
  ]);
  assert.match(totals.at(-1) ?? '', /^# duration_ms [\d.]+$/);
});

it('right before the totals each failure has a line: a property with its seed and what failed, a suite none but those of its tests', async (t) => {
  const { code, lines } = await runOver(t, {
    'wrong.test.ts': [
      "describe('suite', () => { it('list', () => assert.deepEqual([1], [2])); });",
      "it('property', () => fc.assert(fc.property(fc.integer(), (n) => assert.ok(n < 9, 'too large')), { seed: 7 }));",
      "it('text', () => { throw 'words'; });",
    ].join('\n'),
    'broken.test.ts': "throw new Error('at once');",
    'right.test.ts': "it('is right', () => {});",
  });
  assert.equal(code, 1);
  const failed = lines.filter((line) => line.startsWith('failed: '));
  assert.deepEqual(lines.slice(-8 - failed.length, -8), failed);
  const [broken, list, property, text, ...more] = failed.map((line) => line.replace(/^.*\/(?=\w+\.test)/, '')).sort();
  assert.deepEqual(more, []);
  assert.match(broken ?? '', /^broken\.test\.ts > the file itself: /);
  assert.match(list ?? '', /^wrong\.test\.ts > list: .*deep-equal: \+ actual - expected \[ \+ 1 - 2 \]$/);
  assert.match(
    property ?? '',
    /^wrong\.test\.ts > property: Property failed .*seed: 7,.*Counterexample: \[9\].* \| too large$/,
  );
  assert.equal(text, 'wrong.test.ts > text: words');
});

it('runs beside each other have their totals together, and pass when each of them came to its end and passed', async () => {
  const events = async function* (tests: number, ms: number, ...ends: readonly boolean[]): Events {
    for (const message of [`tests ${tests}`, `duration_ms ${ms}`])
      yield { type: 'test:diagnostic', data: { nesting: 0, message } };
    for (const success of ends) yield { type: 'test:summary', data: { success } };
  };
  const reported = async (...runs: readonly Events[]) => {
    let text = '';
    const passed = await report(runs, (more) => {
      text += more;
    });
    return { passed, text };
  };
  const both = { passed: true, text: '# tests 5\n# duration_ms 90\n' };
  assert.deepEqual(await reported(events(2, 90, true), events(3, 70, true)), both);
  assert.equal((await reported(events(2, 90, true), events(3, 70, false))).passed, false);
  assert.equal((await reported(events(2, 90, true), events(3, 70))).passed, false);
});
