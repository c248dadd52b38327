// Every way in which an old leader may stand still while a new one takes over, as far as it is counted here. Pure.
import { randomOf } from '../random.ts';
import type { Fate } from './line.ts';

/** Batches of the old leader, decided before it stood still and called at once. */
export const SHAPES = ['one batch', 'two in flight', 'six in flight', 'more than a batch', 'several services'] as const;
export type Shape = (typeof SHAPES)[number];

/** Between which steps of the new leader, or beside which, the old one goes on. */
export const MOMENTS = [
  'beside the claim',
  'after the claim',
  'beside the list',
  'after the list',
  'beside the first write',
  'after the first write',
  'beside the second write',
  'after the second write',
] as const;
export type Moment = (typeof MOMENTS)[number];

export const FATES: readonly Fate[] = ['arrives', 'unanswered', 'lost'];

/**
 * What the server has got of the batches when the old leader stands still: this share of their bytes; or all of them, and no answer was read.
 * 0: nothing was sent.
 */
export type Sent = number | 'unread';

/** The share that is sent is drawn within each of so many equal parts. */
const PARTS = 8;

export interface RacePlan {
  readonly number: number;
  readonly shape: Shape;
  readonly sent: Sent;
  readonly moment: Moment;
  readonly fate: Fate;
  /** The client of the old leader tries again what failed, as programs have it; the operator's does not. */
  readonly retry: boolean;
}

/** All of them, in an order that mixes everything: any part of it is a sample. */
export function racePlans(seed: number): readonly RacePlan[] {
  const random = randomOf(seed);
  const positions: readonly (() => Sent)[] = [
    () => 0,
    ...Array.from({ length: PARTS }, (_, part) => () => (part + random()) / PARTS),
    () => 'unread',
  ];
  const all = SHAPES.flatMap((shape) =>
    positions.flatMap((position) =>
      MOMENTS.flatMap((moment) => FATES.map((fate) => ({ shape, sent: position(), moment, fate }))),
    ),
  );
  return shuffled(all, random).map((plan, number) => ({ number, ...plan, retry: random() < 0.5 }));
}

export const toldOf = ({ number, shape, sent, moment, fate, retry }: RacePlan): string =>
  `run ${number}: ${shape}, ${sent === 'unread' ? 'sent and no answer read' : `${(100 * sent).toFixed(2)} % sent`}, ` +
  `goes on ${moment}, ${fate}${retry ? ', with retries' : ''}`;

function shuffled<Item>(items: readonly Item[], random: () => number): readonly Item[] {
  const order = [...items];
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const [one, two] = [order[at], order[other]];
    if (one === undefined || two === undefined) continue;
    order[at] = two;
    order[other] = one;
  }
  return order;
}
