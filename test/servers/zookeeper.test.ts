import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { after, describe, it } from 'node:test';
import zookeeper from 'node-zookeeper-client';
import { openZooKeeper } from './zookeeper.ts';

describe('the ZooKeeper server', () => {
  it('tells its version, counts its writes, keeps its data over a crash, and leaves nothing behind', async () => {
    const server = await openZooKeeper({ fsync: false });
    after(() => server.stop());
    assert.match(await server.ask('srvr'), /^Zookeeper version: 3\.9\./);

    const before = await server.zxid();
    await withClient(server.address, async (client) => {
      const path = await promised<string>((done) => client.create('/kept', Buffer.from('x'), done));
      assert.equal(path, '/kept');
    });
    // The session of the client was opened and closed, and the node written.
    assert.equal(await server.zxid(), before + 3n);

    const first = server.pid;
    server.kill('SIGKILL');
    await server.restart();
    assert.notEqual(server.pid, first);
    await withClient(server.address, async (client) => {
      const data = await promised<Buffer>((done) => client.getData('/kept', done));
      assert.equal(data.toString(), 'x');
    });

    await server.stop();
    await assert.rejects(access(dirname(server.logPath)), { code: 'ENOENT' });
  });
});

async function withClient(address: string, use: (client: zookeeper.Client) => Promise<void>): Promise<void> {
  const client = zookeeper.createClient(address);
  client.connect();
  try {
    await use(client);
  } finally {
    const closed = new Promise<void>((resolve) => client.once('disconnected', resolve));
    client.close();
    await closed;
  }
}

function promised<T>(call: (done: (error: unknown, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));
}
