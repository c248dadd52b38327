import { type Clock, pause } from '../../clock.ts';
import { RegistryError } from '../../registries/error.ts';
import type { ServiceRegistry } from '../../registries/registry.ts';
import type { Terms } from './terms.ts';

/** Who claims a registry, as known now. */
export interface Claimant {
  /** The same for all replicas, another for each registry: two of them may be one server. */
  readonly seat: string;
  /** Throws a RegistryError while it is not known. */
  owner(): string;
  /** Whose record may be replaced: somebody has decided so. */
  adopt(): string | undefined;
}

export interface RegistryClaimOptions {
  readonly registry: Pick<ServiceRegistry, 'check' | 'claim'>;
  readonly cluster: string;
  readonly claimant: Claimant;
  readonly terms: Terms;
  readonly clock: Clock;
}

/**
 * The right of this process to write to one registry, as far as the registry knows it: claimed at the beginning of each term, and anew when it turns out
 * that it is gone. A registry that keeps no such records is worked on without.
 */
export interface RegistryClaim {
  /** `check` of the registry, after a claim where none stands. */
  check(signal: AbortSignal): Promise<{ readonly version: string }>;
  /**
   * Whether the election says, after the claim, that we lead; asked once for each claim. A process that was suspended before its claim takes the registry from
   * whoever leads by now, and knows nothing of what happened since; once it is confirmed, a later leader's claim comes after ours.
   */
  confirmed(): Promise<boolean>;
  /** The registry would tell us if our record went. */
  readonly isWatched: boolean;
  /** A term begins: whatever was claimed before may have been claimed anew since. */
  forget(): void;
  /**
   * After `fenced`: whether it may be claimed again `now`, not before the election has said that we lead (`unsure`: it does not say), or not so
   * soon: `disputed`, somebody else claims the same again and again.
   */
  lost(): Promise<'now' | 'unsure' | 'disputed' | 'over'>;
  /** Resolves when an owned registry, or a disputed one, should be asked again. */
  patience(why: 'owned' | 'disputed', signal: AbortSignal): Promise<void>;
}

/** Two processes that both think they lead would take the registry from one another as fast as they notice. */
const RECLAIM_MS = 30_000;
const DISPUTED_MS = 60_000;
const OWNED_MS = 30_000;
const LOOK_MS = 1_000;

export function createRegistryClaim({
  registry,
  cluster,
  claimant,
  terms,
  clock,
}: RegistryClaimOptions): RegistryClaim {
  let state: 'none' | 'standing' | 'unsupported' = 'none';
  let isConfirmed = false;
  let reclaimedAt = Number.NEGATIVE_INFINITY;
  let adoptAsked: string | undefined;

  async function claim(signal: AbortSignal): Promise<void> {
    adoptAsked = claimant.adopt();
    isConfirmed = false;
    const { seat } = claimant;
    const mine = { cluster, owner: claimant.owner(), ...(adoptAsked !== undefined && { adopt: adoptAsked }) };
    try {
      // Whose the cluster is, whatever the others call their registries; then our seat, which is what later writes are compared with.
      await registry.claim(mine, signal);
      await registry.claim({ ...mine, seat }, signal);
      state = 'standing';
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== 'unsupported') throw error;
      state = 'unsupported';
    }
  }

  return {
    async check(signal) {
      if (state !== 'none') return registry.check(signal);
      // What an earlier term claimed is gone, as it should be.
      const before = await registry.check(signal).catch((error: unknown) => {
        if (error instanceof RegistryError && error.code === 'fenced') return undefined;
        throw error;
      });
      await claim(signal);
      return before ?? registry.check(signal);
    },
    async confirmed() {
      if (!isConfirmed) {
        const verdict = await terms.confirm();
        isConfirmed = verdict === 'leading' || verdict === 'alone';
      }
      return isConfirmed;
    },
    get isWatched() {
      return state === 'standing';
    },
    forget() {
      state = 'none';
    },
    async lost() {
      state = 'none';
      const verdict = await terms.confirm();
      if (verdict === 'lost') return 'over';
      if (verdict === 'unknown') return 'unsure';
      if (clock.now() - reclaimedAt < RECLAIM_MS) return 'disputed';
      reclaimedAt = clock.now();
      return 'now';
    },
    async patience(why, signal) {
      if (why === 'disputed') {
        await pause(clock, reclaimedAt + DISPUTED_MS - clock.now(), signal);
        reclaimedAt = clock.now();
        return;
      }
      const until = clock.now() + OWNED_MS;
      // Whoever decides that it may be adopted should not have to wait.
      while (!signal.aborted && clock.now() < until && claimant.adopt() === adoptAsked)
        await pause(clock, LOOK_MS, signal);
    },
  };
}
