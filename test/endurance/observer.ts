// The oracle of the restarts: what a registry keeps of the past of its entries, read again and again.
import type { Churn } from './churn.ts';
import type { Seen, Truth } from './truths.ts';

export interface Observer {
  /** Every registry, read once, and held against what was seen before. */
  look(): Promise<void>;
  /** Looks until it is told to end. */
  stayWith<T>(run: () => Promise<T>): Promise<T>;
  /** An entry went, as the registry itself tells it. */
  removed(registry: string, address: string): void;
  /** Undefined: in each registry stands what is wanted, as it is wanted. `exactly`: and nothing else, that waits to be proved absent. */
  missing(exactly?: boolean): Promise<string | undefined>;
  /** Of what is wanted: differs after any write. */
  stamps(): Promise<Readonly<Record<string, string>>>;
  wrong(): readonly string[];
  looks(): number;
  /** What `removed` was told of, as it should be or not. */
  removals(): number;
}

export function createObserver(truths: readonly Truth[], churn: Churn, cluster: string): Observer {
  const births = new Map<string, string>();
  const known = new Map<string, Set<string>>(truths.map(({ name }) => [name, new Set()]));
  const absentSince = new Map<string, number>();
  const wrong = new Set<string>();
  let looks = 0;
  let removals = 0;

  function judge({ name: registry, lateMs }: Truth, seen: ReadonlyMap<string, Seen>): void {
    const before = known.get(registry);
    for (const address of before ?? []) {
      const key = `${registry} ${address}`;
      if (seen.has(address)) {
        absentSince.delete(key);
        continue;
      }
      const since = absentSince.get(key) ?? performance.now();
      absentSince.set(key, since);
      if (!churn.wasRemoved(address)) {
        if (performance.now() - since < lateMs) continue;
        wrong.add(`${registry}: ${address} was wanted, had stood, and is absent`);
      }
      before?.delete(address);
    }
    for (const [address, { born }] of seen) {
      before?.add(address);
      if (born === undefined) continue;
      const key = `${registry} ${address}`;
      if ((births.get(key) ?? born) !== born) wrong.add(`${registry}: ${address} was gone for a moment`);
      births.set(key, born);
    }
  }

  async function look(): Promise<void> {
    await Promise.all(truths.map(async (truth) => judge(truth, await truth.read(cluster))));
    looks++;
  }

  return {
    look,
    async stayWith(run) {
      let over = false;
      const looking = (async () => {
        while (!over) await look();
      })();
      try {
        return await run();
      } finally {
        over = true;
        await looking;
      }
    },
    removed(registry, address) {
      removals++;
      if (!churn.wasRemoved(address)) wrong.add(`${registry}: ${address} was wanted, and was deregistered`);
    },
    async missing(exactly = false) {
      const wanted = churn.wanted();
      for (const truth of truths) {
        const seen = await truth.read(cluster);
        judge(truth, seen);
        for (const [address, what] of wanted) {
          const { service = 'nothing', health = '' } = seen.get(address)?.instance ?? {};
          // Some registries have a prefix before every name.
          if (!`${service} ${health}`.endsWith(what))
            return `${truth.name}: ${address} ${service} ${health}, not ${what}`;
        }
        for (const address of seen.keys()) {
          if (wanted.has(address) || (!exactly && churn.wasRemoved(address))) continue;
          return `${truth.name}: ${address} stands, and is not wanted`;
        }
      }
      return undefined;
    },
    async stamps() {
      const wanted = churn.wanted();
      const all: Record<string, string> = {};
      for (const truth of truths) {
        for (const [address, { born, written }] of await truth.read(cluster))
          if (wanted.has(address)) all[`${truth.name} ${address}`] = `${born} ${written}`;
      }
      return all;
    },
    wrong: () => [...wrong],
    looks: () => looks,
    removals: () => removals,
  };
}
