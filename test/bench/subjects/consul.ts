import { openConsul } from '../../servers/consul.ts';
import { readEntries } from '../consul-eyes.ts';
import { rawLatencies, rawRate } from '../raw.ts';
import { crashing, type Subject } from './subject.ts';

export const consulSubject: Subject = {
  name: 'Consul',
  liveness: 'Persistent',
  rawLoop: 'one full transaction after the other',
  async open({ durable: persistent = false } = {}) {
    const server = await openConsul({ persistent });
    return {
      spec: { type: 'Consul', consul: { address: server.address } },
      count: async () => (await readEntries(server)).length,
      revision: async () => String(await server.raftIndex()),
      async rawLoop() {
        const entries = await readEntries(server);
        const fresh = await openConsul({ persistent });
        return {
          rate: () => rawRate(fresh, entries, 1),
          latencies: (count) => rawLatencies(fresh, entries, { count, paceMs: 0 }),
          stop: fresh.stop,
        };
      },
      ...crashing(server),
      stop: server.stop,
    };
  },
};
