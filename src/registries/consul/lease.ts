import { randomBytes } from 'node:crypto';
import { cancelled } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import type { LeaseNode, Sessions } from './session.ts';
import { leaseNodeName, leaseShard } from './shards.ts';

/** The leases of one client: a node for each of the shards that it uses of a cluster. */
export interface Leases {
  /** The node on which leased entries of this service stand, with a lease in force. */
  hold(cluster: string, service: string, signal: AbortSignal): Promise<string>;
  isHeld(node: string): boolean;
  /** Something else stands there than a node of ours with its lease in force: it is looked after now. */
  doubt(node: string): void;
  /** Nothing is renewed any more. */
  close(): void;
}

export interface LeaseSettings {
  /** How long a lease outlives its last renewal. */
  readonly ttlMs: number;
  /** Called with the cluster of each lease that is new to this client. */
  onOpening(cluster: string): void;
}

interface Lease extends LeaseNode {
  /** Undefined until it is opened, and once it was lost until it is opened again. */
  session: string | undefined;
}

/** So often in its lifetime; Consul promises a session half of that, in which two renewals may fail. */
const RENEWALS = 6;
/** A renewal that failed is tried again so soon: the first after an outage must not be late. */
const RETRY_MS = 500;
const PARALLEL = 4;

/** One timer renews all of them. It holds no process: whoever ends without closing lets his entries lapse. */
export function openLeases(sessions: Sessions, { ttlMs, onOpening }: LeaseSettings): Leases {
  const leases = new Map<string, Lease>();
  const opening = new Map<string, Promise<Lease>>();
  const closing = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  function schedule(ms: number): void {
    if (!closing.signal.aborted) timer = setTimeout(() => void renewAll(), ms).unref();
  }

  async function renewAll(): Promise<void> {
    let failed = false;
    const waiting = [...leases.values()].values();
    const worker = async () => {
      for (const lease of waiting) failed = !(await renew(lease)) || failed;
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    schedule(failed ? Math.min(RETRY_MS, ttlMs / RENEWALS) : ttlMs / RENEWALS);
  }

  /** Never rejects: that it was not in time shows in Consul, to everyone. */
  async function renew(lease: Lease): Promise<boolean> {
    try {
      const { session } = lease;
      if (session !== undefined && (await sessions.renew(session, closing.signal))) return true;
      if (lease.session === session) lease.session = undefined;
      await inForce(lease);
      return true;
    } catch {
      return false;
    }
  }

  /** Of all who want one at once, one opens it. */
  function inForce(lease: Lease): Promise<Lease> {
    if (lease.session !== undefined) return Promise.resolve(lease);
    const open = async () => {
      lease.session = await sessions.open(lease, closing.signal);
      return lease;
    };
    const opened = opening.get(lease.node) ?? open().finally(() => opening.delete(lease.node));
    opening.set(lease.node, opened);
    return opened;
  }

  return {
    async hold(cluster, service, signal) {
      const shard = leaseShard(service);
      const key = `${shard} ${cluster}`;
      const lease = leases.get(key) ?? {
        cluster,
        node: leaseNodeName(cluster, randomBytes(4).toString('hex'), shard),
        session: undefined,
      };
      if (!leases.has(key)) {
        leases.set(key, lease);
        onOpening(cluster);
      }
      if (timer === undefined) schedule(ttlMs / RENEWALS);
      return (await unlessAborted(inForce(lease), signal, () => cancelled('apply', signal, true))).node;
    },
    isHeld: (node) => [...leases.values()].some((lease) => lease.node === node),
    doubt(node) {
      for (const lease of leases.values()) {
        if (lease.node !== node || lease.session === undefined) continue;
        lease.session = undefined;
        void renew(lease);
      }
    },
    close() {
      clearTimeout(timer);
      closing.abort();
    },
  };
}
