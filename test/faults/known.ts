import type { Plan } from './plan.ts';

/**
 * Plans that the operator does not survive today, and why. The tests hold this list to what happens: a plan that is red and not here fails, and so does
 * one that is here and not red any more.
 */
const KNOWN: readonly { readonly plans: RegExp; readonly why: string }[] = [
  {
    plans: /^precedence\/list\/41$/,
    why: 'A process that starts with an empty list of Services does not know of the one that holds a name, and gives the name to another that is made then. When the registration that asked for it goes, its entry is renamed instead of removed. Nothing that is wanted is removed.',
  },
  {
    plans: /^precedence\/list\/(146|167|251)$/,
    why: 'A process that starts with an empty list of ServiceRegistrations takes a Service that comes then for covered by automatic mirroring. What it registers is rewritten when the list is asked for again. What stands already is not taken over.',
  },
];

export const knownFailure = ({ id }: Pick<Plan, 'id'>): string | undefined =>
  KNOWN.find(({ plans }) => plans.test(id))?.why;

/** The same for plans of the real half, with the registry, and what alone may be wrong then. Timing decides whether they are red. */
const KNOWN_REAL: readonly { readonly plans: RegExp; readonly wrong: RegExp; readonly why: string }[] = [
  {
    plans: /^rename\/crash\/\d+@Nacos$/,
    wrong: /: written \d+ times without effect$/,
    why: 'Nacos has no transactions: an entry is put under its new name, and then taken away under the old one. Of a process that dies in between, both stand; the next one puts the entry once more as it stands, and takes the other away. Nothing that is wanted is removed.',
  },
];

export const knownRealFailure = (id: string, wrong: readonly string[]): string | undefined =>
  KNOWN_REAL.find((one) => one.plans.test(id) && wrong.length > 0 && wrong.every((line) => one.wrong.test(line)))?.why;
