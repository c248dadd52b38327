import { systemClock } from '../../clock.ts';
import type { Instance } from '../../mirror/instance.ts';
import { RegistryError } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';
import { createApply } from './apply.ts';
import { createClaims } from './claims.ts';
import { type Call, type ConsulClient, openConsulClient } from './client.ts';
import type { Access } from './connection.ts';
import { createKeyValue } from './kv.ts';
import { openLeases } from './lease.ts';
import { sweepLeases } from './lease-sweep.ts';
import type { Tenant } from './operations.ts';
import { readOwned, readService } from './read.ts';
import { normaliseFor, type Rules } from './rules.ts';
import { createSessions } from './session.ts';
import { createStanding, type Standing } from './standing.ts';
import { createWatcher } from './watch.ts';
import { readChecks, readVersion } from './wire.ts';

export interface ConsulSettings extends Access, Rules {
  /** How long a leased entry outlives its writer: at least twice `session_ttl_min` of the server, which is 10 s by default. */
  readonly ttlMs: number;
}

/**
 * Consul, by catalog transactions. Entries stand on synthetic nodes of ours, which have no agent: nothing but Roster changes or removes
 * them, and Consul never takes them for failed. Leased ones stand on nodes of the client that holds the lease, whose check follows a session:
 * when it ends, all of them are critical in one step.
 *
 * Caveats
 * - `normalise` rewrites dots and slashes in metadata keys to dashes, and puts the prefix before the service name.
 * - Draining instances have a check in warning, unhealthy ones in critical; weight 0 is weight 1 and a check in warning.
 *   With `healthChecks` false there are no checks: `normalise` makes every instance healthy and refuses weight 0.
 * - Entries are written by compare-and-set on their index. It is known from `list` and from our own writes; an `update` or `deregister`
 *   without either costs a reading.
 * - Synthetic nodes stay when their last entry goes.
 * - Who writes for a cluster stands on a node without entries, `roster-<cluster>-claim`: the owner in its metadata, and a check whose id is a random
 *   term. Each transaction gets that check, and fails where it is not there. The nodes of leases are no entries, and put there without comparing.
 * - A leased entry vanishes from DNS and from what asks for passing instances. In lists that ask for everything it stays, critical, until a client
 *   of the same cluster takes it over or removes it. Leases need Consul 1.21; after a change of leader the TTL begins anew.
 * - Key-value pairs are at `roster/<service>/<key>`.
 * - A client watches with at most 48 connections: one for each service and key, two for a cluster.
 * - That a server was set back to a snapshot is a hint at once for a cluster or a key, and within 64 s for a service.
 */
export function openConsulRegistry(settings: ConsulSettings): ServiceRegistry {
  const { namespace, partition, ttlMs } = settings;
  const client = openConsulClient(settings);
  const closing = new AbortController();
  const clusters = new Map<string, Standing>();
  const swept = new Set<string>();

  const standingOf = (cluster: string): Standing => {
    const standing = clusters.get(cluster) ?? createStanding();
    clusters.set(cluster, standing);
    return standing;
  };
  const tenant = {
    ...(namespace === undefined ? {} : { Namespace: namespace }),
    ...(partition === undefined ? {} : { Partition: partition }),
  };
  const leases = openLeases(createSessions(client, tenant, ttlMs), {
    ttlMs,
    onOpening(cluster) {
      if (swept.has(cluster)) return;
      swept.add(cluster);
      // What is not removed now is with the next client: nobody waits for it.
      sweepLeases(client, tenant, cluster, closing.signal).catch(() => {});
    },
  });
  const claims = createClaims(client, tenant);
  const assertTenant = tenantCheck(client, tenant);
  const watcher = createWatcher(client, systemClock, closing.signal);
  const refresh = (cluster: string, signal: AbortSignal) =>
    standingOf(cluster).refresh(() => readOwned(client, leases, cluster, signal));

  return {
    // One operation of the 128 that a transaction takes is the comparison with the claim.
    capabilities: { batchSize: 127, leased: true, watch: true, kv: true, fenced: true },
    normalise: (instance) => normaliseFor(settings, instance),
    apply: createApply({ client, tenant, leases, claims, standingOf, assertTenant }),
    list: async (cluster, signal): Promise<readonly Instance[]> => (await refresh(cluster, signal)).instances,
    discover: (service, signal) => readService(client, leases, service, signal),
    async claim(claim, signal) {
      await assertTenant('claim', signal);
      await claims.claim(claim, signal);
    },
    async check(signal) {
      const answer = await check(client, signal);
      await claims.assertHeld('check', signal);
      return answer;
    },
    watch(scope, onHint, signal) {
      if ('service' in scope) return watcher.service(scope.service, onHint, signal);
      const { cluster } = scope;
      const watched = {
        cluster,
        standing: standingOf(cluster),
        refresh: (inner: AbortSignal) => refresh(cluster, inner),
      };
      return watcher.cluster(watched, onHint, signal);
    },
    kv: createKeyValue(client, watcher),
    async close() {
      client.close();
      closing.abort();
      leases.close();
    },
  };
}

async function check(client: ConsulClient, signal: AbortSignal): Promise<{ readonly version: string }> {
  const version = await readServerVersion(client, signal);
  await assertAnswering(client, 'check', signal);
  return { version };
}

/** Consul without Enterprise ignores namespace and partition in transactions, and would write elsewhere; what is read refuses them. */
function tenantCheck(client: ConsulClient, tenant: Tenant): (operation: string, signal: AbortSignal) => Promise<void> {
  let known = Object.keys(tenant).length === 0;
  return async (operation, signal) => {
    if (!known) await assertAnswering(client, operation, signal);
    known = true;
  };
}

/** Rejects when the leader does not answer to our token, datacenter, namespace and partition. */
const assertAnswering = (client: ConsulClient, operation: string, signal: AbortSignal) =>
  client.call(
    {
      operation,
      writes: false,
      complete: false,
      send: (consul, options) => consul.health.state({ ...NOTHING, ...options }),
      read: readChecks,
    },
    signal,
  );

async function readServerVersion(client: ConsulClient, signal: AbortSignal): Promise<string> {
  const call: Call<string> = {
    operation: 'check',
    writes: false,
    complete: false,
    send: (consul, options) => consul.agent.self(options),
    read: readVersion,
  };
  try {
    return await client.call(call, signal);
  } catch (error) {
    // Needs agent:read, which nothing else here does.
    if (error instanceof RegistryError && error.code === 'forbidden') return 'unknown';
    throw error;
  }
}

/** A query that every part of Consul must answer, and whose answer is empty. */
const NOTHING = { state: 'any', filter: 'Node == ""', consistent: true } as const;
