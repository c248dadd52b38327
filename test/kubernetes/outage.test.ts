// With a control plane of its own: its history is compacted and its API server restarted.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { services } from '../../src/kubernetes/resources.ts';
import { kubeconfigThrough } from '../links/kubeconfig-through.ts';
import { openTcpLink, type TcpLink } from '../links/tcp-link.ts';
import { type ControlPlaneServers, openControlPlane } from '../servers/control-plane.ts';
import { reflection, until } from './reflection.ts';

const namespace = 'outage';

/** Makes etcd forget everything before now, and the API server, restarted, its own memory of it. */
async function forgetHistory(cluster: ControlPlaneServers): Promise<void> {
  const { etcd, apiServer } = cluster.servers;
  assert.ok('address' in etcd && typeof etcd.address === 'string');
  const ask = async (path: string, body: object) => {
    const answer = await fetch(`${etcd.address}${path}`, { method: 'POST', body: JSON.stringify(body) });
    assert.equal(answer.status, 200, `${path}: ${answer.status}`);
    return answer.json() as Promise<{ header: { revision: string } }>;
  };
  const { header } = await ask('/v3/kv/range', { key: Buffer.from('x').toString('base64') });
  await ask('/v3/kv/compaction', { revision: header.revision, physical: true });
  await apiServer.restart();
}

describe('an API server that was away', () => {
  let cluster: ControlPlaneServers;
  let proxy: TcpLink;
  let kubeconfig: string;
  const create = (name: string) =>
    cluster.kubectl(['create', `--namespace=${namespace}`, 'service', 'clusterip', name, '--tcp=80']);
  const remove = (name: string) => cluster.kubectl(['delete', `--namespace=${namespace}`, 'service', name]);

  before(async () => {
    cluster = await openControlPlane();
    proxy = await openTcpLink(Number(new URL(cluster.url).port));
    kubeconfig = await kubeconfigThrough(cluster.kubeconfig, proxy.port, join(cluster.directory, 'proxied.kubeconfig'));
    await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]);
  });
  after(async () => {
    await proxy?.close();
    await cluster?.stop();
  });

  it('has its missed changes caught up from the last event when it still knows them', async () => {
    await create('a');
    const reading = await reflection(kubeconfig, services, { namespace });
    try {
      await until(() => reading.deltas.length === 1, 'the list', 60_000);
      proxy.cut();
      await create('b');
      await remove('a');
      proxy.heal();
      await until(() => reading.deltas.length === 3, 'what was missed', 60_000);
      assert.deepEqual(reading.deltas, ['+a', '+b', '-a']);
    } finally {
      await reading.stop();
      await remove('b');
    }
  });

  it('is listed again when it has compacted its history; what vanished goes after two lists and a live 404, what was replaced at once', async () => {
    await create('stays');
    await create('vanishes');
    await create('replaced');
    const reading = await reflection(kubeconfig, services, { namespace, confirmMs: 3000 });
    try {
      await until(() => reading.deltas.length === 3, 'the list', 60_000);
      proxy.cut();
      await remove('vanishes');
      await remove('replaced');
      await create('replaced');
      await forgetHistory(cluster);
      proxy.heal();
      await until(() => reading.deltas.length === 5, 'the new list', 60_000);
      assert.deepEqual(reading.deltas.slice(3), ['-replaced', '+replaced']);
      assert.equal(
        reading.store.get(`${namespace}/vanishes`)?.metadata.name,
        'vanishes',
        'still there until it is certain',
      );
      assert.equal(reading.store.wasDeleted(`${namespace}/vanishes`), false);

      await until(() => reading.deltas.length === 6, 'the removal', 60_000);
      assert.equal(reading.deltas.at(-1), '-vanishes');
      assert.equal(reading.store.wasDeleted(`${namespace}/vanishes`), true);
      const gets = reading.client.asked.filter(({ path }) => path.endsWith('/vanishes'));
      assert.equal(gets.length, 1);
      assert.equal(reading.store.size, 2);
    } finally {
      await reading.stop();
    }
  });

  it('that falls silent without closing is noticed, and read again when it answers', async () => {
    const reading = await reflection(kubeconfig, services, { namespace, stallMs: 2000 });
    try {
      await reading.store.whenSynced(AbortSignal.timeout(60_000));
      proxy.freeze();
      await create('meanwhile');
      await until(
        () => reading.log.lines.some(({ fields }) => /no event and no bookmark/.test(String(fields['why']))),
        'the silence to be noticed',
        60_000,
      );
      proxy.heal();
      await until(() => reading.deltas.includes('+meanwhile'), 'what was missed', 60_000);
      assert.deepEqual(
        reading.deltas.filter((delta) => delta.startsWith('-')),
        [],
      );
    } finally {
      await reading.stop();
    }
  });
});
