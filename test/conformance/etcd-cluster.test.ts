// Three members: what goes on when one is gone, and what is told when most are.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { answers, onFreePorts, openProcess, openScratch, type ServerProcess } from '../servers/process.ts';
import { until } from '../servers/until.ts';
import { ensureTools } from '../tools/build.ts';
import { openAt, rawEtcd } from './etcd-harness.ts';
import { layoutBooks } from './etcd-layouts.ts';
import { assertOk, assertSame, failureOf, never, stored, using } from './expectations.ts';
import { freshCluster, register, sampleOf, samplesOf } from './samples.ts';

const NAMES = ['a', 'b', 'c'] as const;
type Member = ServerProcess & { readonly address: string };

async function openMembers(): Promise<readonly Member[]> {
  const { etcd } = await ensureTools(['etcd']);
  const scratch = await openScratch('etcd-cluster');
  after(() => scratch.remove());
  return onFreePorts(['a', 'b', 'c', 'peerA', 'peerB', 'peerC'], async (ports) => {
    const peers = { a: ports.peerA, b: ports.peerB, c: ports.peerC };
    const cluster = NAMES.map((name) => `${name}=http://127.0.0.1:${peers[name]}`).join(',');
    const opening = NAMES.map(async (name): Promise<Member> => {
      const address = `http://127.0.0.1:${ports[name]}`;
      const peer = `http://127.0.0.1:${peers[name]}`;
      const server = await openProcess({
        name: 'etcd',
        command: etcd,
        args: [
          `--name=${name}`,
          `--data-dir=${join(scratch.path, name)}`,
          `--listen-client-urls=${address}`,
          `--advertise-client-urls=${address}`,
          `--listen-peer-urls=${peer}`,
          `--initial-advertise-peer-urls=${peer}`,
          `--initial-cluster=${cluster}`,
          '--log-level=warn',
          '--unsafe-no-fsync',
        ],
        logPath: join(scratch.path, `${name}.log`),
        ready: () => answers(`${address}/health`),
      });
      after(() => server.stop());
      return { ...server, address };
    });
    return Promise.all(opening);
  });
}

describe('an etcd of three members', async () => {
  const members = await openMembers();
  const [first, second, third] = members as readonly [Member, Member, Member];
  const endpoints = members.map(({ address }) => address);

  it('loses none of its leases and entries with one of them, and is told to have no leader without two', async () => {
    const raw = rawEtcd(third.address);
    after(() => raw.close());
    await using(
      () => openAt(endpoints, { ttlMs: 15_000, requestMs: 5_000 }),
      async (registry) => {
        const cluster = freshCluster();
        const instances = samplesOf(cluster, 20).map((one, n) =>
          stored(registry, { ...one, liveness: n % 2 === 0 ? 'leased' : 'persistent' }),
        );
        assertOk(await registry.apply(instances.map(register), never));
        let hints = 0;
        const ended = failureOf(registry.watch({ cluster }, () => hints++, never));
        await until('the watch to stand', async () => (hints === 1 ? true : undefined));

        first.kill('SIGKILL');
        // At another member, or anew.
        await Promise.race([until('a hint', async () => (hints === 2 ? true : undefined)), ended]);
        const listed = await until('another member', () => registry.list(cluster, never).catch(() => undefined));
        assertSame(listed, instances);
        const late = stored(registry, sampleOf(cluster, { number: 900, liveness: 'leased' }));
        await until('a write', async () => {
          const [result] = await registry.apply([register(late)], never);
          return result?.ok === true ? true : undefined;
        });
        const { kvs } = await raw.client.get(layoutBooks.Roster.keyOf(late)).exec();
        const ID = kvs[0]?.lease ?? assert.fail();
        let before = Number.POSITIVE_INFINITY;
        let renewals = 0;
        await until('two renewals', async () => {
          const left = Number((await raw.client.leaseClient.leaseTimeToLive({ ID })).TTL);
          assert.ok(left > 0, 'the lease ran out');
          if (left > before) renewals++;
          before = left;
          return renewals === 2 ? true : undefined;
        });
        assertSame(await registry.list(cluster, never), [...instances, late]);
      },
    );

    await using(
      () => openAt(third.address, { requestMs: 15_000 }),
      async (registry) => {
        let hints = 0;
        const ended = failureOf(registry.watch({ cluster: 'prod' }, () => hints++, never));
        await until('the watch to stand', async () => (hints === 1 ? true : undefined));
        second.kill('SIGKILL');
        assert.equal((await ended).code, 'unavailable');
        assert.equal((await failureOf(registry.list('prod', never))).code, 'unavailable');
        await second.restart();
        await until('a leader', () => registry.list('prod', never).catch(() => undefined));
      },
    );
  });
});
