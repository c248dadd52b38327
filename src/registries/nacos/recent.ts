import type { Clock } from '../../clock.ts';
import type { ServiceInfo } from './answer.ts';
import { canonicalHost, idOf, placeOf } from './entry.ts';
import type { NacosHost } from './host.ts';

/** An acknowledged write of ours. */
export interface Written {
  readonly place: string;
  /** What stands there since; undefined for a removal. */
  readonly host: NacosHost | undefined;
  /** Monotonic, milliseconds. */
  readonly at: number;
  /** When an answer showed it: what is asked half a second later shows it too, or what came after it. */
  shownAt?: number;
  /** It came over another write that had not been shown: what looks like it may be what stood before both. */
  readonly isSecond: boolean;
}

/**
 * What this client wrote a moment ago. The server answers questions from a view of each service that it renews half a second after a change: a
 * reading that does not show a write yet is not news, if it was asked for within {@link SETTLE_MS} of it.
 */
export interface Recent {
  /** Runs a write; until it ends nobody can say what stands at these places. */
  writing<T>(service: string, places: readonly string[], write: () => Promise<T>): Promise<T>;
  /** Places of writes under way. */
  unsettled(service: string): ReadonlySet<string>;
  wrote(service: string, place: string, host: NacosHost | undefined): void;
  /** From now on nothing is known of this place: its write may or may not have happened. */
  forget(service: string, place: string): void;
  /** Since when such a write may have happened without being shown. */
  readonly doubtfulSince: number | undefined;
  /** What happened up to then is shown by now. */
  believe(doubtfulSince: number): void;
  /**
   * The server has caught up with what this answer, which has just come, shows. Whether that is all that a reading which was asked for then
   * must show before it is believed.
   */
  confirm(service: string, info: ServiceInfo, askedAt: number): boolean;
  /** What a reading that was asked for then, or now, need not show yet. By place. */
  of(service: string, askedAt?: number): ReadonlyMap<string, Written>;
  services(): readonly string[];
  /** Called with each write. The returned function ends it. */
  listen(listener: (service: string, written: Written) => void): () => void;
}

/** Five times what an idle server takes. */
export const SETTLE_MS = 3_000;
/** Two threads of a server may renew one view at once, and the older one come last: 2.2.4 went back once for 2 of 150 services that were read while they were made. */
const BACK_MS = 500;
/** Nothing that was asked for so long ago is still answered. */
const KEEP_MS = SETTLE_MS + 30_000;

export function createRecent(clock: Clock): Recent {
  const services = new Map<string, Map<string, Written>>();
  const listeners = new Set<(service: string, written: Written) => void>();
  const underWay = new Set<{ readonly service: string; readonly places: readonly string[] }>();
  let doubtfulSince: number | undefined;

  const kept = (service: string): Map<string, Written> => {
    const places = services.get(service) ?? new Map<string, Written>();
    for (const [place, { at }] of places) if (clock.now() - at >= KEEP_MS) places.delete(place);
    if (places.size === 0) services.delete(service);
    return places;
  };
  const unshown = (service: string, askedAt = clock.now()): ReadonlyMap<string, Written> =>
    new Map(
      [...kept(service)].filter(
        ([, { at, shownAt }]) => askedAt - at < SETTLE_MS && (shownAt === undefined || askedAt <= shownAt + BACK_MS),
      ),
    );

  return {
    async writing(service, places, write) {
      const mark = { service, places };
      underWay.add(mark);
      try {
        return await write();
      } finally {
        underWay.delete(mark);
      }
    },
    unsettled: (wanted) => new Set([...underWay].flatMap(({ service, places }) => (service === wanted ? places : []))),
    wrote(service, place, host) {
      const isSecond = unshown(service).has(place);
      const written: Written = { place, host, at: clock.now(), isSecond };
      const places = services.get(service) ?? new Map<string, Written>();
      services.set(service, places.set(place, written));
      for (const listener of listeners) listener(service, written);
    },
    forget(service, place) {
      services.get(service)?.delete(place);
      doubtfulSince = clock.now();
    },
    get doubtfulSince() {
      return doubtfulSince;
    },
    believe(since) {
      if (since === doubtfulSince) doubtfulSince = undefined;
    },
    confirm(service, info, askedAt) {
      const places = services.get(service);
      // Of most services nothing was written lately, and their entries need not be compared.
      if (places === undefined) return true;
      const isShown = shownIn(info);
      for (const written of places.values()) if (!written.isSecond && isShown(written)) written.shownAt ??= clock.now();
      return [...unshown(service, askedAt).values()].every(isShown);
    },
    of: unshown,
    services: () => [...services.keys()].filter((service) => unshown(service).size > 0),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * A reading with our own later writes in the place of what it shows there. Not of a stranger's entry: it was not there when we wrote, so it is later.
 */
export function overlaid({ hosts }: ServiceInfo, recent: ReadonlyMap<string, Written>): readonly NacosHost[] {
  if (recent.size === 0) return hosts;
  const kept = hosts.filter((host) => !recent.has(placeOf(host)) || idOf(host) === undefined);
  const taken = new Set(kept.filter(({ ephemeral }) => !ephemeral).map(placeOf));
  const written = [...recent.values()].flatMap(({ host }) =>
    host === undefined || taken.has(placeOf(host)) ? [] : [host],
  );
  return [...kept, ...written];
}

/** Whether a reading shows a write of ours. */
function shownIn({ hosts, shielded }: ServiceInfo): (written: Written) => boolean {
  const seen = new Map<string, Set<string>>();
  for (const host of hosts) {
    const place = placeOf(host);
    seen.set(place, (seen.get(place) ?? new Set<string>()).add(canonicalHost(host, shielded)));
  }
  return ({ place, host }) =>
    host === undefined ? !seen.has(place) : seen.get(place)?.has(canonicalHost(host, shielded)) === true;
}
