import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../src/clock.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { type Cluster, type Server, surroundingsOf, truthOf } from './simulation.ts';

/** Longer than any window, batch, delivery and linger between a decision and its effect, together. */
export const DECISION_MS = 5_000;

/**
 * What should stand in each registry, as the cluster is and was. Call before anything is in the cluster that registers: from then on the servers tell as a
 * violation what is removed although it was wanted all the time.
 */
export function watchWanted(cluster: Cluster, servers: ReadonlyMap<string, Server>, clock: Clock) {
  /** When an id was last not wanted; and since when the cluster is as it is. */
  const unwanted = new Map<string, number>();
  const wanted = new Map<string, readonly Instance[]>();
  let changedAt = 0;
  cluster.watchers.add((_, object, previous) => {
    const [before, after] = [previous, object].map(
      (one) => one && { ...one, status: undefined, metadata: { ...one.metadata, resourceVersion: '', finalizers: [] } },
    );
    if (isDeepStrictEqual(before, after)) return;
    changedAt = clock.now();
    recompute();
  });

  function recompute(): void {
    const seen = surroundingsOf(cluster);
    for (const name of servers.keys()) {
      const all = [...truthOf(seen, `ClusterRegistry/${name}`, []).values()].flatMap((truth) => truth.wanted);
      const next = all.flatMap(({ instances }) => instances);
      const ids = new Set(next.map(({ id }) => `${name} ${id}`));
      const before = wanted.get(name) ?? [];
      wanted.set(name, next);
      for (const { id } of before) if (!ids.has(`${name} ${id}`)) unwanted.set(`${name} ${id}`, clock.now());
      // Wanted from now on: until now it was not.
      const known = new Set(before.map(({ id }) => id));
      for (const { id } of next) if (!known.has(id)) unwanted.set(`${name} ${id}`, clock.now());
    }
  }

  for (const [name, server] of servers) {
    server.onRemoved = ({ id }, change) => {
      if (change.action === 'deregister' && change.evidence === undefined)
        server.violations.push(`${id} was removed without evidence`);
      if (!wanted.get(name)?.some((one) => one.id === id)) return;
      const at = unwanted.get(`${name} ${id}`) ?? Number.NEGATIVE_INFINITY;
      if (clock.now() - at > DECISION_MS + server.latenessMs())
        server.violations.push(`${id} was removed although it was wanted all the time`);
    };
  }

  const of = (name: string): readonly Instance[] => wanted.get(name) ?? [];
  return {
    of,
    /** What has been wanted for so long without a break. */
    throughout: (name: string, ms: number): readonly Instance[] =>
      of(name).filter(({ id }) => clock.now() - (unwanted.get(`${name} ${id}`) ?? Number.NEGATIVE_INFINITY) > ms),
    get changedAt() {
      return changedAt;
    },
  };
}
