import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { after, describe, it } from 'node:test';
import { openNacos } from './nacos.ts';
import { until } from './until.ts';

describe('the Nacos server', () => {
  it('asks for a login, has persistent instances and both its ports, and leaves nothing behind', async () => {
    const server = await openNacos({ auth: true });
    after(() => server.stop());
    const api = (path: string, method = 'GET') => fetch(`${server.address}/nacos/v1${path}`, { method });
    const instance = '/ns/instance?serviceName=web&ip=10.0.0.7&port=80&ephemeral=false';
    assert.equal((await api(instance, 'POST')).status, 403);

    const login = await api('/auth/login?username=nacos&password=nacos', 'POST');
    const { accessToken } = (await login.json()) as { accessToken: string };
    const written = await until('the Raft group of the server to take a write', async () => {
      const answer = await api(`${instance}&accessToken=${accessToken}`, 'POST');
      return answer.ok ? await answer.text() : undefined;
    });
    assert.equal(written, 'ok');

    const grpc = connect(server.grpcPort, '127.0.0.1');
    await once(grpc, 'connect');
    grpc.destroy();

    await server.stop();
    await assert.rejects(api('/ns/operator/metrics'));
    await assert.rejects(access(dirname(server.logPath)), { code: 'ENOENT' });
  });
});
