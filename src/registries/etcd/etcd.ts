import type { Instance } from '../../mirror/instance.ts';
import type { ServiceRegistry } from '../registry.ts';
import { noKeyValue } from '../unclaimed.ts';
import { type Access, endpointsOf } from './access.ts';
import { createApply } from './apply.ts';
import { type Claims, createClaims } from './claims.ts';
import type { EtcdClient } from './client.ts';
import { createEntries, type Entries } from './entries.ts';
import { withPrefix } from './keys.ts';
import { openLate } from './late.ts';
import { goMicroLayout } from './layouts/go-micro.ts';
import { goZeroLayout } from './layouts/go-zero.ts';
import { grpcLayout } from './layouts/grpc.ts';
import { kratosLayout } from './layouts/kratos.ts';
import type { Layout } from './layouts/layout.ts';
import { rosterLayout } from './layouts/roster.ts';
import { openLeases } from './leases.ts';
import { createOwnWrites } from './own-writes.ts';
import { readOwned, readService } from './read.ts';
import { normaliseFor } from './rules.ts';
import { createStanding, type Standing } from './standing.ts';
import { createWatch } from './watch.ts';

export type LayoutName = 'Roster' | 'Grpc' | 'GoMicro' | 'Kratos' | 'GoZero';

export interface EtcdSettings extends Access {
  /** `/services`: begins with a slash, and does not end with one. */
  readonly prefix: string;
  readonly layout: LayoutName;
  /** How long a leased entry outlives its writer. */
  readonly ttlMs: number;
  /** Every entry is leased, whatever is asked for. */
  readonly leasesAll: boolean;
}

const DEFAULT_PREFIX = '/services';

/**
 * etcd, by transactions. Persistent entries have no lease: they stay until they are removed. All keys of a leased one are under one lease of this
 * client, which is renewed three times in its TTL.
 *
 * Guarantees, besides those of {@link ServiceRegistry}
 * - Each transaction compares the revision of every key that it writes or removes, and of those that must not stand.
 * - A list and a discovery show one revision, however many pages they take.
 * - Who writes for a cluster stands at `<prefix>/.owner/<cluster>`: the owner and a random term, which each transaction compares.
 *
 * Caveats
 * - Layout Roster: `<prefix>/<service>/<id>`, JSON with everything. The others are those of frameworks whose readers know neither health nor
 *   weight 0: such an instance has no key where consumers look. It stands in a record, `<prefix>/.owner/<cluster>/<service>/<id>`, which for Grpc
 *   and GoZero, whose values have no room for marks, every instance has.
 * - GoMicro looks in /micro/registry whatever the prefix is, and Kratos in /microservices unless the prefix is another than /services.
 * - Rights: readwrite on these prefixes, as prefixes: a list asks for all keys below them.
 * - Revisions are known from `list` and from our own writes; an `update` or `deregister` without either costs a reading.
 * - A lease takes whole seconds, and 1.5 times the election timeout at least: 2 s by default. After a change of leader its time begins anew.
 * - Where a service is forbidden, all changes of it in one transaction are.
 */
export function openEtcdRegistry(settings: EtcdSettings): ServiceRegistry {
  const layout = layoutOf(settings);
  const entries = createEntries(settings.prefix, layout);
  endpointsOf(settings);
  const client = openLate(settings);
  const leases = openLeases(client, settings.ttlMs);
  const claims = createClaims(client, settings.prefix);
  const own = createOwnWrites();
  const clusters = new Map<string, Standing>();

  const standingOf = (cluster: string): Standing => {
    const standing = clusters.get(cluster) ?? createStanding();
    clusters.set(cluster, standing);
    return standing;
  };

  return {
    capabilities: {
      // One operation of the 128 that a server takes is the comparison with the claim.
      batchSize: layout.records === 'never' ? 127 : 63,
      leased: true,
      watch: true,
      kv: false,
      fenced: true,
    },
    normalise: (instance) => normaliseFor(layout, settings.leasesAll, instance),
    apply: createApply({ client, entries, leases, claims, own, standingOf }),
    async list(cluster, signal): Promise<readonly Instance[]> {
      const reading = await standingOf(cluster).refresh(() =>
        readOwned(client, entries, cluster, leases.isHeld, signal),
      );
      return reading.instances;
    },
    discover: (service, signal) => readService(client, entries, service, leases.isHeld, signal),
    claim: claims.claim,
    check: (signal) => check(client, entries, claims, signal),
    watch: createWatch({ client, entries, own, requestMs: settings.requestMs }),
    kv: noKeyValue('etcd'),
    async close() {
      leases.close();
      client.close();
    },
  };
}

function layoutOf({ layout, prefix }: EtcdSettings): Layout {
  switch (layout) {
    case 'Roster':
      return rosterLayout(prefix);
    case 'Grpc':
      return grpcLayout(prefix);
    case 'GoMicro':
      return goMicroLayout();
    case 'Kratos':
      return kratosLayout(prefix === DEFAULT_PREFIX ? undefined : prefix);
    case 'GoZero':
      return goZeroLayout(prefix);
  }
}

/** Who is there, whether the leader answers to our user about the keys that a list asks for, and whether what was claimed is still ours. */
async function check(
  client: EtcdClient,
  { layout }: Entries,
  claims: Claims,
  signal: AbortSignal,
): Promise<{ readonly version: string }> {
  const { version } = await client.call(
    { operation: 'check', writes: false, send: ({ maintenance }, options) => maintenance.status(options) },
    signal,
  );
  const { start, end } = withPrefix(`${layout.home}/`);
  await client.call(
    {
      operation: 'check',
      writes: false,
      send: ({ kv }, options) => kv.range({ key: start, range_end: end, limit: 1, keys_only: true }, options),
    },
    signal,
  );
  await claims.assertHeld('check', signal);
  return { version };
}
