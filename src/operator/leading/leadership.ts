import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { KubeClient, KubeError } from '../../kubernetes/client.ts';
import { type Candidate, standForLease } from '../../kubernetes/lease.ts';
import type { LeaseSample } from '../../telemetry/metrics.ts';
import { endlessTerms, type Term, type Terms } from './terms.ts';

/** What belongs to no registry that exists, such as the status of a registration that names a missing one, has a leader too. */
export const NO_REGISTRY = 'none';

/** Who leads which registry. Ids of registries are `ClusterRegistry/consul` and `Registry/shop/consul`. */
export interface Leadership {
  /** May this process decide and tell what concerns the registry? What is known of no registry goes by {@link NO_REGISTRY}. */
  leads(id: string): boolean;
  /** Name of the process that leads, as last seen; undefined when nobody does, or without election. */
  leader(id: string): string | undefined;
  terms(id: string): Terms;
  /** The registry exists. */
  stand(id: string): void;
  /** It does not exist any more: its Lease goes with it. */
  withdraw(id: string): void;
  leases(): readonly LeaseSample[];
  /** Gives up all: others may go on at once, except where something of ours may still be on its way. */
  resign(isClean: (id: string) => boolean, signal: AbortSignal): Promise<void>;
}

export interface LeadershipOptions {
  readonly client: Pick<KubeClient, 'request'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly wallClock?: () => Date;
  readonly cluster: string;
  readonly namespace: string;
  /** Of this process, unlike that of every other. */
  readonly identity: string;
  onTerm(id: string): void;
  onEnd(id: string, why: string): void;
  onHolder(id: string, holder: string | undefined): void;
  onError(id: string, error: KubeError): void;
}

/** One process alone: it leads all, always. */
export function leadAll(): Leadership {
  const terms = endlessTerms();
  return {
    leads: () => true,
    leader: () => undefined,
    terms: () => terms,
    stand() {},
    withdraw() {},
    leases: () => [],
    async resign() {},
  };
}

/** A replica leaves a free Lease to the others for this long for each that it holds already, so that all get some. */
const MODESTY_MS = 250;
const MOST_MODESTY_MS = 750;

interface Post {
  readonly candidate: Candidate;
  term: Term | undefined;
  readonly waiting: Set<() => void>;
}

/** A Lease for each registry: replicas share the registries between them. */
export function electLeaders(options: LeadershipOptions): Leadership {
  const posts = new Map<string, Post>();
  let turn: Promise<void> = Promise.resolve();

  const valid = (post: Post | undefined): boolean => post?.term?.isValid() === true;
  const heldCount = () => [...posts.values()].filter(valid).length;
  const inTurn = (take: () => Promise<void>): Promise<void> => {
    const next = turn.then(take);
    turn = next.catch(() => {});
    return next;
  };

  function stand(id: string): Post {
    const known = posts.get(id);
    if (known !== undefined) return known;
    const { client, clock, random, wallClock, namespace, identity } = options;
    const candidate = standForLease({
      client,
      clock,
      random,
      ...(wallClock === undefined ? {} : { wallClock }),
      namespace,
      identity,
      name: leaseName(options.cluster, id),
      metadata: leaseMetadata(options.cluster, id),
      reluctanceMs: () => Math.min(MOST_MODESTY_MS, heldCount() * MODESTY_MS),
      inTurn,
      onTerm(term) {
        post.term = term;
        options.onTerm(id);
        for (const wake of [...post.waiting]) wake();
      },
      onEnd(why) {
        post.term = undefined;
        options.onEnd(id, why);
      },
      onHolder: (holder) => options.onHolder(id, holder),
      onError: (error) => options.onError(id, error),
    });
    const post: Post = { candidate, term: undefined, waiting: new Set() };
    posts.set(id, post);
    return post;
  }

  function nextTerm(post: Post, signal: AbortSignal): Promise<Term | undefined> {
    if (valid(post) || signal.aborted) return Promise.resolve(signal.aborted ? undefined : post.term);
    return new Promise((resolve) => {
      const wake = () => {
        post.waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve(signal.aborted ? undefined : post.term);
      };
      post.waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  return {
    leads: (id) => valid(posts.get(id) ?? posts.get(NO_REGISTRY)),
    leader: (id) => posts.get(id)?.candidate.holder,
    terms(id) {
      const post = stand(id);
      return {
        get current() {
          return valid(post) ? post.term : undefined;
        },
        next: (signal) => nextTerm(post, signal),
        confirm: () => post.candidate.confirm(),
      };
    },
    stand: (id) => void stand(id),
    withdraw(id) {
      const post = posts.get(id);
      posts.delete(id);
      // What cannot be removed now is left behind, held by nobody.
      void post?.candidate.leave('remove', new AbortController().signal);
    },
    leases: () =>
      [...posts].map(([id, post]) => ({
        lease: leaseName(options.cluster, id),
        registry: id === NO_REGISTRY ? '' : nameIn(id),
        leading: valid(post),
      })),
    async resign(isClean, signal) {
      const leave = ([id, { candidate }]: [string, Post]) =>
        candidate.leave(isClean(id) ? 'release' : 'silently', signal);
      await Promise.all([...posts].map(leave));
    },
  };
}

const nameIn = (id: string): string => id.slice(id.indexOf('/') + 1);

/** Short for the id of a registry, in the names of its Lease and of what it claims. */
export const seatOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 8);

/** `roster-prod` for what belongs to no registry, `roster-prod-1a2b3c4d` for a registry. */
export function leaseName(cluster: string, id: string): string {
  if (id === NO_REGISTRY) return `roster-${cluster}`;
  return `roster-${cluster}-${seatOf(id)}`;
}

function leaseMetadata(cluster: string, id: string): object {
  // A label holds less than a name may have; the annotation has it all.
  const label = nameIn(id)
    .replace('/', '.')
    .slice(0, 63)
    .replace(/[^a-z0-9]+$/, '');
  const labels = { 'app.kubernetes.io/name': 'roster', 'roster.dev/cluster': cluster };
  if (id === NO_REGISTRY) return { labels };
  return { labels: { ...labels, 'roster.dev/registry': label }, annotations: { 'roster.dev/registry': id } };
}
