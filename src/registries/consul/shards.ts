import { hash } from 'node:crypto';

/**
 * Entries of a cluster are spread over so many synthetic nodes, by service name. The time of a batch with checks grows with the
 * instances on one node (30 ms at 64, 200 ms at 4,096; flat up to a few hundred), and a list costs one request a node:
 * 256 keep 100,000 instances at 400 a node, and the list of a small fleet at 256 small requests. Fixed, because another number
 * would move every entry.
 */
export const SHARDS = 256;

/**
 * Leased entries are spread over so many nodes of each client: each is one session to renew, and the node's lease costs an entry no check of
 * its own. 16 keep 10,000 instances at 600 a node.
 */
const LEASE_SHARDS = 16;

/**
 * Consul wants an address for a node. Every entry of ours has its own; who reads the node's instead finds one that is nobody's
 * (RFC 5737) rather than another machine, or itself.
 */
export const NODE_ADDRESS = '192.0.2.1';

/**
 * `roster-<cluster>-<shard>`, always with three digits, so that no cluster name gives the nodes of another. Consul compares
 * node names without regard to case and DNS takes only letters, digits and dashes: other names are spelled `roster--<hash>-<shard>`,
 * which no readable one can be.
 */
export function nodeName(cluster: string, service: string): string {
  return `roster-${readable(cluster, '-255')}-${String(shardOf(service, SHARDS)).padStart(3, '0')}`;
}

/** `l00` to `l15`: the last part of the name of the nodes on which a service's leased entries stand, one node for each client. */
export const leaseShard = (service: string): string => `l${String(shardOf(service, LEASE_SHARDS)).padStart(2, '0')}`;

/** `roster-<cluster>-<lease>-<shard>`; no name of {@link nodeName} ends so. `lease`: 8 hexadecimal digits. */
export const leaseNodeName = (cluster: string, lease: string, shard: string): string =>
  `roster-${readable(cluster, `-${lease}-${shard}`)}-${lease}-${shard}`;

export const isLeaseNode = (node: string): boolean => /-l\d\d$/.test(node);

/** `roster-<cluster>-claim`: where it says who writes for the cluster. No name of the others ends so. */
export const claimNodeName = (cluster: string): string => `roster-${readable(cluster, '-claim')}-claim`;

/** As it is where there is room in a DNS label of 63 behind `roster-` and before `end`. */
function readable(cluster: string, end: string): string {
  const fits = /^[a-z0-9][a-z0-9-]*$/.test(cluster) && 'roster-'.length + cluster.length + end.length <= 62;
  return fits ? cluster : `-${hash('sha256', cluster).slice(0, 32)}`;
}

const shardOf = (service: string, shards: number): number =>
  Number.parseInt(hash('sha1', service).slice(0, 8), 16) % shards;
