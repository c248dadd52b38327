import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

// Notes what it was asked for, and leaves a jar behind.
const fakeMaven = `#!${process.execPath}
const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs');
const args = process.argv.slice(2);
if (args[0] !== '-version') {
  appendFileSync(process.env.FAKE_LOG, 'build\\n');
  const target = args.find((one) => one.startsWith('-DoutputDirectory=')).split('=')[1];
  mkdirSync(target, { recursive: true });
  writeFileSync(target + '/server.jar', '');
}
`;
const fakeJava = '#!/bin/sh\necho "$@"\n';

describe('a server of jars', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'roster-maven-'));
    await mkdir(join(directory, 'bin'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('is put together once, and its start script hands arguments on', async () => {
    await program('java', fakeJava);
    await program('mvn', fakeMaven);
    const first = await ask();
    assert.match(first.stderr, /^tools: zookeeper 3\.9\.\d+: its jars are fetched/);
    const second = await ask();
    assert.deepEqual([second.code, second.stdout, second.stderr], [0, first.stdout, '']);
    assert.equal(await readFile(join(directory, 'log'), 'utf8'), 'build\n');

    const { stdout } = await ended(first.stdout.trim(), ['zoo.cfg', 'a b']);
    assert.match(stdout, /^-cp \S+zookeeper-jars\S* org\.apache\.zookeeper\S+ zoo\.cfg a b\n$/);
  });

  for (const [there, missing] of [
    [[], /^zookeeper 3\.9\.\d+ has to be put together, .* Java .*\(java\); Apache Maven.*\(mvn\); install/],
    [['java'], /^zookeeper 3\.9\.\d+ has to be put together, [^;]*Apache Maven[^;]*\(mvn\); install/],
  ] as const) {
    it(`tells what is missing on a machine with ${there.join(', ') || 'nothing'}`, async () => {
      for (const name of there) await program(name, fakeJava);
      const { code, stdout, stderr } = await ask();
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, missing);
    });
  }

  async function program(name: string, text: string): Promise<void> {
    await writeFile(join(directory, 'bin', name), text);
    await chmod(join(directory, 'bin', name), 0o755);
  }

  const ask = () => ended(process.execPath, [join(import.meta.dirname, 'build.ts'), 'zookeeper']);

  function ended(command: string, args: readonly string[]) {
    const env = { PATH: join(directory, 'bin'), XDG_CACHE_HOME: directory, FAKE_LOG: join(directory, 'log') };
    return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      execFile(command, [...args], { env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
    });
  }
});
