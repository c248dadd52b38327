import { Etcd3 } from 'etcd3';
import { openEtcd } from '../../servers/etcd.ts';
import { chunks, crashing, perSecond, type RawLoop, type Subject, timed, timesOf } from './subject.ts';

/** The most that etcd takes in one transaction. */
const TXN_OPERATIONS = 128;
const PREFIX = '/services/';
/** Who writes for a cluster, which is no entry. */
const CLAIMS = `${PREFIX}.owner/`;

export const etcdSubject = (liveness: Subject['liveness']): Subject => ({
  name: liveness === 'Leased' ? 'etcd, leased' : 'etcd',
  liveness,
  rawLoop: 'one full transaction after the other',
  async open() {
    const server = await openEtcd({ fsync: true });
    const raw = new Etcd3({ hosts: server.address });
    const all = () => raw.getAll().prefix(PREFIX);
    return {
      spec: { type: 'Etcd', etcd: { endpoints: [server.address] } },
      async count() {
        const [keys, claims] = await Promise.all([all().count(), raw.getAll().prefix(CLAIMS).count()]);
        return keys - claims;
      },
      revision: async () => (await all().limit(1).exec()).header.revision,
      async rawLoop() {
        const keys = Object.entries(await all().strings());
        return openRawLoop(
          keys.filter(([key]) => !key.startsWith(CLAIMS)),
          liveness,
        );
      },
      ...crashing(server),
      async stop() {
        raw.close();
        await server.stop();
      },
    };
  },
});

async function openRawLoop(entries: readonly [string, string][], liveness: Subject['liveness']): Promise<RawLoop> {
  const server = await openEtcd({ fsync: true });
  const raw = new Etcd3({ hosts: server.address });
  const lease = liveness === 'Leased' ? await raw.lease(180).grant() : undefined;
  const put = (key: string, value: string) => {
    const one = raw.put(key).value(value);
    return lease === undefined ? one : one.lease(lease);
  };
  const write = (batch: readonly (readonly [string, string])[]) =>
    raw
      .if(PREFIX, 'Version', '==', 0)
      .then(...batch.map(([key, value]) => put(key, value)))
      .commit();
  return {
    rate: async () =>
      perSecond(
        entries.length,
        await timed(async () => {
          for (const batch of chunks(entries, TXN_OPERATIONS)) await write(batch);
        }),
      ),
    latencies: (count) =>
      timesOf(count, (at) => {
        const [key, value] = entries[at % entries.length] ?? ['', ''];
        return write([[key, `${value} `]]);
      }),
    async stop() {
      raw.close();
      await server.stop();
    },
  };
}
