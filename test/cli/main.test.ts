import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roster } from './roster.ts';

test('--help names every command', async () => {
  const { code, stdout } = await roster(['--help']);
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: roster /);
  for (const command of ['run', 'plan', 'diff', 'status', 'explain', 'adopt'])
    assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
});

test('run --help names each flag with its variable', async () => {
  const { stdout } = await roster(['run', '--help']);
  const flat = stdout.replace(/\s+/g, ' ');
  for (const flag of [
    'cluster-name',
    'kubeconfig',
    'context',
    'endpoints-source',
    'http-address',
    'leader-elect',
    'log-level',
    'operator-namespace',
  ]) {
    const variable = `ROSTER_${flag.toUpperCase().replaceAll('-', '_')}`;
    assert.match(flat, new RegExp(`--${flag} .*env: ${variable}\\)`));
  }
});

test('run with a bad configuration tells all errors, one a line, and exits 2', async () => {
  const { code, stdout, stderr } = await roster(['run', '--log-level', 'loud'], { ROSTER_HTTP_ADDRESS: 'x' });
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    /^roster: --cluster-name [^\n]* is required\nroster: --http-address [^\n]*\nroster: --log-level [^\n]*\n$/,
  );
});

for (const args of [
  ['bogus'],
  ['plan', '-o', 'xml'],
  ['plan', '--bogus'],
  ['explain'],
  ['adopt'],
  ['adopt', 'a/b/c'],
  ['plan'],
  ['plan', '--cluster-name', 'A'],
]) {
  test(`\`roster ${args.join(' ')}\` is a usage error: exit code 2, nothing on standard output`, async () => {
    const { code, stdout, stderr } = await roster(args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.notEqual(stderr, '');
  });
}

test('a cluster that cannot be reached is one line on standard error and exit code 1', async () => {
  for (const args of [
    ['status'],
    ['adopt', 'consul'],
    ['plan', '--cluster-name', 'prod'],
    ['explain', 'shop/web', '--cluster-name', 'prod'],
  ]) {
    const { code, stdout, stderr } = await roster([...args, '--kubeconfig', '/nonexistent/kubeconfig']);
    assert.equal(code, 1, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /^roster: cannot tell which cluster to use: [^\n]*\/nonexistent\/kubeconfig[^\n]*\n$/);
  }
});

test('diff exits 2, not 1, when it cannot say', async () => {
  const { code } = await roster(['diff', '--cluster-name', 'prod', '--kubeconfig', '/nonexistent/kubeconfig']);
  assert.equal(code, 2);
});
