import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { openNacosHttp } from '../../src/registries/nacos/http.ts';
import { never } from '../conformance/expectations.ts';
import { closeAfterTest } from './nacos-scripted-registry.ts';

/** Says which version it is, and takes everything. */
async function openServer(version: string) {
  const isVersion3 = version.startsWith('3.');
  const asked: [string, Record<string, string>][] = [];
  const server = createServer(async (request, response) => {
    let form = '';
    for await (const chunk of request.setEncoding('utf8')) form += chunk;
    const { pathname } = new URL(`http://nacos${request.url}`);
    if (request.method === 'GET') {
      const path = isVersion3 ? '/nacos/v3/admin/core/state' : '/nacos/v1/console/server/state';
      response.statusCode = pathname === path ? 200 : 404;
      response.end(JSON.stringify(isVersion3 ? { code: 0, data: { version } } : { version }));
      return;
    }
    asked.push([`${request.method} ${pathname}`, Object.fromEntries(new URLSearchParams(form))]);
    response.end(isVersion3 ? JSON.stringify({ code: 0, data: 'ok' }) : 'ok');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closeAfterTest({ close: () => server.closeAllConnections() });
  closeAfterTest({ close: () => server.close() });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

for (const [version, path] of [
  ['2.2.4', 'PUT /nacos/v1/ns/service'],
  ['3.1.0', 'PUT /nacos/v3/admin/ns/service'],
] as const) {
  it(`a protectThreshold is set on a service of ${version} that exists, and nothing is asked where there is none`, async () => {
    const { address, asked } = await openServer(version);
    const http = (protectThreshold?: number) => {
      const opened = openNacosHttp({
        addresses: [address],
        group: 'shop',
        cluster: 'DEFAULT',
        protocol: 'Auto',
        protectThreshold,
        connectMs: 30_000,
        requestMs: 30_000,
      });
      closeAfterTest(opened);
      return opened;
    };
    await http().protectService('web', never);
    await http(0).protectService('web', never);
    assert.deepEqual(asked, []);
    await http(0.4).protectService('web', never);
    const params = { namespaceId: 'public', groupName: 'shop', serviceName: 'web', protectThreshold: '0.4' };
    assert.deepEqual(asked, [[path, params]]);
  });
}
