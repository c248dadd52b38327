import { randomUUID } from 'node:crypto';
import { assertClaim, fencedOff, mayReplace, ownedByAnother, recordNameOf } from '../claim.ts';
import { RegistryError } from '../error.ts';
import type { Claim } from '../registry.ts';
import type { ConsulClient } from './client.ts';
import { MANAGED_BY_US } from './entry.ts';
import type { Operation, Tenant } from './operations.ts';
import { CONSISTENT } from './read.ts';
import { claimNodeName, NODE_ADDRESS } from './shards.ts';
import { commit } from './transaction.ts';
import { readNodeRecord } from './wire.ts';

/** What must stand for this client to write for a cluster, as an operation that changes nothing and fails where it does not. */
export interface Guard {
  readonly cluster: string;
  readonly operation: Operation;
}

export interface Claims {
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** The same for each call until it is claimed again; undefined for a cluster that this client has not claimed. */
  guardOf(cluster: string): Guard | undefined;
  /** Rejects with `fenced` unless all that this client has claimed stands. */
  assertHeld(operation: string, signal: AbortSignal): Promise<void>;
}

/** Whose the record is. Not the mark of entries, so that no reader of those comes by. */
const CLAIM = 'roster-claim';
const CLAIMED_BY = 'roster-claimed-by';

const NEEDS = 'node:write on the prefix roster-';

/** As many as fit into a transaction. */
const COMPARED_AT_ONCE = 128;

/**
 * The record is a node with one check, whose id is the term. To get that check is a comparison by content: the compare-and-set of a node looks at its
 * index only, and where a server that lost its data has given out the same index again, it would put back what had been replaced.
 */
export function createClaims(client: ConsulClient, tenant: Tenant): Claims {
  const held = new Map<string, Guard>();

  async function put(claim: Claim, index: number | undefined, signal: AbortSignal): Promise<Guard | undefined> {
    const { cluster, owner } = claim;
    const { Partition } = tenant;
    const node = { Node: claimNodeName(recordNameOf(claim)), ...(Partition === undefined ? {} : { Partition }) };
    const check = { Node: node.Node, CheckID: randomUUID(), ...tenant };
    const meta = { ...MANAGED_BY_US, [CLAIM]: cluster, [CLAIMED_BY]: owner };
    const operations = [
      // The check of the term before goes with its node.
      ...(index === undefined ? [] : [{ Node: { Verb: 'delete-cas', Node: { ...node, ModifyIndex: index } } }]),
      { Node: { Verb: 'cas', Node: { ...node, Address: NODE_ADDRESS, Meta: meta, ModifyIndex: 0 } } },
      { Check: { Verb: 'set', Check: { ...check, Name: 'Roster claim', Status: 'passing', Output: owner } } },
    ];
    const { kind } = await commit(client, { operation: 'claim', operations, needs: NEEDS }, signal);
    return kind === 'committed' ? { cluster, operation: { Check: { Verb: 'get', Check: check } } } : undefined;
  }

  return {
    async claim(claim, signal) {
      client.assertUsable('claim', signal);
      assertClaim(claim);
      const { cluster } = claim;
      const record = recordNameOf(claim);
      let before: number | undefined | 'unread' = 'unread';
      for (;;) {
        const standing = await readRecord(client, record, signal);
        if (standing !== undefined && !mayReplace(claim, standing.owner)) throw ownedByAnother(claim, standing.owner);
        // Refused, though nobody else has claimed it in between.
        if (before === standing?.index) throw refused(record);
        before = standing?.index;
        const guard = await put(claim, before, signal);
        if (guard !== undefined) return void held.set(cluster, guard);
      }
    },
    guardOf: (cluster) => held.get(cluster),
    async assertHeld(operation, signal) {
      const guards = [...held.values()];
      for (let at = 0; at < guards.length; at += COMPARED_AT_ONCE) {
        const compared = guards.slice(at, at + COMPARED_AT_ONCE);
        const operations = compared.map((guard) => guard.operation);
        const outcome = await commit(client, { operation, operations, writes: false }, signal);
        if (outcome.kind === 'committed') continue;
        const [first] = outcome.errors.flatMap(({ index }) => compared[index] ?? []);
        throw fencedOff(operation, first?.cluster ?? '');
      }
    },
  };
}

interface ClaimRecord {
  readonly owner: string;
  readonly index: number;
}

async function readRecord(client: ConsulClient, record: string, signal: AbortSignal): Promise<ClaimRecord | undefined> {
  const found = await client.call(
    {
      operation: 'claim',
      writes: false,
      complete: true,
      send: (consul, options) =>
        consul.catalog.node.services({ node: claimNodeName(record), ...CONSISTENT, ...options }),
      read: readNodeRecord,
    },
    signal,
  );
  // Whatever else stands there is nobody's who could be known.
  return found === undefined ? undefined : { owner: found.Meta[CLAIMED_BY] ?? 'unknown', index: found.ModifyIndex };
}

const refused = (record: string): RegistryError =>
  new RegistryError(
    'forbidden',
    `claim: Consul does not allow the token to write ${claimNodeName(record)}; it needs ${NEEDS}`,
  );
