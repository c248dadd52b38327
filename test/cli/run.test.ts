import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openControlPlane } from '../servers/control-plane.ts';
import { until } from '../servers/until.ts';
import { MAIN, roster } from './roster.ts';

const CRDS = join(import.meta.dirname, '..', '..', 'crds');
const TOKEN = 'c4n4ry-token-51';

interface Entry {
  readonly level: string;
  readonly msg: string;
  readonly httpPort?: number;
}

/** `roster run` on a free port; stopped at the end of the test if it still runs. */
async function startRoster(t: TestContext, kubeconfig: string) {
  const args = ['run', '--cluster-name', 'test', '--kubeconfig', kubeconfig, '--http-address', '127.0.0.1:0'];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const entries = (): readonly Entry[] =>
    stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  const port = await until('the line that tells the port', async () => {
    assert.equal(child.exitCode, null, stderr);
    return entries().find(({ msg }) => msg === 'roster started')?.httpPort;
  });
  return {
    entries,
    output: () => stdout + stderr,
    get: (path: string) => fetch(`http://127.0.0.1:${port}${path}`),
    signal: (name: NodeJS.Signals) => child.kill(name),
    async exitCode(): Promise<number | null> {
      await ended;
      return child.exitCode;
    },
  };
}

/** A kubeconfig for an API server where nobody listens. */
async function deadKubeconfig(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'roster-run-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'u', user: { token: TOKEN } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}

test('without an API server the operator lives, is not ready, keeps its token to itself, and stops with 0', async (t) => {
  const operator = await startRoster(t, await deadKubeconfig(t));
  assert.equal((await operator.get('/livez')).status, 200);
  assert.equal((await operator.get('/readyz')).status, 503);
  await until('a counted request without an answer', async () => {
    const metrics = await (await operator.get('/metrics')).text();
    return (
      /^rest_client_requests_total\{code="<error>",method="GET",host="127\.0\.0\.1:1"\} [1-9]/m.test(metrics) ||
      undefined
    );
  });
  operator.signal('SIGTERM');
  assert.equal(await operator.exitCode(), 0, operator.output());
  assert.ok(!operator.output().includes(TOKEN));
});

test('a port in use is one line on standard error and exit code 1', async (t) => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  t.after(() => blocker.close());
  const address = blocker.address();
  assert.ok(typeof address === 'object' && address !== null);
  const flags = ['--cluster-name', 'test', '--http-address', `127.0.0.1:${address.port}`];
  const { code, stderr } = await roster(['run', ...flags, '--kubeconfig', await deadKubeconfig(t)]);
  assert.equal(code, 1);
  assert.match(stderr, /^roster: [^\n]*EADDRINUSE[^\n]*\n$/);
});

test('against a real cluster the operator gets ready, serves its Memory registry, and ends with 0 at SIGTERM', async (t) => {
  const cluster = await openControlPlane();
  t.after(() => cluster.stop());
  await cluster.kubectl(['apply', '--server-side', '-f', CRDS]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', CRDS]);
  await cluster.apply([
    {
      apiVersion: 'roster.dev/v1alpha1',
      kind: 'ClusterRegistry',
      metadata: { name: 'demo' },
      spec: { type: 'Memory', memory: {}, allowedNamespaces: { all: true } },
    },
  ]);
  const operator = await startRoster(t, cluster.kubeconfig);
  await until('/readyz', async () => ((await operator.get('/readyz')).status === 200 ? true : undefined));
  await until('the Memory registry', async () => {
    const answer = await operator.get('/registries/demo');
    return answer.status === 200 ? answer.json() : undefined;
  });
  const page = await (await operator.get('/')).text();
  assert.match(page, /<td>demo<td>Memory/);
  operator.signal('SIGTERM');
  assert.equal(await operator.exitCode(), 0, operator.output());
  assert.equal(operator.entries().at(-1)?.msg, 'stopped');
});
