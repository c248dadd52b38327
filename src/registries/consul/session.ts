import { RegistryError } from '../error.ts';
import type { Call, ConsulClient } from './client.ts';
import { isLeaseCheck, LEASE_CHECK, nodeMeta } from './entry.ts';
import type { Tenant } from './operations.ts';
import { CONSISTENT } from './read.ts';
import { NODE_ADDRESS } from './shards.ts';
import { commit } from './transaction.ts';
import { readChecks, readSession, readSessions } from './wire.ts';

/** A node for leased entries, and the session on which the status of its check hangs. */
export interface LeaseNode {
  readonly cluster: string;
  readonly node: string;
}

export interface Sessions {
  /** Puts the node there, with its check, and a session in force. Gives the id of that. */
  open(lease: LeaseNode, signal: AbortSignal): Promise<string>;
  /** False when there is no such session any more. */
  renew(session: string, signal: AbortSignal): Promise<boolean>;
}

const NEEDS = 'node:write and session:write on the prefix roster-';

/** Consul lets a session live for twice its TTL after it was renewed last; a new leader begins that time anew. */
const LIFETIME_OF_TTL = 2;

/** Sessions of Consul that live for `lifetimeMs` after they were opened or renewed. */
export function createSessions(client: ConsulClient, tenant: Tenant, lifetimeMs: number): Sessions {
  const call = <T>(one: Pick<Call<T>, 'send' | 'read' | 'writes'>, signal: AbortSignal, refused?: Refused<T>) =>
    client.call({ operation: 'lease', complete: false, needs: NEEDS, ...one }, signal, refused);

  const sessionsOn = (node: string, signal: AbortSignal) =>
    call(
      {
        writes: false,
        send: ({ session }, options) => session.node({ node, ...CONSISTENT, ...options }),
        read: readSessions,
      },
      signal,
    );

  const destroy = (id: string, signal: AbortSignal) =>
    call({ writes: true, send: ({ session }, options) => session.destroy({ id, ...options }), read: () => {} }, signal);

  const isInForce = async (node: string, signal: AbortSignal): Promise<boolean> => {
    const checks = await call(
      {
        writes: false,
        send: ({ health }, options) =>
          health.state({ state: 'passing', ...CONSISTENT, ...{ filter: `Node == "${node}"` }, ...options }),
        read: readChecks,
      },
      signal,
    );
    return checks.some(isLeaseCheck);
  };

  /** Critical until a session is opened. Its definition names no session: all on this node are ours. */
  async function putNode({ cluster, node }: LeaseNode, signal: AbortSignal): Promise<void> {
    const { Partition } = tenant;
    const entry = { Node: node, Address: NODE_ADDRESS, Meta: nodeMeta(cluster) };
    const check = {
      Node: node,
      CheckID: LEASE_CHECK,
      Name: 'Roster lease',
      Type: 'session',
      Status: 'critical',
      Output: UNOPENED,
    };
    const operations = [
      { Node: { Verb: 'set', Node: { ...entry, ...(Partition === undefined ? {} : { Partition }) } } },
      { Check: { Verb: 'set', Check: { ...check, ...tenant } } },
    ];
    const { kind } = await commit(client, { operation: 'lease', operations, needs: NEEDS }, signal);
    if (kind === 'committed') return;
    throw new RegistryError('forbidden', `Consul does not allow the token to write ${node}; it needs ${NEEDS}`);
  }

  async function create(node: string, signal: AbortSignal): Promise<string> {
    const ttl = `${Math.ceil(lifetimeMs / LIFETIME_OF_TTL)}ms`;
    const outcome = await call<string | 'lifetime'>(
      {
        writes: true,
        // No checks: a session without a node of Serf would be refused with the default, and ours is not to end by one.
        send: ({ session }, options) =>
          session.create({ node, ttl, checks: [], behavior: 'release', lockdelay: '0s', ...options }),
        read: readSession,
      },
      signal,
      (_, body) => (typeof body === 'string' && body.includes('Invalid Session TTL') ? 'lifetime' : undefined),
    );
    if (outcome !== 'lifetime') return outcome;
    throw new RegistryError(
      'invalid',
      `Consul takes no lease of ${lifetimeMs / 1_000} s; spec.consul.ttlSeconds must be at least twice its session_ttl_min (10 s by default)`,
    );
  }

  return {
    async open(lease, signal) {
      const { node } = lease;
      const [standing, ...others] = await sessionsOn(node, signal);
      // One whose answer was lost: it would make the check critical when it ends, whatever session came after it.
      for (const id of others) await destroy(id, signal);
      if (standing !== undefined) {
        if (await isInForce(node, signal)) return standing;
        await destroy(standing, signal);
      }
      await putNode(lease, signal);
      const session = await create(node, signal);
      if (await isInForce(node, signal)) return session;
      throw new RegistryError(
        'unsupported',
        'Consul did not tie the lease to its check: it is older than 1.21, or keeps the sessions of the namespace apart; use liveness Persistent',
      );
    },
    renew: (id, signal) =>
      call<boolean>(
        {
          writes: false,
          send: ({ session }, options) => session.renew({ id, ...options }),
          read: () => true,
        },
        signal,
        (status) => (status === 404 ? false : undefined),
      ),
  };
}

/** Of the check of a node whose session was never there; Consul writes another when one ends. */
export const UNOPENED = 'No session has been opened yet.';

type Refused<T> = (status: number, body: unknown) => T | undefined;
