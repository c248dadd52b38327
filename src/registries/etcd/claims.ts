import { randomBytes } from 'node:crypto';
import type { ITxnResponse } from 'etcd3';
import { assertClaim, fencedOff, mayReplace, ownedByAnother, recordNameOf } from '../claim.ts';
import type { Claim } from '../registry.ts';
import type { EtcdClient } from './client.ts';
import { claimKey } from './keys.ts';
import { readKeys } from './read.ts';

/** The record of a cluster as this client left it. While it stands, this client may write for the cluster. */
export interface Guard {
  readonly cluster: string;
  readonly key: string;
  /** The owner and the term, which no other claim has: not even a server that lost its data comes to hold this again. */
  readonly value: string;
}

export interface Claims {
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** The same for each call until it is claimed again; undefined for a cluster that this client has not claimed. */
  guardOf(cluster: string): Guard | undefined;
  /** Rejects with `fenced` unless all that this client has claimed stands. */
  assertHeld(operation: string, signal: AbortSignal): Promise<void>;
}

export function createClaims(client: EtcdClient, prefix: string): Claims {
  const held = new Map<string, Guard>();

  return {
    async claim(claim, signal) {
      client.assertUsable('claim', signal);
      assertClaim(claim);
      const { cluster, owner } = claim;
      const guard: Guard = { cluster, key: claimKey(prefix, recordNameOf(claim)), value: `${owner} ${newTerm()}` };
      let [standing] = (await readKeys(client, 'claim', [guard.key], signal)).map(({ value }) => value);
      for (;;) {
        if (standing !== undefined && !mayReplace(claim, ownerIn(standing)))
          throw ownedByAnother(claim, ownerIn(standing));
        const answer = await put(client, guard, standing, signal);
        if (answer.succeeded) break;
        // Somebody else has claimed it in between.
        [standing] = valuesIn(answer);
      }
      held.set(cluster, guard);
    },
    guardOf: (cluster) => held.get(cluster),
    async assertHeld(operation, signal) {
      const guards = [...held.values()];
      const records = await readKeys(
        client,
        operation,
        guards.map(({ key }) => key),
        signal,
      );
      const values = new Map(records.map(({ key, value }) => [key, value]));
      const lost = guards.find(({ key, value }) => values.get(key) !== value);
      if (lost !== undefined) throw fencedOff(operation, lost.cluster);
    },
  };
}

/** What a transaction compares before all else, and, when anything differs, reads in the same step. */
export const comparisonOf = ({ key, value }: Guard) =>
  ({ key: Buffer.from(key), target: 'Value', result: 'Equal', value: Buffer.from(value) }) as const;

export const readingOf = ({ key }: Pick<Guard, 'key'>) => ({ request_range: { key: Buffer.from(key) } }) as const;

/** Those that did not stand when the transaction was refused. */
export function lostIn(guards: ReadonlySet<Guard>, answer: ITxnResponse): ReadonlySet<Guard> {
  const values = valuesIn(answer);
  return new Set([...guards].filter(({ value }, index) => values[index] !== value));
}

/** Of each key that was read, in order. */
const valuesIn = ({ responses }: ITxnResponse): readonly (string | undefined)[] =>
  responses.map(({ response_range }) => response_range.kvs[0]?.value.toString());

/** No JSON, and no address: whatever layout its readers know, they pass it over. */
const ownerIn = (value: string): string => /^([\w./:-]{1,200}) [0-9a-f]{32}$/.exec(value)?.[1] ?? 'unknown';

const newTerm = (): string => randomBytes(16).toString('hex');

function put(client: EtcdClient, { key, value }: Guard, standing: string | undefined, signal: AbortSignal) {
  const place = { key: Buffer.from(key), result: 'Equal' } as const;
  const compare =
    standing === undefined
      ? { ...place, target: 'Mod' as const, mod_revision: 0 }
      : { ...place, target: 'Value' as const, value: Buffer.from(standing) };
  return client.call(
    {
      operation: 'claim',
      writes: true,
      send: ({ kv }, options) =>
        kv.txn(
          {
            compare: [compare],
            success: [{ request_put: { key: place.key, value: Buffer.from(value) } }],
            failure: [readingOf({ key })],
          },
          options,
        ),
    },
    signal,
  );
}
