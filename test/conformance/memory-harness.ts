import { systemClock } from '../../src/clock.ts';
import { canonical, type Instance } from '../../src/mirror/instance.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { storeOf } from '../../src/registries/memory-store.ts';
import type { Harness, Stranger } from './harness.ts';
import { sampleOf } from './samples.ts';

/** Longer than a busy machine keeps a test from looking. */
const LEASE_MS = 1_000;

/** Its own view is the map that it is given; each change to it counts. */
export function memoryHarness(entries = new Map<string, Instance>()): Harness {
  const writes = new Map<string, number>();
  const set = entries.set.bind(entries);
  const remove = entries.delete.bind(entries);
  const count = (instance: Instance | undefined) => {
    const { cluster } = instance?.marks ?? { cluster: '' };
    writes.set(cluster, (writes.get(cluster) ?? 0) + 1);
  };
  entries.set = (id, instance) => {
    count(instance);
    return set(id, instance);
  };
  entries.delete = (id) => {
    count(entries.get(id));
    return remove(id);
  };
  const { claims } = storeOf(entries, systemClock);
  const nobody = { cluster: '', owner: '', registration: '', retained: false };
  const put = (instance: Instance): Stranger => {
    entries.set(instance.id, instance);
    const before = canonical(instance);
    return {
      isIntact: async () => {
        const standing = entries.get(instance.id);
        return standing !== undefined && canonical(standing) === before;
      },
    };
  };
  return {
    name: 'Memory',
    open: () => openMemory({ entries }),
    peek: async (cluster) => {
      // Whoever reads lets go what has lapsed.
      openMemory({ entries }).snapshot();
      return [...entries.values()].filter(({ marks }) => marks.cluster === cluster);
    },
    revision: async (cluster) => String(writes.get(cluster) ?? 0),
    intruder: {
      addStranger: async (service) => put({ ...sampleOf(''), id: `stranger of ${service}`, service, marks: nobody }),
      takeOver: async (instance) => put({ ...instance, port: 7, marks: nobody }),
      setPort: async (instance, port) => void put({ ...(entries.get(instance.id) ?? instance), port }),
      remove: async ({ id }) => void entries.delete(id),
    },
    claimOf: async (cluster) => claims.get(cluster)?.owner,
    dropClaim: async (cluster) => void claims.delete(cluster),
    sweep: async (cluster) => {
      const named = ({ service, marks }: Instance) => service.startsWith(cluster) || marks.cluster === cluster;
      for (const [id, instance] of entries) if (named(instance)) entries.delete(id);
      claims.delete(cluster);
    },
    spoil: (instance) => ({ ...instance, service: '' }),
    refuses: new Map([['an empty name', /empty/]]),
    link: undefined,
    faults: [],
    leasing: {
      open: () => openMemory({ entries, ttlMs: LEASE_MS }),
      config: undefined,
      secrets: {},
      vanishesWithinMs: LEASE_MS,
    },
  };
}
