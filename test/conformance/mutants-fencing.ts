import { systemClock } from '../../src/clock.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { fencedOff } from '../../src/registries/claim.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { storeOf } from '../../src/registries/memory-store.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import type { Mutant } from './mutants.ts';
import { sampleOf } from './samples.ts';

type Mutate = Mutant['mutate'];
type Entries = Map<string, Instance>;
type Apply = ServiceRegistry['apply'];

const claimsIn = (entries: Entries) => storeOf(entries, systemClock).claims;

/** The client with another `apply`. It is given the right one, and that of a client that compares nothing. */
const applying =
  (apply: (right: Apply, free: Apply, ...asked: Parameters<Apply>) => ReturnType<Apply>): Mutate =>
  (client, entries) => {
    const free = openMemory({ entries });
    return {
      ...client,
      apply: (changes, signal) => apply(client.apply, free.apply, changes, signal),
      close: async () => {
        await free.close();
        await client.close();
      },
    };
  };

const claiming =
  (claim: (right: ServiceRegistry['claim'], ...asked: Parameters<ServiceRegistry['claim']>) => Promise<void>): Mutate =>
  (client) => ({ ...client, claim: (asked, signal) => claim(client.claim, asked, signal) });

const isFenced = (error: unknown): error is RegistryError => error instanceof RegistryError && error.code === 'fenced';

/** What of a claim may be forgotten, taken too lightly or too seriously: the wrong registries of the group fencing. */
export const FENCING_MUTANTS: readonly Mutant[] = (
  [
    ['compares no batch', applying((_, free, changes, signal) => free(changes, signal))],
    [
      'compares only what is put, not what is removed',
      applying(async (right, free, changes, signal) => {
        const all: ChangeResult[] = [];
        for (const change of changes) {
          all.push(...(await (change.action === 'deregister' ? free : right)([change], signal)));
        }
        return all;
      }),
    ],
    [
      'says that what does not stand was removed, whoever writes',
      (client, entries) => ({
        ...client,
        apply: async (changes, signal) => {
          const missing = changes.map(({ action, instance }) => action === 'deregister' && !entries.has(instance.id));
          return (await client.apply(changes, signal)).map((result, n) => (missing[n] ? { ok: true } : result));
        },
      }),
    ],
    [
      'compares the first batch of an apply and not the next',
      applying(async (right, free, changes, signal) => {
        const first = await right(changes.slice(0, 1_000), signal);
        const rest = changes.slice(1_000);
        return rest.length === 0 ? first : [...first, ...(await free(rest, signal))];
      }),
    ],
    [
      'compares with what is claimed when the batch arrives, by whichever client',
      (client, entries) =>
        applying((right, free, changes, signal) =>
          (changes.every(({ instance }) => claimsIn(entries).has(instance.marks.cluster)) ? free : right)(
            changes,
            signal,
          ),
        )(client, entries),
    ],
    [
      'takes a record that is gone for nobody to be afraid of',
      (client, entries) =>
        applying((right, free, changes, signal) =>
          (changes.some(({ instance }) => claimsIn(entries).has(instance.marks.cluster)) ? right : free)(
            changes,
            signal,
          ),
        )(client, entries),
    ],
    [
      'writes first and compares then',
      applying(async (right, free, changes, signal) => {
        await free(changes, signal);
        return right(changes, signal);
      }),
    ],
    [
      'says of what is fenced off that it may have been written',
      applying(async (right, _, changes, signal) =>
        (await right(changes, signal)).map((result): ChangeResult => {
          if (result.ok || !isFenced(result.error)) return result;
          return { ok: false, error: new RegistryError('fenced', result.error.message, { ambiguous: true }) };
        }),
      ),
    ],
    [
      'fences off all clusters with one',
      applying(async (right, _, changes, signal) => {
        const results = await right(changes, signal);
        const fenced = results.find((result) => !result.ok && isFenced(result.error));
        return fenced === undefined ? results : changes.map(() => fenced);
      }),
    ],
    [
      'refuses whoever has claimed nothing',
      (client, entries) => {
        const claimed = new Set<string>();
        return {
          ...client,
          claim: async (claim, signal) => {
            await client.claim(claim, signal);
            claimed.add(claim.cluster);
          },
          apply: async (changes, signal) => {
            const results = await client.apply([], signal);
            if (
              changes.every(
                ({ instance: { marks } }) => claimed.has(marks.cluster) || !claimsIn(entries).has(marks.cluster),
              )
            )
              return client.apply(changes, signal);
            return [...results, ...changes.map((): ChangeResult => ({ ok: false, error: fencedOff('apply', '') }))];
          },
        };
      },
    ],
    [
      'does not tell in its check what is lost',
      (client) => ({
        ...client,
        check: (signal) =>
          client.check(signal).catch((error: unknown) => {
            if (isFenced(error)) return { version: 'embedded' };
            throw error;
          }),
      }),
    ],
    [
      'never recovers from having been fenced off',
      (client) => {
        let lost = false;
        return {
          ...client,
          check: async (signal) => {
            if (lost) throw fencedOff('check', '');
            try {
              return await client.check(signal);
            } catch (error) {
              lost = isFenced(error);
              throw error;
            }
          },
        };
      },
    ],
    [
      'takes the claim of its own owner for done already',
      (client, entries) => ({
        ...client,
        claim: async (claim, signal) => {
          if (claimsIn(entries).get(claim.cluster)?.owner !== claim.owner) await client.claim(claim, signal);
        },
      }),
    ],
    [
      'lets anybody take over from anybody',
      claiming((right, claim, signal) =>
        right(claim, signal).catch((error: unknown) => {
          if (!(error instanceof RegistryError) || error.code !== 'owned') throw error;
          return right({ ...claim, adopt: String(error.context['owner']) }, signal);
        }),
      ),
    ],
    [
      'is talked into adopting the wrong one',
      claiming((right, { adopt, ...claim }, signal) =>
        right(claim, signal).catch((error: unknown) => {
          if (!(error instanceof RegistryError) || adopt === undefined) throw error;
          return right({ ...claim, adopt: String(error.context['owner']) }, signal);
        }),
      ),
    ],
    ['adopts nobody', claiming((right, { adopt: _, ...claim }, signal) => right(claim, signal))],
    [
      'does not say who owns it',
      claiming((right, claim, signal) =>
        right(claim, signal).catch((error: unknown) => {
          throw error instanceof RegistryError && error.code === 'owned'
            ? new RegistryError('owned', 'somebody else writes for this cluster here')
            : error;
        }),
      ),
    ],
    [
      'makes the name of an owner fit',
      claiming((right, claim, signal) => {
        const fit = claim.owner.replaceAll(/[^\w./:-]/g, '_').slice(0, 200) || '_';
        return right({ ...claim, owner: fit }, signal);
      }),
    ],
    [
      'claims what was cancelled',
      claiming((right, claim, signal) => {
        if (!signal.aborted) return right(claim, signal);
        return right(claim, new AbortController().signal).then(() => right(claim, signal));
      }),
    ],
    [
      'keeps the record among the entries',
      (client, entries) => ({
        ...client,
        claim: async (claim, signal) => {
          await client.claim(claim, signal);
          entries.set(`${claim.cluster} claim`, { ...sampleOf(claim.cluster), id: `${claim.cluster} claim` });
        },
      }),
    ],
    [
      'writes all entries anew with each claim',
      (client, entries) => ({
        ...client,
        claim: async (claim, signal) => {
          await client.claim(claim, signal);
          for (const one of [...entries.values()]) if (one.marks.cluster === claim.cluster) entries.set(one.id, one);
        },
      }),
    ],
    [
      'takes the record with it when it is closed',
      (client, entries) => {
        const claimed = new Set<string>();
        return {
          ...client,
          claim: async (claim, signal) => {
            await client.claim(claim, signal);
            claimed.add(claim.cluster);
          },
          close: async () => {
            for (const cluster of claimed) claimsIn(entries).delete(cluster);
            await client.close();
          },
        };
      },
    ],
  ] satisfies readonly (readonly [name: string, mutate: Mutate])[]
).map(([name, mutate]) => ({ name, group: 'fencing', mutate }));
