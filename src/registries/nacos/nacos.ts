import { systemClock } from '../../clock.ts';
import { cancelled, RegistryError } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';
import { noKeyValue, noWatch } from '../unclaimed.ts';
import { createApply } from './apply.ts';
import { createClaims } from './claims.ts';
import { openLine } from './grpc-line.ts';
import { type NacosHttp, openNacosHttp } from './http.ts';
import { type List, openLeases } from './leases.ts';
import { grpcNaming } from './naming.ts';
import { chooseWay, type Way } from './protocol.ts';
import { type Reading, readOwned, readService } from './read.ts';
import { createRecent } from './recent.ts';
import { assertSettings, normaliseFor } from './rules.ts';
import { serversOf } from './servers.ts';
import type { NacosSettings } from './settings.ts';
import { watch } from './watch.ts';
import { createSubscriptions } from './watch-subscriptions.ts';

// What is where in this folder: `rules` and `entry` say what Nacos takes and how an instance stands in it. `apply` reads, decides and writes,
// `apply-leased` by way of `leases`, which shards lists over connections. `read` and `watch` show what stands; `recent` knows of our own writes that
// the server does not show yet. Below them `naming` is what the server can do, over gRPC (`grpc-line`: a connection that is made anew, over
// `grpc-link`: one connection) or HTTP (`http` and its `http-*`); `protocol` chooses.

/**
 * Nacos, over its gRPC or its HTTP API. Persistent entries stand in its Raft log and are never checked by the server; leased ones belong to the
 * connection that published them, and vanish with it: within a second when it is closed, half a minute when its machine is gone.
 *
 * Caveats, besides those of {@link ServiceRegistry}
 * - A claim is read before each batch, a second old at most, and compared by nobody when it is written: what a client had sent when another one claimed,
 *   and for about two seconds what it sends, may still come after what that one writes. Its `watch` hints at it, and its `list` shows it: write again.
 *   Of claims within the same second the last one stands. The record is an entry of service `roster-claim-<cluster>` in the group ROSTER.
 * - There is no compare-and-set, and no batch for persistent entries. What stands is read before it is written over; a stranger who takes the same
 *   address and port of a service in between is overwritten.
 * - A service has one entry for an address and port, whatever its Nacos cluster: two instances that share them under one name are a `conflict`.
 * - A service holds persistent or leased entries, never both; a change from one to the other needs another name or group, or no entry for a minute.
 * - A leased entry can be removed by the client that holds it only. An `update` takes it over: while the other client lives, both publish it.
 * - A draining instance has weight 0, and its own weight in the metadata. With all metadata, tags and marks an instance has 1,024 characters.
 * - The server renews its answers half a second after a change: `list` and `discover` wait for this client's own writes to show; those of others show
 *   by then. After a write in doubt the next `list` takes a second more. Entries with enabled=false, which only others set, are shown by no call of the client API: to `list` they are gone.
 * - Where fewer instances than protectThreshold are healthy, Nacos shows all of them to consumers as healthy, and so does `discover` for strangers';
 *   of ours it tells the truth. The threshold is set on services that we created: before a persistent entry, after a leased one.
 * - `watch` of a cluster follows the services that hold entries of it; other clients' entries in a new service are found within 5 seconds.
 * - gRPC listens on the HTTP port + 1000; with https it is spoken over TLS. Over HTTP alone there are no leased entries and no watch.
 */
export function openNacosRegistry(settings: NacosSettings): ServiceRegistry {
  assertSettings(settings);
  return nacosRegistryOver(openNacosHttp(settings), settings);
}

/** `http`: what serves where gRPC does not; closed with the registry. */
export function nacosRegistryOver(http: NacosHttp, settings: NacosSettings): ServiceRegistry {
  const {
    protocol,
    cluster: clusterName,
    namespace = '',
    group,
    connectMs,
    requestMs,
    tls,
    mayConnect,
    addresses,
  } = settings;
  const servers = serversOf(addresses);
  const space = { namespace: namespace === '' ? 'public' : namespace, group };
  const clock = systemClock;
  const recent = createRecent(clock);
  const way = { servers, access: { tls, mayConnect, connectMs, requestMs }, token: http.token };
  const line = openLine({
    ...way,
    onPush: (push) => subscriptions.pushed(push),
    onLost: () => subscriptions.lost(),
  });
  const subscriptions = createSubscriptions(line, space);
  const closing = new AbortController();
  const claims = createClaims(http.records, clock, closing.signal);
  /** Where that cannot be told, what stands must not vanish over it. */
  const fencedOff = (cluster: string, signal: AbortSignal): Promise<boolean> =>
    claims.assertStands(claims.heldFor(cluster), signal).then(
      () => false,
      (error) => error instanceof RegistryError && error.code === 'fenced',
    );
  const leases = protocol === 'Http' ? undefined : openLeases({ ...way, space, clock, fencedOff });
  const chosen = chooseWay({ protocol, line, http, space, clock });
  const apply = createApply({ way: chosen, leases, recent, claims, clock, unprotected: new Set(), clusterName });
  const held = (service: string): List => leases?.held(service) ?? NOTHING;

  /** What fails because of `close` says so. */
  const open = async <T>(operation: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> => {
    const wasClosed = (ambiguous: boolean) =>
      new RegistryError(
        'closed',
        `${operation} was called after the Nacos registry was closed, or was cut short by it`,
        { ambiguous },
      );
    if (closing.signal.aborted) throw wasClosed(false);
    if (signal.aborted) throw cancelled(operation, signal);
    try {
      const result = await run();
      if (closing.signal.aborted && WRITES.has(operation)) throw wasClosed(true);
      return result;
    } catch (cause) {
      const error = RegistryError.from(cause, operation);
      throw closing.signal.aborted ? wasClosed(error.ambiguous) : error;
    }
  };
  const reading = async (signal: AbortSignal): Promise<Reading> => ({
    naming: await chosen.naming(signal),
    recent,
    clock,
    held,
  });

  return {
    capabilities: {
      batchSize: 256,
      leased: leases !== undefined,
      watch: leases !== undefined,
      kv: false,
      fenced: false,
    },
    normalise: (instance) => normaliseFor(leases !== undefined, instance),
    apply: (changes, signal) => open('apply', signal, () => apply(changes, signal)),
    list: (cluster, signal) => open('list', signal, async () => readOwned(await reading(signal), cluster, signal)),
    discover: (service, signal) =>
      open('discover', signal, async () => readService(await reading(signal), service, signal)),
    claim: (claim, signal) => open('claim', signal, () => claims.claim(claim, signal)),
    async check(signal) {
      return open('check', signal, async () => {
        const answer = await check(chosen, http, signal);
        await claims.check(signal);
        return answer;
      });
    },
    watch:
      leases === undefined
        ? noWatch('Nacos over HTTP')
        : (scope, onHint, signal) =>
            open('watch', signal, () =>
              watch(
                { naming: grpcNaming(line, http, space), recent, clock, held, subscriptions },
                scope,
                onHint,
                AbortSignal.any([signal, closing.signal]),
              ),
            ),
    kv: noKeyValue('Nacos'),
    async close() {
      closing.abort();
      line.close();
      leases?.close();
      http.close();
    },
  };
}

const NOTHING: List = new Map();

const WRITES: ReadonlySet<string> = new Set(['apply', 'claim']);

/** Two questions: who is there, and whether it answers to our credentials about the namespace and group. */
async function check(way: Way, http: NacosHttp, signal: AbortSignal): Promise<{ readonly version: string }> {
  const naming = await way.naming(signal);
  await naming.probe('check', signal);
  return { version: await http.version(signal) };
}
