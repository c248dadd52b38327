import { pause } from '../../clock.ts';
import { canonical } from '../../mirror/instance.ts';
import { cancelled, RegistryError } from '../error.ts';
import { inParallel } from '../parallel.ts';
import type { Scope } from '../registry.ts';
import type { ServiceInfo } from './answer.ts';
import { canonicalHost, instanceOf, isOurs, placeOf } from './entry.ts';
import type { NacosHost } from './host.ts';
import { type Reading, readOwned } from './read.ts';
import { overlaid, SETTLE_MS } from './recent.ts';
import type { Subscriber, Subscriptions } from './watch-subscriptions.ts';

export interface Watching extends Reading {
  readonly subscriptions: Subscriptions;
}

/** Nobody tells of new services. */
const NAMES_EVERY_MS = 5_000;
const WIDTH = 32;

/** As `watch` of ServiceRegistry, until the connection is lost. */
export function watch(watching: Watching, scope: Scope, onHint: () => void, signal: AbortSignal): Promise<never> {
  const ending = new AbortController();
  return new Promise<never>((_, reject) => {
    const fail = (error: unknown) => {
      ending.abort();
      reject(error);
    };
    const aborted = () => fail(cancelled('watch', signal));
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    ending.signal.addEventListener('abort', () => signal.removeEventListener('abort', aborted), { once: true });
    const hint = () => {
      if (!ending.signal.aborted) onHint();
    };
    const run: Run = { hint, fail, signal: ending.signal };
    const begun =
      'service' in scope ? watchService(watching, scope.service, run) : watchCluster(watching, scope.cluster, run);
    begun.catch(fail);
  });
}

interface Run {
  hint(): void;
  fail(error: unknown): void;
  /** Aborts when the watch has ended, however it did. */
  readonly signal: AbortSignal;
}

async function watchService({ subscriptions }: Watching, service: string, { hint, fail, signal }: Run): Promise<void> {
  let known: string | undefined;
  const subscriber: Subscriber = {
    changed(_, info) {
      const now = canonicalOf(info.hosts, info.shielded);
      if (now === known) return;
      known = now;
      hint();
    },
    lost: () => fail(lost()),
  };
  signal.addEventListener('abort', () => subscriptions.end(service, subscriber), { once: true });
  const info = await subscriptions.begin(service, subscriber, signal);
  known ??= canonicalOf(info.hosts, info.shielded);
  hint();
}

/** Follows the services in which the cluster has entries; in each it knows what its entries are, so that its own writes are no news. */
async function watchCluster(watching: Watching, cluster: string, run: Run): Promise<void> {
  const { subscriptions, recent, clock, naming } = watching;
  const { hint, fail, signal } = run;
  const followed = new Map<string, Map<string, string>>();
  /** Services that hold others' entries alone. */
  const strange = new Set<string>();
  const looking = new Set<string>();

  const take = (service: string, info: ServiceInfo, askedAt: number) => {
    const now = contentOf(service, overlaid(info, recent.of(service, askedAt)), cluster, info.shielded);
    const before = followed.get(service) ?? NOTHING;
    for (const place of recent.unsettled(service)) keep(now, place, before.get(place));
    if (equal(before, now)) return;
    followed.set(service, now);
    hint();
  };

  const changed = (service: string, info: ServiceInfo, askedAt = clock.now()) => {
    const isUpToDate = recent.confirm(service, info, askedAt);
    // The server is behind, or somebody was quicker than it: that is told apart when it must have caught up.
    if (!isUpToDate || recent.unsettled(service).size > 0) void lookLater(service);
    take(service, info, askedAt);
  };
  const subscriber: Subscriber = { changed, lost: () => fail(lost()) };

  const follow = async (service: string): Promise<void> => {
    if (followed.has(service)) return;
    followed.set(service, new Map());
    const askedAt = clock.now();
    const info = await subscriptions.begin(service, subscriber, signal);
    followed.set(service, contentOf(service, overlaid(info, recent.of(service, askedAt)), cluster, info.shielded));
  };

  /** Of a service that we write to before it was found: what else it holds may have come after the last list. */
  const followOwn = async (service: string, known: Map<string, string>): Promise<void> => {
    followed.set(service, known);
    const askedAt = clock.now();
    take(service, await subscriptions.begin(service, subscriber, signal), askedAt);
  };

  const lookLater = async (service: string): Promise<void> => {
    if (looking.has(service)) return;
    looking.add(service);
    await pause(clock, SETTLE_MS, signal);
    looking.delete(service);
    if (signal.aborted) return;
    const askedAt = clock.now();
    await naming.read('watch', service, signal).then((info) => changed(service, info, askedAt), fail);
  };

  const noteAsOurs = (service: string, { hosts }: ServiceInfo): boolean => {
    if (hosts.some((host) => isOurs(host, cluster))) return true;
    // One that is empty may be about to get its first entry.
    if (hosts.length > 0) strange.add(service);
    return false;
  };

  const lookForNew = async (): Promise<void> => {
    for (;;) {
      await pause(clock, NAMES_EVERY_MS, signal);
      if (signal.aborted) return;
      const fresh = (await naming.names('watch', signal)).filter((name) => !strange.has(name) && !followed.has(name));
      await inParallel(fresh, WIDTH, async (service) => {
        if (!noteAsOurs(service, await naming.read('watch', service, signal)) || followed.has(service)) return;
        await follow(service);
        hint();
      });
    }
  };

  const stopListening = recent.listen((service, { place, host }) => {
    if (host !== undefined && !isOurs(host, cluster)) return;
    const known = followed.get(service);
    if (known === undefined) {
      if (host !== undefined) followOwn(service, contentOf(service, [host], cluster, false)).catch(fail);
    } else keep(known, place, host && contentOf(service, [host], cluster, false).get(place));
  });
  const end = () => {
    stopListening();
    for (const service of followed.keys()) subscriptions.end(service, subscriber);
  };
  signal.addEventListener('abort', end, { once: true });

  const services: string[] = [];
  await readOwned(watching, cluster, signal, (service, info) => {
    if (noteAsOurs(service, info)) services.push(service);
  });
  await inParallel(services, WIDTH, follow);
  hint();
  await lookForNew();
}

const NOTHING: ReadonlyMap<string, string> = new Map();

function keep(content: Map<string, string>, place: string, one: string | undefined): void {
  if (one === undefined) content.delete(place);
  else content.set(place, one);
}

/** Our entries, by place. */
function contentOf(
  service: string,
  hosts: readonly NacosHost[],
  cluster: string,
  shielded: boolean,
): Map<string, string> {
  const content = new Map<string, string>();
  for (const host of hosts.filter((one) => isOurs(one, cluster))) {
    const one = canonical(instanceOf(host, { service, shielded, held: false }));
    const before = content.get(placeOf(host));
    content.set(placeOf(host), before === undefined ? one : [before, one].sort().join('\n'));
  }
  return content;
}

const equal = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...b].every(([place, content]) => a.get(place) === content);

/** The order of entries is not told by Nacos. */
const canonicalOf = (hosts: readonly NacosHost[], shielded: boolean): string =>
  hosts
    .map((host) => canonicalHost(host, shielded))
    .sort()
    .join('\n');

const lost = (): RegistryError =>
  new RegistryError(
    'unreachable',
    'watch: the connection to Nacos was lost, and what changed meanwhile was not seen; watch again',
  );
