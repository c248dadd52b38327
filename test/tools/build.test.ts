import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { until } from '../servers/until.ts';

// A compiler that takes no minutes: notes each build, and leaves a program behind. With FAKE_GO=hang it goes on for as
// long as its parent lives.
const fakeGo = `#!${process.execPath}
const { appendFileSync, writeFileSync } = require('node:fs');
const args = process.argv.slice(2);
if (args[0] === 'version') console.log('go version go0.0 test');
else {
  appendFileSync(process.env.FAKE_GO_LOG, 'build\\n');
  const parent = process.ppid;
  const finish = () => writeFileSync(args[args.indexOf('-o') + 1], 'built', { mode: 0o755 });
  if (process.env.FAKE_GO !== 'hang') setTimeout(finish, 300);
  else setInterval(() => process.ppid === parent || process.exit(1), 20);
}
`;

describe('the tools', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'roster-tools-'));
    await mkdir(join(directory, 'bin'));
    await writeFile(log(), '');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('are built once when two checkouts ask at the same time', async () => {
    await program('go', fakeGo);
    const [one, other] = await Promise.all([ended(ask()), ended(ask())]);
    assert.equal(one.stdout, other.stdout);
    assert.equal(await readFile(one.stdout.trim(), 'utf8'), 'built');
    assert.equal(await readFile(log(), 'utf8'), 'build\n');

    assert.equal((await ended(ask())).stderr, '');
  });

  it('are built by the next one when the builder was killed', async () => {
    await program('go', fakeGo);
    const first = ask({ FAKE_GO: 'hang' });
    await until('the first build to begin', async () => (await readFile(log(), 'utf8')) || undefined);
    const second = ended(ask());
    first.kill('SIGKILL');
    const { code, stdout } = await second;
    assert.equal(code, 0);
    assert.equal(await readFile(stdout.trim(), 'utf8'), 'built');
  });

  it('are taken from PATH in the pinned minor version', async () => {
    await program('etcd', '#!/bin/sh\necho "etcd Version: 3.7.99"\n');
    assert.equal((await ended(ask())).stdout, `${join(directory, 'bin', 'etcd')}\n`);
  });

  it('are taken from KUBEBUILDER_ASSETS before PATH', async () => {
    await mkdir(join(directory, 'assets'));
    await program('etcd', '#!/bin/sh\necho "etcd Version: 3.7.98"\n');
    await program('../assets/etcd', '#!/bin/sh\necho "etcd Version: 3.7.99"\n');
    const { stdout } = await ended(ask({ KUBEBUILDER_ASSETS: join(directory, 'assets') }));
    assert.equal(stdout, `${join(directory, 'assets', 'etcd')}\n`);
  });

  for (const version of ['3.6.99', '3.70.1', '3.7.1-rc.0', '3.7.1+ent', 'unknown']) {
    it(`are not taken from PATH in version ${version}, and what is missing is told`, async () => {
      await program('etcd', `#!/bin/sh\necho "etcd Version: ${version}"\n`);
      const { code, stdout, stderr } = await ended(ask());
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /^etcd 3\.7\.\d+ is not installed .* the Go compiler is missing: install Go/);
    });
  }

  const log = () => join(directory, 'builds');

  async function program(name: string, text: string): Promise<void> {
    await writeFile(join(directory, 'bin', name), text);
    await chmod(join(directory, 'bin', name), 0o755);
  }

  function ask(env: Record<string, string> = {}): ChildProcess {
    const command = [join(import.meta.dirname, 'build.ts'), 'etcd'];
    const surroundings = { PATH: join(directory, 'bin'), XDG_CACHE_HOME: directory, FAKE_GO_LOG: log() };
    return spawn(process.execPath, command, { env: { ...surroundings, ...env } });
  }
});

async function ended(child: ChildProcess): Promise<{ code: number; stdout: string; stderr: string }> {
  const result = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    result.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    result.stderr += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, ...result };
}
