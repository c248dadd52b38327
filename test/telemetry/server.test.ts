import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { openServer, type ServerInputs } from '../../src/telemetry/server.ts';

const instance = (service: string, id: string): Instance => ({
  id,
  service,
  address: '10.0.0.7',
  port: 8080,
  health: 'healthy',
  liveness: 'persistent',
  weight: 100,
  tags: [],
  metadata: {},
  marks: { cluster: 'prod', owner: 'shop/web', registration: 'ServiceRegistration/shop/web', retained: false },
});

async function serve(t: TestContext, inputs: Partial<ServerInputs> = {}) {
  const server = await openServer(
    { host: '127.0.0.1', port: 0 },
    {
      live: () => true,
      ready: () => true,
      scrape: async () => ({ contentType: 'text/plain', body: 'up 1\n' }),
      registrySnapshot: () => undefined,
      summary: () => ({ cluster: 'prod', version: '1', registries: [], registrations: { total: 0, ready: 0 } }),
      ...inputs,
    },
  );
  t.after(() => server.close());
  return (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init);
}

test('/livez fails only when a worker is stuck', async (t) => {
  let stuck = false;
  const get = await serve(t, { live: () => !stuck });
  assert.equal((await get('/livez')).status, 200);
  stuck = true;
  const answer = await get('/livez');
  assert.equal(answer.status, 503);
  assert.equal(await answer.text(), 'a worker is stuck\n');
});

test('/readyz answers 503 until the caches are complete', async (t) => {
  let synced = false;
  const get = await serve(t, { ready: () => synced });
  assert.equal((await get('/readyz?verbose')).status, 503);
  synced = true;
  assert.equal((await get('/readyz')).status, 200);
});

test('the status page shows each registry with its state and counts', async (t) => {
  const down = { name: 'consul', type: 'Consul', up: false, desired: 3, registered: 1, owned: 2 };
  const get = await serve(t, {
    summary: () => ({ cluster: 'prod', version: '1', registries: [down], registrations: { total: 1, ready: 0 } }),
  });
  assert.match(await (await get('/')).text(), /<td>consul<td>Consul<td><b>down<\/b><td>3<td>1<td>2/);
});

test('/metrics gives what the scrape gives', async (t) => {
  const get = await serve(t);
  const answer = await get('/metrics');
  assert.equal(answer.headers.get('content-type'), 'text/plain');
  assert.equal(await answer.text(), 'up 1\n');
});

test('/registries/<name> lists the instances sorted by service and id', async (t) => {
  const held = [instance('web', 'b'), instance('web', 'a'), instance('api', 'z')];
  const get = await serve(t, { registrySnapshot: (name) => (name === 'demo' ? held : undefined) });
  const answer = await get('/registries/demo');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'application/json');
  assert.deepEqual(await answer.json(), { instances: [held[2], held[1], held[0]] });
});

test('/registries/<name> of a replica that does not lead says who does, and is no empty list', async (t) => {
  for (const leader of ['roster-1_abc', undefined]) {
    const get = await serve(t, { registrySnapshot: () => ({ leader }) });
    const answer = await get('/registries/demo');
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), leader === undefined ? /not elected yet/ : /ask roster-1_abc"/);
  }
});

test('a Registry of a namespace is found as namespace/name', async (t) => {
  const get = await serve(t, { registrySnapshot: (name) => (name === 'shop/own' ? [] : undefined) });
  assert.deepEqual(await (await get('/registries/shop/own')).json(), { instances: [] });
  assert.deepEqual(await (await get('/registries/shop%2Fown')).json(), { instances: [] });
});

test('an unknown registry is a 404 in JSON', async (t) => {
  const get = await serve(t);
  for (const path of ['/registries/none', '/registries/', '/registries/%E0%A4%A']) {
    const answer = await get(path);
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /^\{"error":"no registry of type Memory named/);
    assert.equal(answer.headers.get('content-type'), 'application/json');
  }
});

test('what is not served is refused: other paths with 404, other methods with 405', async (t) => {
  const get = await serve(t);
  assert.equal((await get('/debug/pprof')).status, 404);
  assert.equal((await get('/livez', { method: 'POST', body: 'x' })).status, 405);
  const head = await get('/livez', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), '');
});

test('the status page escapes the names of objects', async (t) => {
  const line = { name: '<script>', type: 'Memory', up: true, desired: 0, registered: 0, owned: 0 };
  const get = await serve(t, {
    summary: () => ({ cluster: 'a&b', version: '1', registries: [line], registrations: { total: 2, ready: 1 } }),
  });
  const page = await (await get('/')).text();
  assert.ok(!page.includes('<script>'));
  assert.match(page, /Cluster a&amp;b, version 1\. 1 of 2 registrations are ready\./);
});

test('an input that throws gives 500 and the server goes on', async (t) => {
  const get = await serve(t, { scrape: () => Promise.reject(new Error('s3cret')) });
  const answer = await get('/metrics');
  assert.equal(answer.status, 500);
  assert.equal(await answer.text(), 'internal error\n');
  assert.equal((await get('/livez')).status, 200);
});

test('a port in use rejects with the error of listen', async (t) => {
  const get = await serve(t);
  const port = Number(new URL((await get('/livez')).url).port);
  const inputs = { live: () => true, ready: () => true } as unknown as ServerInputs;
  await assert.rejects(openServer({ host: '127.0.0.1', port }, inputs), { code: 'EADDRINUSE' });
});
