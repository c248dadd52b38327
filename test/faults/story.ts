import type { Clock } from '../../src/clock.ts';

export interface StoryLine {
  readonly at: number;
  readonly who: 'users' | 'operator' | 'registry' | 'fault' | 'log' | 'judge';
  readonly what: string;
}

export interface Story {
  readonly lines: readonly StoryLine[];
  tell(who: StoryLine['who'], what: string): void;
  now(): number;
  /** As the lines show it. */
  time(at?: number): string;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(3)} s`;

export function createStory(clock: Clock): Story {
  const lines: StoryLine[] = [];
  return {
    lines,
    now: clock.now,
    tell: (who, what) => void lines.push({ at: clock.now(), who, what }),
    time: (at = clock.now()) => seconds(at),
  };
}

/** From a little before the fault on: what came before is the same in every run. */
export function shortened(lines: readonly StoryLine[]): string {
  const first = lines.findIndex(({ who }) => who === 'fault');
  const from = Math.max(0, first - LEAD);
  const left = from === 0 ? [] : [`… ${from} lines before, as in the run without a fault`];
  return [...left, ...lines.slice(from).map(textOf)].join('\n');
}

const LEAD = 6;

export const textOf = ({ at, who, what }: StoryLine): string =>
  `${seconds(at).padStart(12)}  ${who.padEnd(8)}  ${what}`;
