import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { burstSteps, steadySteps } from './changes.ts';
import { atLeast, atMost, median, quantile, verdict } from './figures.ts';

const figure = { part: 'x', name: 'y', unit: 'ms' };

describe('figures', () => {
  test('are held against what they should reach, the limit itself included', () => {
    assert.equal(verdict({ ...figure, value: 5, target: atMost(5, '5') }), 'ok');
    assert.equal(verdict({ ...figure, value: 5.1, target: atMost(5, '5') }), 'missed');
    assert.equal(verdict({ ...figure, value: 0.49, target: atLeast(0.5, '0.5') }), 'missed');
    assert.equal(verdict({ ...figure, value: Number.NaN, target: atMost(5, '5') }), 'missed');
    assert.equal(verdict({ ...figure, value: 7 }), '');
  });

  test('are quantiles that do not flatter: the p99 of a hundred is the second largest, of ten the largest', () => {
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
    assert.equal(quantile(hundred, 0.99), 99);
    assert.equal(quantile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], 0.99), 10);
    assert.equal(median([3, 1, 2]), 2);
  });
});

describe('steps', () => {
  test('take every Service down before they bring it back, a second later', () => {
    const steps = steadySteps(100, 20, 10);
    assert.equal(steps.length, 200);
    const state = new Map<number, { ready: boolean; atMs: number }>();
    for (const { service, ready, atMs } of steps) {
      const before = state.get(service);
      if (ready) assert.deepEqual([before?.ready, atMs - (before?.atMs ?? 0)], [false, 1_000]);
      else assert.notEqual(before?.ready, false);
      state.set(service, { ready, atMs });
    }
    assert.equal(state.size, 100);
    assert.ok([...state.values()].every(({ ready }) => ready));
  });

  test('leave nothing down, however long they last', () => {
    for (const seconds of [1, 3, 61]) {
      const last = new Map(steadySteps(100, 20, seconds).map(({ service, ready }) => [service, ready]));
      assert.ok(last.size > 0 && [...last.values()].every((ready) => ready), `${seconds} s`);
    }
  });

  test('of a burst are one for each Service', () => {
    const steps = burstSteps(1_000, 500, false);
    assert.equal(new Set(steps.map(({ service }) => service)).size, 500);
    assert.ok((steps.at(-1)?.atMs ?? 0) < 1_000);
  });
});

test('the whole benchmark converges at a small size, and sees no write when idle or after a restart, and after an outage what is due alone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'roster-bench-'));
  t.after(() => rm(folder, { recursive: true }));
  const output = join(folder, 'bench.json');
  const small = {
    BENCH_OUTPUT: output,
    BENCH_SERVICES: '20',
    BENCH_RUNS: '1',
    BENCH_CHANGE_SECONDS: '2',
    BENCH_IDLE_SECONDS: '2',
    BENCH_FLAP_SECONDS: '2',
    BENCH_OUTAGE_SECONDS: '2',
    BENCH_PROGRAMS: 'source',
    // Each registry once; how entries are leased is shown elsewhere.
    BENCH_REGISTRIES: 'consul etcd-leased zookeeper nacos-leased',
  };
  const script = join(import.meta.dirname, 'bench.ts');
  const ended = await new Promise<{ code: number; output: string }>((resolve) => {
    execFile(process.execPath, [script], { env: { ...process.env, ...small } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
  assert.equal(ended.code, 0, ended.output);
  const { complete, figures } = JSON.parse(await readFile(output, 'utf8'));
  assert.equal(complete, true);
  const value = (part: string, name: string): number | undefined =>
    figures.find((one: { part: string; name: string }) => one.part === part && one.name === name)?.value;
  for (const part of ['idle, 2 s', 'restart']) {
    assert.equal(value(part, 'registry writes (raft entries)'), 0, part);
    assert.equal(value(part, 'status writes (versions)'), 0, part);
  }
  assert.equal(value('restart', 'deregistrations'), 0);
  for (const part of ['Consul', 'etcd, leased', 'ZooKeeper', 'Nacos, leased']) {
    assert.equal(value(part, 'idle 2 s: the registry moved'), 0, part);
    assert.equal(value(part, 'deregistrations'), 0, part);
  }
  assert.equal(value('flapping, 4 changes', 'deregistrations'), 0);
  for (const name of ['Consul', 'ZooKeeper']) {
    assert.equal(value(`${name}, emptied`, 'writes'), 100, name);
    assert.equal(value(`${name}, away 2 s`, 'writes'), 20, name);
    assert.equal(value(`${name}, away 2 s`, 'deregistrations'), 0, name);
  }
});
