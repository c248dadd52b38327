import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const script = join(import.meta.dirname, 'demo.ts');

function demo(env: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> {
  const options = { env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, [script], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

for (const registry of ['memory', 'consul']) {
  test(`the demo does the main job with ${registry}, tells the time of each change, and ends with 0`, async () => {
    const { code, stdout, stderr } = await demo({ REGISTRY: registry });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^ {2}roster-demo-api +3\/3 +[\d.]+:8080 [\d.]+:8080 [\d.]+:8080$/m);
    assert.match(stdout, /^ {2}web +3\/3 +[\d.]+:8080 [\d.]+:8080 [\d.]+:8080$/m);
    const timing = '[\\d.<]+ m?s after the API server took the change, [\\d.<]+ m?s after its EndpointSlice said so';
    assert.match(stdout, new RegExp(`^  one Pod no longer ready +${timing}$`, 'm'));
    assert.match(stdout, new RegExp(`^  web scaled from 3 to 4 +${timing}$`, 'm'));
    assert.match(stdout, /serviceregistration\.roster\.dev\/web +True +Synced/);
    assert.match(stdout, /in +not ready: listed as unhealthy/);
    assert.match(stdout, /Everything is down again/);
  });
}

test('a registry that the demo does not know is named, before anything is started', async () => {
  const { code, stderr } = await demo({ REGISTRY: 'postgres' });
  assert.equal(code, 1);
  assert.match(stderr, /^demo: REGISTRY=postgres: this version of Roster serves memory and consul$/m);
});
