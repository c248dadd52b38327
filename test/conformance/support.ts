/**
 * Runs the conformance suite on the real servers, and writes down what it has shown: docs/support.json, and the table of it in README.md.
 *   node test/conformance/support.ts [memory|etcd|consul|nacos|zookeeper]     all of test/conformance, or the suite of one registry
 *   node test/conformance/support.ts --table                                  the table alone, from docs/support.json
 *   node test/conformance/support.ts --check                                  writes nothing, and exits 1 when the table is stale
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  PAGE,
  README,
  REGISTRIES,
  readPage,
  SHOWN_IN,
  type Support,
  type SupportPage,
  withTable,
} from './support-page.ts';

const [argument] = process.argv.slice(2);

if (argument === '--check') {
  const readme = readFileSync(README, 'utf8');
  if (withTable(readme, readPage()) !== readme) {
    process.stderr.write('the support matrix of README.md is stale: run `make generate` and commit the result\n');
    process.exitCode = 1;
  }
} else if (argument === '--table') {
  writeTable(readPage());
} else {
  const shown = shownBy(
    argument === undefined ? import.meta.dirname : join(import.meta.dirname, `${argument}.test.ts`),
  );
  if (shown === undefined) process.exitCode = 1;
  else {
    const page = { ...readPage(), ...shown };
    const ordered = Object.fromEntries(
      REGISTRIES.flatMap((name) => (page[name] === undefined ? [] : [[name, page[name]]])),
    );
    writeFileSync(PAGE, `${JSON.stringify(ordered, undefined, 2)}\n`);
    writeTable(ordered);
  }
}

function writeTable(page: SupportPage): void {
  writeFileSync(README, withTable(readFileSync(README, 'utf8'), page));
}

/** What the suites in this place say of their registries; undefined when any of their tests failed. */
function shownBy(place: string): SupportPage | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'roster-support-'));
  try {
    const run = join(import.meta.dirname, '..', 'run.ts');
    const env = { ...process.env, [SHOWN_IN]: directory };
    const { status } = spawnSync(process.execPath, [run, place], { stdio: 'inherit', env });
    if (status !== 0) return undefined;
    const read = (file: string): Support => JSON.parse(readFileSync(join(directory, file), 'utf8'));
    return Object.fromEntries(readdirSync(directory).map((file) => [file.replace('.json', ''), read(file)]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
