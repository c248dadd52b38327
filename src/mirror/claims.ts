/** Who wants which service name in one registry. Two Services under one name would be merged by accident. */

export interface Claim {
  /** `namespace/name` of the Service. */
  readonly owner: string;
  readonly registration: string;
  /** RFC 3339, of the registration and of the Service. */
  readonly registrationCreated: string;
  readonly serviceCreated: string;
  readonly mergeName: boolean;
}

/** Under which a name is claimed: Consul and DNS give the entries of one spelling to those who ask for another. */
export const claimKey = (name: string): string => name.toLowerCase();

/**
 * The older registration first, then the older Service; names break ties. Timestamps have whole seconds: of two registrations made within one, that of the
 * younger Service must not take the name from one that may have stood for years.
 */
export function byPrecedence(a: Claim, b: Claim): number {
  return (
    compare(a.registrationCreated, b.registrationCreated) ||
    compare(a.serviceCreated, b.serviceCreated) ||
    compare(a.registration, b.registration) ||
    compare(a.owner, b.owner)
  );
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The Service that keeps `owner` from a name, or undefined when the name is its own or shared by consent of both. */
export function heldBy(owner: string, claims: readonly Claim[]): Claim | undefined {
  const [holder] = claims;
  if (holder === undefined || holder.owner === owner) return undefined;
  const mine = claims.find((claim) => claim.owner === owner);
  return mine?.mergeName === true && holder.mergeName ? undefined : holder;
}

export interface ClaimIndex {
  /** Claims on a name, holder first. */
  on(name: string): readonly Claim[];
  /** Replaces what a Service claims; returns the other Services whose claims on those names are touched. */
  update(owner: string, claims: ReadonlyMap<string, Claim>): readonly string[];
}

export function createClaimIndex(): ClaimIndex {
  const byName = new Map<string, Claim[]>();
  const byOwner = new Map<string, ReadonlyMap<string, Claim>>();

  const set = (name: string, owner: string, claim: Claim | undefined): readonly string[] => {
    const others = (byName.get(name) ?? []).filter((other) => other.owner !== owner);
    const next = claim === undefined ? others : [...others, claim].sort(byPrecedence);
    if (next.length === 0) byName.delete(name);
    else byName.set(name, next);
    return others.map((other) => other.owner);
  };

  return {
    on: (name) => byName.get(name) ?? [],
    update(owner, claims) {
      const before = byOwner.get(owner);
      const touched = new Set<string>();
      for (const name of new Set([...(before?.keys() ?? []), ...claims.keys()])) {
        const claim = claims.get(name);
        if (JSON.stringify(before?.get(name)) === JSON.stringify(claim)) continue;
        for (const other of set(name, owner, claim)) touched.add(other);
      }
      if (claims.size === 0) byOwner.delete(owner);
      else byOwner.set(owner, claims);
      return [...touched];
    },
  };
}
