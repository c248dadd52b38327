import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { ensureTools } from '../tools/build.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const folder = await mkdtemp(join(tmpdir(), 'roster-bundle-'));
after(() => rm(folder, { recursive: true }));

test('the bundle is one file that runs without node_modules, and as a plugin of kubectl', async () => {
  await run(process.execPath, [join(root, 'scripts', 'bundle.ts')]);
  const plugin = join(folder, 'kubectl-roster');
  await copyFile(join(root, 'dist', 'roster.mjs'), plugin);
  const { kubectl } = await ensureTools(['kubectl']);
  const path = [folder, dirname(process.execPath), process.env['PATH']].join(delimiter);
  const { stdout } = await run(kubectl, ['roster', '--help'], { cwd: folder, env: { PATH: path } });
  assert.match(stdout, /^Usage: kubectl roster /);
  const failed = run(kubectl, ['roster', 'status', '--kubeconfig', '/nonexistent'], {
    cwd: folder,
    env: { PATH: path },
  });
  await assert.rejects(failed, { code: 1, stderr: /^roster: cannot tell which cluster to use: / });
});
