import { type Clock, systemClock } from '../../clock.ts';
import type { AddressRule } from '../address-rule.ts';
import { RegistryError } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';
import { assertPem, type TlsAccess } from '../tls.ts';
import { noKeyValue } from '../unclaimed.ts';
import { createApply } from './apply.ts';
import { BATCH_CHANGES } from './batches.ts';
import { createClaims } from './claims.ts';
import { openClient } from './client.ts';
import { createDirectories } from './directories.ts';
import { curatorLayout } from './layouts/curator.ts';
import { kratosLayout } from './layouts/kratos.ts';
import type { Layout } from './layouts/layout.ts';
import { plainLayout } from './layouts/plain.ts';
import { brokenNameRule, placeOf } from './paths.ts';
import { listOwned, readService } from './read.ts';
import { type Access, exists } from './requests.ts';
import { normaliseFor } from './rules.ts';
import { readServerVersion } from './server-version.ts';
import { createWatch } from './watch.ts';

export interface ZooKeeperSettings {
  /** `host:port,host:port/chroot` */
  readonly connectString: string;
  /** Path below the chroot under which services stand; made when it is missing. */
  readonly rootPath: string;
  readonly layout: keyof typeof LAYOUTS;
  /** Asked of the server, which bounds it by its own limits: what a leased entry outlives its writer by. */
  readonly sessionTimeoutMs: number;
  /** `user:password` of the scheme digest; more than one, a line each, while one account takes the place of another. */
  readonly digestAuth: string | undefined;
  /** With it, TLS alone. */
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
  readonly connectMs: number;
  readonly requestMs: number;
  readonly clock?: Clock;
  /** Wall clock, milliseconds, for display. */
  readonly today?: () => number;
}

const LAYOUTS = { Curator: curatorLayout, Kratos: kratosLayout, Plain: plainLayout } satisfies Record<string, Layout>;

/**
 * ZooKeeper, by nodes `<rootPath>/<service>/<id>`, in which `/` and `%` of ids are written `%2F` and `%25`. What the nodes hold, and whom
 * it suits, is said where the layouts are.
 *
 * Leased entries are ephemeral nodes of the client's session, which it keeps alive whether anything is asked or not. `close` leaves a session that
 * may hold some to its time-out instead of ending it: a client of the next process takes its entries over, each in one transaction, before they go.
 *
 * Caveats
 * - The nodes of services are made as they are needed, and those that we made are taken away when they are empty.
 * - A claim stands beside the root, in `<rootPath>.roster/<cluster>`: what is above rootPath must let the account make that, or it must be there.
 * - The node of a service whose leased entries have lapsed stays, empty, until the next entry of that service is removed.
 * - With `digestAuth` what we make may be changed by its accounts alone and read by all; others may add nodes beside ours. What was made
 *   before an account was replaced still belongs to the old one: name both, a line each, until `setAcl -R` has handed the tree over.
 * - A watch of a cluster hints for the entries of others below rootPath too: a node that is gone does not tell whose it was. It takes a server
 *   of 3.6 or later; older ones make it reject with `unsupported`.
 * - Programs in Java read at most 1 MiB of children at once: no more than some 25,000 services below one rootPath, and 15,000 instances of one
 *   service.
 * - One client watches 10,000 services at once at most; the next `watch` of one is `too-large`. A cluster is one watch, whatever its size.
 * - A server that is set to take less than 1 MiB (`jute.maxbuffer`) closes the connection over an entry that is larger: that is `too-large` from the second
 *   time on, and goes out after everything else.
 * - Layout Kratos: a changed entry is a node that goes and comes back in one transaction.
 * - No SASL.
 */
export function openZooKeeperRegistry(settings: ZooKeeperSettings): ServiceRegistry {
  const {
    connectString,
    rootPath,
    tls,
    mayConnect,
    connectMs,
    requestMs,
    clock = systemClock,
    today = Date.now,
  } = settings;
  const { servers, base } = placeOf(connectString, rootPath);
  const accounts = accountsOf(settings.digestAuth);
  if (tls !== undefined) assertPem(tls, 'spec.zookeeper');
  const layout = LAYOUTS[settings.layout];
  const { sessionTimeoutMs } = settings;
  const client = openClient({ servers, sessionTimeoutMs, accounts, tls, mayConnect, connectMs, requestMs, clock });
  const access = accessFor(accounts.length > 0);
  const directories = createDirectories(client, base, access.directories);
  const claims = createClaims({ client, base, acl: access.entries, directories });
  const { claim, fenceOf } = claims;
  const reader = { client, base, layout, onServices: directories.saw };

  return {
    capabilities: { batchSize: BATCH_CHANGES, leased: true, watch: true, kv: false, fenced: true },
    normalise: (instance) => normaliseFor(layout, instance),
    apply: createApply({ client, base, layout, acl: access.entries, directories, fenceOf, today }),
    async list(cluster, signal) {
      client.assertUsable('list', signal);
      return listOwned(reader, cluster, signal);
    },
    async discover(service, signal) {
      client.assertUsable('discover', signal);
      const broken = brokenNameRule(service);
      if (broken !== undefined) throw new RegistryError('invalid', `discover: ${broken}`);
      return readService(reader, service, signal);
    },
    claim,
    async check(signal) {
      await client.call('check', exists(base), signal);
      await claims.check(signal);
      return {
        version: await readServerVersion(
          { endpoint: client.endpoint(), tls, mayConnect, ms: requestMs, clock },
          signal,
        ),
      };
    },
    watch: createWatch(client, base),
    kv: noKeyValue('ZooKeeper'),
    close: () => client.close(),
  };
}

function accountsOf(digestAuth: string | undefined): readonly string[] {
  const accounts = digestAuth?.split('\n') ?? [];
  if (accounts.every((one) => /^[^:\s]+:\S+$/.test(one))) return accounts;
  const rule = 'must be user:password, or several, a line each, without blanks or a line break at its end';
  throw new RegistryError('invalid', `the key of the Secret of spec.zookeeper.digestAuthSecretRef ${rule}`);
}

// Permissions of ZooKeeper.
const READ = 1;
const CREATE = 4;
const ALL = 31;

/** Whoever may delete in a directory may delete what others put there: with an account of our own, nobody else may. */
function accessFor(ownAccount: boolean): {
  readonly entries: readonly Access[];
  readonly directories: readonly Access[];
} {
  const everyone = (permissions: number): Access => ({ scheme: 'world', id: 'anyone', permissions });
  if (!ownAccount) return { entries: [everyone(ALL)], directories: [everyone(ALL)] };
  const us: Access = { scheme: 'auth', id: '', permissions: ALL };
  return { entries: [us, everyone(READ)], directories: [us, everyone(READ + CREATE)] };
}
