import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import { onceAMinute } from '../../kubernetes/log.ts';
import { RegistryError } from '../../registries/error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type Caches, findRegistry } from '../cluster/caches.ts';
import { shortId } from '../reporting/overview.ts';
import { electLeaders, type Leadership, leadAll, NO_REGISTRY, seatOf } from './leadership.ts';
import type { Claimant } from './registry-claim.ts';

export interface ReplicasOptions {
  readonly config: Pick<Config, 'clusterName' | 'operatorNamespace' | 'leaderElect'>;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  /** For the times in a Lease, which people read. */
  readonly wallClock?: () => Date;
  readonly log: Log;
  readonly metrics: Metrics;
  /** From now on this process leads the registry, or what belongs to none. */
  onTerm(id: string): void;
}

/** This process among its replicas, with log and metric of who leads what. */
export function openLeadership(options: ReplicasOptions): Leadership {
  const { config, client, clock, random, log, metrics } = options;
  if (!config.leaderElect) return leadAll();
  const due = onceAMinute(clock);
  const identity = `${hostname()}_${randomBytes(6).toString('hex')}`;
  const where = (id: string) => (id === NO_REGISTRY ? {} : { registry: shortId(id) });
  const leadership = electLeaders({
    client,
    clock,
    random,
    ...(options.wallClock === undefined ? {} : { wallClock: options.wallClock }),
    cluster: config.clusterName,
    namespace: config.operatorNamespace,
    identity,
    onTerm(id) {
      log.info({ ...where(id), leader: identity }, 'this replica leads');
      options.onTerm(id);
    },
    onEnd: (id, why) => log.info({ ...where(id), why }, 'this replica leads no longer'),
    onHolder(id, leader) {
      if (leader !== identity) log.info({ ...where(id), leader }, leader ? 'another replica leads' : 'nobody leads');
    },
    onError(id, { status, message: error }) {
      if (!due(`lease ${status}`)) return;
      const fields = { ...where(id), status, error };
      const namespace = config.operatorNamespace;
      if (status === 403)
        log.warn({ ...fields, namespace }, 'not allowed to use Leases: apply the Role roster-leases of deploy/');
      else log.warn(fields, 'the Lease could not be read or renewed, trying again');
    },
  });
  metrics.trackLeases(() => leadership.leases());
  return leadership;
}

/** Annotation of a Registry or ClusterRegistry: the owner whose record in it may be replaced. */
export const ADOPT = 'roster.dev/adopt';

/** The same for all replicas of this operator and after each restart, another for every other operator: no two clusters share the UID of kube-system. */
export function claimantOf(caches: Caches, id: string, operatorNamespace: string): Claimant {
  return {
    seat: seatOf(id),
    owner() {
      const uid = caches.namespaces.get('kube-system')?.metadata.uid;
      if (uid !== undefined) return `${uid}/${operatorNamespace}`;
      throw new RegistryError(
        'unavailable',
        'the namespace kube-system, by which this cluster is told from others, is not known yet',
      );
    },
    adopt: () => findRegistry(caches, id)?.metadata.annotations[ADOPT],
  };
}
