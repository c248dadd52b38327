import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { until } from './until.ts';

const directory = await mkdtemp(join(tmpdir(), 'roster-dev-'));

describe('dev-up and dev-down', () => {
  after(async () => {
    await script('dev-down');
    await rm(directory, { recursive: true, force: true });
  });

  it('leave a control plane, registries and the operator up, and a second time changes nothing', async () => {
    const first = await script('dev-up', {
      REGISTRIES: 'consul zookeeper',
      ROSTER: '1',
      ROSTER_FLAGS: '--log-level debug',
    });
    assert.deepEqual([first.code, first.stderr], [0, '']);
    const env = await variables();
    assert.deepEqual(Object.keys(env).sort(), ['CONSUL_ADDR', 'KUBECONFIG', 'ROSTER_URL', 'ZOOKEEPER_ADDR']);
    for (const name of ['CONSUL_ADDR', 'ROSTER_URL']) assert.match(env[name] ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);

    assert.match(env['ZOOKEEPER_ADDR'] ?? '', /^127\.0\.0\.1:\d+$/);

    const kubectl = join(directory, 'bin', 'kubectl');
    const crds = await ended(kubectl, ['get', 'crds', '-o', 'name'], { KUBECONFIG: env['KUBECONFIG'] ?? '' });
    assert.match(crds.stdout, /serviceregistrations\.roster\.dev/);
    assert.equal((await fetch(`${env['CONSUL_ADDR']}/v1/status/leader`)).status, 200);
    assert.equal((await fetch(`${env['ROSTER_URL']}/livez`)).status, 200);

    // Also a namespace may name a registry of this environment, although it is on loopback.
    const kubeconfig = { KUBECONFIG: env['KUBECONFIG'] ?? '' };
    const own = join(directory, 'registry.json');
    await writeFile(
      own,
      JSON.stringify({
        apiVersion: 'roster.dev/v1alpha1',
        kind: 'Registry',
        metadata: { name: 'own', namespace: 'default' },
        spec: { type: 'Consul', consul: { address: env['CONSUL_ADDR'] } },
      }),
    );
    assert.equal((await ended(kubectl, ['apply', '-f', own], kubeconfig)).code, 0);
    const ready = ['wait', '--for=condition=Ready', '--timeout=60s', '-n', 'default', 'registries.roster.dev/own'];
    assert.equal((await ended(kubectl, ready, kubeconfig)).code, 0);
    await rm(own);

    const help = await ended(join(directory, 'bin', 'roster'), ['--help']);
    assert.match(help.stdout, /^Usage: roster /);

    const second = await script('dev-up', { REGISTRIES: 'consul', ROSTER: '1' });
    // Units start side by side, so their lines come in any order.
    assert.deepEqual(second.stdout.split('\n').slice(0, 3).sort(), [
      'consul: already up',
      'control-plane: already up',
      'roster: already up',
    ]);
    assert.deepEqual(await variables(), env);

    const down = await script('dev-down');
    assert.deepEqual(
      [down.code, down.stdout.split('\n')],
      [0, ['roster: down', 'control-plane: down', 'consul: down', 'zookeeper: down', '']],
    );
    await until('the servers to be gone', async () => {
      const answers = [env['CONSUL_ADDR'], env['ROSTER_URL']].map((url) => fetch(String(url)).catch(() => 'refused'));
      return (await Promise.all(answers)).every((answer) => answer === 'refused') || undefined;
    });
    assert.deepEqual(await readdir(directory), ['bin']);
  });

  it('say which registries there are', async () => {
    const unknown = await script('dev-up', { REGISTRIES: 'consul redis' });
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /^dev-up: REGISTRIES: there is no redis; available are: consul, etcd, nacos, zookeeper\n$/,
    );
  });
});

async function variables(): Promise<Record<string, string>> {
  const text = await readFile(join(directory, 'env'), 'utf8');
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => line.split('=', 2) as [string, string]),
  );
}

function script(name: string, env: Record<string, string> = {}) {
  return ended(process.execPath, [join(import.meta.dirname, `${name}.ts`)], {
    ROSTER_DEV_DIRECTORY: directory,
    ...env,
  });
}

function ended(command: string, args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(command, [...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}
