import { setTimeout as delay } from 'node:timers/promises';
import type { Change } from '../../src/mirror/change.ts';
import { type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { around } from '../../src/registries/layers/around.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import { noClaim, noKeyValue, noWatch } from '../../src/registries/unclaimed.ts';
import type { GroupName } from './conformance.ts';
import { never } from './expectations.ts';
import { SECRET } from './harness.ts';
import { FENCING_MUTANTS } from './mutants-fencing.ts';

/** A wrong registry, made of a right one. `entries` is what all its clients share. */
export interface Mutant {
  /** What it does. */
  readonly name: string;
  /** That must reject it. */
  readonly group: GroupName;
  mutate(client: ServiceRegistry, entries: Map<string, Instance>): ServiceRegistry;
}

type Apply = ServiceRegistry['apply'];

const DONE: ChangeResult = { ok: true };

/** The client with another `apply`, which is given the right one. */
const applying =
  (apply: (right: Apply, ...asked: Parameters<Apply>) => ReturnType<Apply>): Mutant['mutate'] =>
  (client) => ({ ...client, apply: (changes, signal) => apply(client.apply, changes, signal) });

/** The client with another instance in each change. */
const writing = (other: (instance: Instance, change: Change) => Instance): Mutant['mutate'] =>
  applying((right, changes, signal) =>
    right(
      changes.map((change) => ({ ...change, instance: other(change.instance, change) })),
      signal,
    ),
  );

/** The client with other entries in its lists. */
const listing =
  (other: (listed: readonly Instance[]) => readonly Instance[]): Mutant['mutate'] =>
  (client) => ({ ...client, list: async (cluster, signal) => other(await client.list(cluster, signal)) });

/** The client with other errors, thrown or in results. */
const failing =
  (other: (error: RegistryError) => RegistryError): Mutant['mutate'] =>
  (client) => {
    const over = around(client, (operation, signal, run) =>
      run(signal).catch((error: unknown) => {
        throw other(RegistryError.from(error, operation));
      }),
    );
    return {
      ...over,
      apply: async (changes, signal) => {
        const results = await over.apply(changes, signal);
        return results.map((result) => (result.ok ? result : { ok: false, error: other(result.error) }));
      },
    };
  };

const told = ({ code, message, ambiguous }: RegistryError, over: object): RegistryError =>
  new RegistryError(code, message, { ambiguous, ...over });

export const MUTANTS: readonly Mutant[] = [
  ...FENCING_MUTANTS,
  {
    name: 'loses a metadata key',
    group: 'round trip',
    mutate: writing((instance) => {
      const [first] = Object.keys(instance.metadata);
      const { [first ?? '']: _, ...metadata } = instance.metadata;
      return { ...instance, metadata };
    }),
  },
  {
    name: 'stores a port that is none as another, and gives it back as it went',
    group: 'round trip',
    mutate: (client, entries) => ({
      ...client,
      apply: async (changes, signal) => {
        const results = await client.apply(changes, signal);
        for (const { instance } of changes) {
          if (entries.has(instance.id) && instance.port > 65_535) entries.set(instance.id, { ...instance, port: 80 });
        }
        return results;
      },
      list: async (cluster, signal) =>
        (await client.list(cluster, signal)).map((one) => (one.port === 80 ? { ...one, port: 65_536 } : one)),
    }),
  },
  {
    name: 'has one drawer for the pairs of all services',
    group: 'round trip',
    mutate: (client) => ({
      ...client,
      kv: {
        get: (_, key, signal) => client.kv.get('all', key, signal),
        put: (_, key, value, signal) => client.kv.put('all', key, value, signal),
        watch: (_, key, onHint, signal) => client.kv.watch('all', key, onHint, signal),
      },
    }),
  },
  {
    name: 'writes though nothing differs',
    group: 'idempotence',
    mutate: (client, entries) => ({
      ...client,
      apply: async (changes, signal) => {
        const results = await client.apply(changes, signal);
        for (const { instance } of changes) {
          const standing = entries.get(instance.id);
          if (standing !== undefined) entries.set(instance.id, standing);
        }
        return results;
      },
    }),
  },
  {
    name: 'fails to remove what is not there',
    group: 'idempotence',
    mutate: (client, entries) => ({
      ...client,
      apply: async (changes, signal) => {
        const missing = changes.map(({ action, instance }) => action === 'deregister' && !entries.has(instance.id));
        const results = await client.apply(changes, signal);
        const error = new RegistryError('not-found', 'there is nothing of this id to be removed');
        return results.map((result, n) => (missing[n] ? { ok: false, error } : result));
      },
    }),
  },
  {
    name: 'forgets the removals of an apply that registers too',
    group: 'convergence',
    mutate: applying(async (right, changes, signal) => {
      const mixed = changes.some(({ action }) => action === 'register');
      const kept = changes.filter(({ action }) => !mixed || action !== 'deregister');
      const results = [...(await right(kept, signal))];
      return changes.map((change) => (kept.includes(change) ? (results.shift() ?? DONE) : DONE));
    }),
  },
  {
    name: 'keeps the weight that stood before',
    group: 'convergence',
    mutate: writing((instance, change) =>
      change.action === 'update' ? { ...instance, weight: change.previous.weight } : instance,
    ),
  },
  {
    name: "removes a stranger's entry under our id",
    group: 'ownership',
    mutate: (client, entries) => ({
      ...client,
      apply: async (changes, signal) => {
        const results = await client.apply(changes, signal);
        for (const { action, instance } of changes) if (action === 'deregister') entries.delete(instance.id);
        return results;
      },
    }),
  },
  {
    name: "writes over a stranger's entry",
    group: 'ownership',
    mutate: (client, entries) => ({
      ...client,
      apply: (changes, signal) => {
        for (const { action, instance } of changes) {
          if (action !== 'deregister' && entries.has(instance.id)) entries.set(instance.id, instance);
        }
        return client.apply(changes, signal);
      },
    }),
  },
  {
    name: 'lists the entries of other clusters',
    group: 'ownership',
    mutate: (client, entries) => ({
      ...client,
      list: async (cluster, signal) => {
        await client.list(cluster, signal);
        return [...entries.values()].filter(({ marks }) => marks.cluster !== '');
      },
    }),
  },
  {
    name: 'takes a cluster whose name begins alike for the same one',
    group: 'ownership',
    mutate: (client, entries) => ({
      ...client,
      list: async (cluster, signal) => {
        await client.list(cluster, signal);
        return [...entries.values()].filter(({ marks }) => marks.cluster.startsWith(cluster));
      },
    }),
  },
  {
    name: 'fails all for one',
    group: 'partial failure',
    mutate: applying(async (right, changes, signal) => {
      const bad = changes.find(({ instance }) => instance.service === '');
      const results = await right(bad === undefined ? changes : [bad], signal);
      return bad === undefined ? results : changes.map(() => results[0] ?? DONE);
    }),
  },
  {
    name: 'swallows an error',
    group: 'partial failure',
    mutate: applying(async (right, changes, signal) => (await right(changes, signal)).map(() => DONE)),
  },
  {
    name: 'gives the results in the order in which it wrote',
    group: 'partial failure',
    mutate: applying(async (right, changes, signal) => [...(await right(changes, signal))].reverse()),
  },
  {
    name: 'says of a write whose answer was lost that it did not happen',
    group: 'ambiguity',
    mutate: failing((error) => told(error, { ambiguous: false })),
  },
  {
    name: 'writes what it writes again as another entry',
    group: 'ambiguity',
    mutate: (client) => {
      const doubtful = new Set<string>();
      return {
        ...client,
        apply: async (changes, signal) => {
          const again = changes.filter(({ instance }) => doubtful.has(instance.id));
          const twins = again.map((change) => ({
            ...change,
            instance: { ...change.instance, id: `${change.instance.id} 2` },
          }));
          await client.apply(twins, signal);
          const results = await client.apply(changes, signal);
          for (const [n, { instance }] of changes.entries()) if (!results[n]?.ok) doubtful.add(instance.id);
          return results;
        },
      };
    },
  },
  {
    name: 'ignores the signal',
    group: 'cancellation',
    mutate: (client) => around(client, (_, __, run) => run(never)),
  },
  {
    name: 'does what was cancelled before it was asked',
    group: 'cancellation',
    mutate: (client) => ({
      ...client,
      apply: (changes, signal) => client.apply(changes, signal.aborted ? never : signal),
    }),
  },
  {
    name: 'takes every failure for a registry that cannot be reached',
    group: 'faults',
    mutate: failing(({ message, ambiguous }) => new RegistryError('unreachable', message, { ambiguous })),
  },
  {
    name: 'rejects an apply instead of giving a result for each change',
    group: 'faults',
    mutate: applying(async (right, changes, signal) => {
      const results = await right(changes, signal);
      for (const result of results) if (!result.ok) throw result.error;
      return results;
    }),
  },
  {
    name: 'gives an empty list of a registry that does not answer',
    group: 'faults',
    mutate: (client) => ({ ...client, list: (cluster, signal) => client.list(cluster, signal).catch(() => []) }),
  },
  {
    name: 'answers after it was closed',
    group: 'lifecycle',
    mutate: (client) => ({
      ...client,
      discover: (service, signal) => client.discover(service, signal).catch(() => []),
    }),
  },
  {
    name: 'takes what it wrote with it when it is closed',
    group: 'lifecycle',
    mutate: (client, entries) => {
      const written = new Set<string>();
      return {
        ...client,
        apply: (changes, signal) => {
          for (const { instance } of changes) written.add(instance.id);
          return client.apply(changes, signal);
        },
        close: async () => {
          for (const id of written) entries.delete(id);
          await client.close();
        },
      };
    },
  },
  {
    name: "shows another client's lease as its own",
    group: 'lifecycle',
    mutate: listing((listed) =>
      listed.map((one) => (one.liveness === 'lapsing' ? { ...one, liveness: 'leased' } : one)),
    ),
  },
  {
    name: 'lists what it wrote, whatever stands',
    group: 'drift',
    mutate: (client) => {
      const known = new Map<string, Instance>();
      return {
        ...client,
        apply: (changes, signal) => {
          for (const { action, instance } of changes) {
            if (action === 'deregister') known.delete(instance.id);
            else known.set(instance.id, instance);
          }
          return client.apply(changes, signal);
        },
        list: async (cluster) => [...known.values()].filter(({ marks }) => marks.cluster === cluster),
      };
    },
  },
  {
    name: 'gives hints after its watch was ended',
    group: 'drift',
    mutate: (client) => ({
      ...client,
      watch: (scope, onHint, signal) => {
        client.watch(scope, onHint, never).catch(() => {});
        return client.watch(scope, () => {}, signal);
      },
    }),
  },
  {
    name: 'gives a hint for each of its own writes',
    group: 'drift',
    mutate: (client) => {
      const hints = new Set<() => void>();
      return {
        ...client,
        watch: (scope, onHint, signal) => {
          hints.add(onHint);
          return client.watch(scope, onHint, signal).finally(() => hints.delete(onHint));
        },
        apply: async (changes, signal) => {
          const results = await client.apply(changes, signal);
          for (const hint of hints) hint();
          return results;
        },
      };
    },
  },
  {
    name: 'claims pairs that it does not keep',
    group: 'honesty',
    mutate: (client) => ({ ...client, kv: noKeyValue('Memory') }),
  },
  {
    name: 'claims to be fenced, and takes no claim',
    group: 'honesty',
    mutate: (client) => ({ ...client, claim: noClaim('Memory') }),
  },
  {
    name: 'claims no watch, and has one',
    group: 'honesty',
    mutate: (client) => ({ ...client, capabilities: { ...client.capabilities, watch: false } }),
  },
  {
    name: 'claims a watch that it does not have',
    group: 'honesty',
    mutate: (client) => ({ ...client, watch: noWatch('Memory') }),
  },
  {
    name: 'stores what should be leased as persistent',
    group: 'honesty',
    mutate: (client) => ({
      ...client,
      normalise: (instance) => client.normalise({ ...instance, liveness: 'persistent' }),
    }),
  },
  {
    name: 'gives consumers less metadata than it foretells',
    group: 'honesty',
    mutate: (client) => ({
      ...client,
      discover: async (service, signal) => {
        const withoutEmpty = ({ metadata }: Instance) =>
          Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== ''));
        return (await client.discover(service, signal)).map((one) => ({ ...one, metadata: withoutEmpty(one) }));
      },
    }),
  },
  {
    name: 'tells a password in the cause of an error',
    group: 'honesty',
    mutate: failing((error) => told(error, { cause: new Error(`login with ${SECRET} failed`) })),
  },
  {
    name: 'lists a thousand entries at most',
    group: 'size',
    mutate: listing((listed) => listed.slice(0, 999)),
  },
  {
    name: 'loses what is written while it writes',
    group: 'concurrency',
    mutate: (client) => {
      let busy = false;
      return {
        ...client,
        apply: async (changes, signal) => {
          if (busy) return changes.map(() => DONE);
          busy = true;
          await delay(1);
          return client.apply(changes, signal).finally(() => {
            busy = false;
          });
        },
      };
    },
  },
  {
    name: 'changes an entry in two steps',
    group: 'concurrency',
    mutate: (client) => ({
      ...client,
      apply: async (changes, signal) => {
        const halves = changes.flatMap((change) =>
          change.action === 'update' && !sameInstance(change.previous, change.instance)
            ? [{ ...change, instance: { ...change.instance, metadata: change.previous.metadata } }]
            : [],
        );
        await client.apply(halves, signal);
        await delay(1);
        return client.apply(changes, signal);
      },
    }),
  },
  {
    name: 'acknowledges before it has written',
    group: 'concurrency',
    mutate: (client) => {
      let closed = false;
      return {
        ...client,
        apply: async (changes, signal) => {
          await client.apply([], signal);
          setImmediate(() => {
            if (!closed) client.apply(changes, never).catch(() => {});
          });
          return changes.map(() => DONE);
        },
        close: async () => {
          closed = true;
          await client.close();
        },
      };
    },
  },
];
