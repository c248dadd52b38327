import { randomUUID } from 'node:crypto';
import { type Clock, pause } from '../../clock.ts';
import { assertClaim, fencedOff, mayReplace, ownedByAnother, recordNameOf } from '../claim.ts';
import { cancelled, RegistryError } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import type { Claim } from '../registry.ts';
import type { Record, Records } from './http-records.ts';
import { SETTLE_MS } from './recent.ts';
import { brokenNameRule } from './rules.ts';

/** What this client has claimed. */
export interface Held {
  readonly cluster: string;
  readonly term: string;
}

export interface Claims {
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** Undefined for a cluster that this client has not claimed. */
  heldFor(cluster: string): Held | undefined;
  /** Rejects with `fenced` when it did not stand any more a second ago; asks when it was not looked at since then. */
  assertStands(held: Held | undefined, signal: AbortSignal): Promise<void>;
  /** Asks of everything that was claimed. */
  check(signal: AbortSignal): Promise<void>;
}

interface Holding extends Held {
  readonly service: string;
  readonly writtenAt: number;
  /** When the server had shown it: what is asked later and shown in its place came later. */
  shownAt: number | undefined;
  /** When the question was asked whose answer was our term, as long as no other answer came. */
  seenAt: number | undefined;
  asking: Promise<void> | undefined;
}

/**
 * How long what was seen is taken for what stands. Answers of the server are half a second old themselves, so that asking for each batch would make
 * little difference, and cost a request each time.
 */
const SEEN_MS = 1_000;
const LOOK_AGAIN_MS = 50;

/**
 * Who writes for a cluster, as a record that every writer reads before it writes: Nacos compares nothing. Of claims at the same time the one that
 * was written last stands, and the others are told so by the next look.
 */
export function createClaims(records: Records, clock: Clock, closing: AbortSignal): Claims {
  const holdings = new Map<string, Holding>();

  /** What stands; while the server has not shown ours yet, as long as it may take for that. */
  async function look(operation: string, holding: Holding, signal: AbortSignal): Promise<Record | undefined> {
    for (;;) {
      const askedAt = clock.now();
      const record = await records.read(operation, holding.service, signal);
      const isOurs = record?.[TERM] === holding.term;
      holding.seenAt = isOurs ? askedAt : undefined;
      if (isOurs) holding.shownAt ??= clock.now();
      const mustShow = askedAt >= Math.min(holding.shownAt ?? Number.POSITIVE_INFINITY, holding.writtenAt + SETTLE_MS);
      if (isOurs || mustShow) return record;
      await pause(clock, LOOK_AGAIN_MS, signal);
      if (signal.aborted) throw cancelled(operation, signal);
    }
  }

  async function confirm(operation: string, holding: Holding, signal: AbortSignal): Promise<void> {
    const record = await look(operation, holding, signal);
    if (record?.[TERM] !== holding.term) throw fencedOff(operation, holding.cluster);
  }

  /** Of writers beside each other one asks. */
  function confirmed(holding: Holding): Promise<void> {
    holding.asking ??= confirm('apply', holding, closing).finally(() => {
      holding.asking = undefined;
    });
    return holding.asking;
  }

  const isFresh = ({ seenAt }: Holding): boolean => seenAt !== undefined && clock.now() - seenAt < SEEN_MS;

  return {
    async claim(claim, signal) {
      assertClaim(claim);
      const { cluster, owner } = claim;
      const service = serviceOf(recordNameOf(claim));
      const refuse = (record: Record | undefined) => {
        if (record !== undefined && !mayReplace(claim, ownerIn(record))) throw ownedByAnother(claim, ownerIn(record));
      };
      refuse(await records.read('claim', service, signal));
      const term = randomUUID();
      let unanswered: RegistryError | undefined;
      try {
        await records.write(service, { 'managed-by': 'roster', [OWNER]: owner, [TERM]: term }, signal);
      } catch (cause) {
        unanswered = RegistryError.from(cause, 'claim');
        if (!unanswered.ambiguous || signal.aborted) throw unanswered;
      }
      const holding: Holding = {
        cluster,
        term,
        service,
        writtenAt: clock.now(),
        shownAt: undefined,
        seenAt: undefined,
        asking: undefined,
      };
      let standing: Record | undefined;
      try {
        standing = await look('claim', holding, signal);
      } catch (cause) {
        throw unanswered ?? written(RegistryError.from(cause, 'claim'));
      }
      if (standing?.[TERM] !== term) {
        refuse(standing);
        if (unanswered !== undefined) throw unanswered;
      }
      holdings.set(cluster, holding);
    },
    heldFor: (cluster) => holdings.get(cluster),
    async assertStands(held, signal) {
      const holding = held === undefined ? undefined : holdings.get(held.cluster);
      if (held === undefined || holding === undefined) return;
      // Claimed anew by this client itself.
      if (holding.term !== held.term) throw fencedOff('apply', held.cluster);
      // Twice, since an answer may have waited for a process that stood still; a server that takes so long each time is believed.
      for (let asked = 0; asked < 2 && !isFresh(holding); asked++)
        await unlessAborted(confirmed(holding), signal, () => cancelled('apply', signal));
    },
    async check(signal) {
      for (const holding of holdings.values()) await confirm('check', holding, signal);
    },
  };
}

const OWNER = 'owner';
const TERM = 'term';

/** Of what somebody else left there too: nobody knows whose it is, until somebody adopts it. */
const ownerIn = ({ [OWNER]: owner = '' }: Record): string => (/^[\w./:-]{1,200}$/.test(owner) ? owner : 'unknown');

function serviceOf(cluster: string): string {
  const service = `roster-claim-${cluster}`;
  const broken = cluster === '' ? 'the name of a cluster cannot be empty' : brokenNameRule(service);
  if (broken !== undefined) throw new RegistryError('invalid', `claim: ${broken}`);
  return service;
}

/** The record may stand, though it could not be read back. */
const written = ({ code, message, cause }: RegistryError): RegistryError =>
  new RegistryError(code, message, { cause, ambiguous: true });
