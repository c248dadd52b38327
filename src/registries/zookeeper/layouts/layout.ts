import type { Instance, Liveness } from '../../../mirror/instance.ts';

/** Where and how an entry stands: the name of the service and of the node below it. */
export interface Standing {
  readonly service: string;
  readonly node: string;
  readonly liveness: Liveness;
}

export interface Entry {
  readonly instance: Instance;
  /** Wall clock, milliseconds, where the layout tells it: for display. */
  readonly registeredAt: number;
}

/** How a node is written, so that the consumers of a framework find it. */
export interface Layout {
  /** The rule of the layout that an instance breaks, besides those that all have. */
  brokenRule(instance: Instance): string | undefined;
  write(entry: Entry, node: string): string;
  /** What a consumer takes the text for; nothing when it could not read it. `marks` of what we did not write are empty. */
  read(text: string, standing: Standing): Entry | undefined;
  /** Consumers pass it over. */
  hides(instance: Instance): boolean;
  /** Consumers are told of nodes that come and go, and not of their content: a changed entry is taken away and put back at once. */
  readonly replaces: boolean;
}

/** No instance can be wanted with it. */
const DAMAGED_WEIGHT = -1;

/** An entry of ours as we must see it: one that is not exactly as we write it differs from whatever may be wanted in its place. */
export function readOwned(layout: Layout, text: string, standing: Standing): Entry | undefined {
  const entry = layout.read(text, standing);
  if (entry === undefined || entry.instance.marks.cluster === '') return undefined;
  if (layout.write(entry, standing.node) === text) return entry;
  return { ...entry, instance: { ...entry.instance, weight: DAMAGED_WEIGHT } };
}
