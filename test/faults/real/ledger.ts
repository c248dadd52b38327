// What was written to the registry of one run, whoever tells it, and what of that should not have been.
import type { Judged } from '../run.ts';
import type { Story } from '../story.ts';
import type { RegistryTruth, Written } from './gate.ts';
import { byId, difference, type Place, type Standing } from './registries.ts';

interface LedgerOptions {
  readonly place: Place;
  /** Which entries were wanted, after each write of a user. */
  readonly wanted: readonly ReadonlySet<string>[];
  readonly story: Story;
  /** Takes what is of one run alone out of a text. */
  canonical(text: string): string;
}

type Unit = Judged['units'][number];

export function createLedger({ place, wanted, story, canonical }: LedgerOptions) {
  const units: Unit[] = [];
  const absences: string[] = [];
  const wiped = new Map<string, number>();
  const registeredAt = new Map<string, number>();
  let known: ReadonlyMap<string, Standing> = new Map();
  let writtenAt = 0;

  function note(written: readonly Written[], number: number): void {
    for (const { effect, id } of written) {
      writtenAt = story.now();
      story.tell('registry', `write ${number}: ${effect} ${canonical(id)}`);
      if (effect === 'register') registeredAt.set(id, wanted.length - 1);
      if (effect === 'deregister') checkAbsence(id);
    }
    units.push({ written: written.map(({ effect, id }) => ({ effect, change: { instance: { id: canonical(id) } } })) });
  }

  /** Whatever the operator may have seen so far: was there a moment since it registered the entry when nobody wanted it? */
  function checkAbsence(id: string): void {
    if (wanted.slice(registeredAt.get(id) ?? 0).some((ids) => !ids.has(id))) return;
    absences.push(`${canonical(id)} was wanted all the time, and was removed at ${story.time()}`);
  }

  function forget(ids: Iterable<string>): void {
    for (const id of ids) wiped.set(canonical(id), (wiped.get(canonical(id)) ?? 0) + 1);
    known = new Map();
  }

  const truth: RegistryTruth = {
    async changes() {
      const now = byId(await place.standing());
      const written = (await place.changes?.()) ?? difference(known, now);
      known = now;
      return written;
    },
    async wipe() {
      const ids = [...byId(await place.standing()).keys()];
      await place.wipe();
      return ids;
    },
  };

  return {
    ...truth,
    units: units as readonly Unit[],
    absences: absences as readonly string[],
    wiped: wiped as ReadonlyMap<string, number>,
    known: () => known,
    writtenAt: () => writtenAt,
    note,
    forget,
    forgetAll: () => forget(known.keys()),
    /** Of a registry that nothing is in front of: what its changes say. */
    async follow(): Promise<void> {
      const written = (await place.changes?.()) ?? [];
      if (written.length > 0) note(written, units.length + 1);
      const standing = new Map(known);
      for (const { effect, id } of written) {
        if (effect === 'deregister') standing.delete(id);
        else standing.set(id, { id, content: '', stamp: '' });
      }
      known = standing;
    },
  };
}
