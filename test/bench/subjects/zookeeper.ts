import zookeeper from 'node-zookeeper-client';
import { type RawNode, type RawZooKeeper, rawZooKeeper, withRawZooKeeper } from '../../conformance/zookeeper-raw.ts';
import { openZooKeeper } from '../../servers/zookeeper.ts';
import { chunks, crashing, perSecond, type RawLoop, type Subject, timed, timesOf } from './subject.ts';

/** ZooKeeper takes 1 MiB: more operations in one transaction than this make it no faster. */
const MULTI_OPERATIONS = 200;
const ROOT = '/services';

export const zooKeeperSubject = (liveness: Subject['liveness']): Subject => ({
  name: liveness === 'Leased' ? 'ZooKeeper, leased' : 'ZooKeeper',
  liveness,
  rawLoop: 'one transaction of 200 after the other',
  async open() {
    const server = await openZooKeeper();
    const reading = <T>(use: (raw: RawZooKeeper) => Promise<T>) => withRawZooKeeper(server.address, use);
    return {
      spec: { type: 'ZooKeeper', zookeeper: { connectString: server.address } },
      count: () =>
        reading(async (raw) => {
          const services = await raw.children(ROOT);
          const counts = await Promise.all(services.map((service) => raw.children(`${ROOT}/${service}`)));
          return counts.reduce((sum, { length }) => sum + length, 0);
        }),
      // Sessions that come and go count as well, but in no node.
      async revision() {
        const nodes = await reading((raw) => raw.entries(ROOT));
        const changes = nodes.map(({ stat }) => stat.mzxid.toString('hex')).sort();
        return `${nodes.length} nodes, the last change ${changes.at(-1)}`;
      },
      rawLoop: async () => openRawLoop(await reading((raw) => raw.entries(ROOT)), liveness),
      ...crashing(server),
      stop: server.stop,
    };
  },
});

async function openRawLoop(nodes: readonly RawNode[], liveness: Subject['liveness']): Promise<RawLoop> {
  const server = await openZooKeeper();
  const raw = rawZooKeeper(`${server.address}`);
  const mode = liveness === 'Leased' ? zookeeper.CreateMode.EPHEMERAL : zookeeper.CreateMode.PERSISTENT;
  const directories = [...new Set(nodes.map(({ path }) => path.slice(0, path.lastIndexOf('/'))))];
  await raw.put(`${ROOT}/x`, '');
  await raw.remove(`${ROOT}/x`);
  const commit = (fill: (transaction: zookeeper.Transaction) => void) =>
    new Promise<void>((resolve, reject) => {
      const transaction = raw.client.transaction();
      fill(transaction);
      transaction.commit((error) => (error ? reject(error) : resolve()));
    });
  return {
    // A new service costs a directory of its own, in Roster's writes as in these.
    rate: async () =>
      perSecond(
        nodes.length,
        await timed(async () => {
          for (const batch of chunks(directories, MULTI_OPERATIONS))
            await commit((transaction) => {
              for (const path of batch) transaction.create(path);
            });
          for (const batch of chunks(nodes, MULTI_OPERATIONS))
            await commit((transaction) => {
              for (const { path, text } of batch) transaction.create(path, Buffer.from(text), mode);
            });
        }),
      ),
    latencies: (count) =>
      timesOf(count, (at) => {
        const node = nodes[at % nodes.length];
        return commit((transaction) => transaction.setData(node?.path ?? '', Buffer.from(`${node?.text} `)));
      }),
    async stop() {
      await raw.close();
      await server.stop();
    },
  };
}
