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
}

/**
 * What this client wrote a moment ago. The server answers questions from a view of each service that it renews half a second after a change: a
 * reading that does not show a write yet is not news. Longer than {@link SETTLE_MS} nothing is remembered.
 */
export interface Recent {
  /** Runs a write; until it ends nobody can say what stands at these places. */
  writing<T>(service: string, places: readonly string[], write: () => Promise<T>): Promise<T>;
  /** Places of writes under way. */
  unsettled(service: string): ReadonlySet<string>;
  wrote(service: string, place: string, host: NacosHost | undefined): void;
  /** From now on nothing is known of this place: its write may or may not have happened. */
  forget(service: string, place: string): void;
  /** The server has caught up with what this reading shows. */
  confirm(service: string, info: ServiceInfo): void;
  /** By place. */
  of(service: string): ReadonlyMap<string, Written>;
  services(): readonly string[];
  /** Called with each write. The returned function ends it. */
  listen(listener: (service: string, written: Written) => void): () => void;
}

/** Five times what an idle server takes. */
export const SETTLE_MS = 3_000;

export function createRecent(clock: Clock): Recent {
  const services = new Map<string, Map<string, Written>>();
  const listeners = new Set<(service: string, written: Written) => void>();
  const underWay = new Set<{ readonly service: string; readonly places: readonly string[] }>();

  const fresh = (service: string): Map<string, Written> => {
    const places = services.get(service) ?? new Map<string, Written>();
    for (const [place, { at }] of places) if (clock.now() - at >= SETTLE_MS) places.delete(place);
    if (places.size === 0) services.delete(service);
    return places;
  };

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
      const written = { place, host, at: clock.now() };
      const places = services.get(service) ?? new Map<string, Written>();
      services.set(service, places.set(place, written));
      for (const listener of listeners) listener(service, written);
    },
    forget: (service, place) => void services.get(service)?.delete(place),
    confirm(service, info) {
      const places = services.get(service);
      if (places === undefined) return;
      const isShown = shownIn(info);
      for (const written of places.values()) if (isShown(written)) places.delete(written.place);
    },
    of: fresh,
    services: () => [...services.keys()].filter((service) => fresh(service).size > 0),
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
