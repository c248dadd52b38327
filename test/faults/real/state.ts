import { withoutTimes } from '../virtual.ts';
import type { History } from './recorder.ts';
import type { Standing } from './registries.ts';

/** What is compared: without the names that the run has for itself, and without times. */
export interface State {
  readonly entries: readonly { readonly id: string; readonly content: string }[];
  readonly objects: readonly object[];
}

export const REGISTRATIONS = ['serviceregistrations.roster.dev', 'clusterserviceregistrations.roster.dev'];
const SHOWN = [...REGISTRATIONS, 'clusterregistries.roster.dev'];

/** `canonical`: takes what is of one run alone out of a text. */
export function stateOf(standing: readonly Standing[], history: History, canonical: (text: string) => string): State {
  const entries = standing
    .map(({ id, content }) => ({ id: canonical(id), content: canonical(content) }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const texts = SHOWN.flatMap((resource) =>
    history.all(resource).map((object) => JSON.stringify({ resource, ...withoutTimes(object) })),
  );
  const objects = texts.map((text): object => JSON.parse(anywhere(canonical(text))));
  return { entries, objects: objects.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
}

export function differenceOf(now: State, expected: State | undefined): string {
  const lines = ({ entries, objects }: State) => [...entries, ...objects].map((one) => JSON.stringify(one));
  const [is, was] = [lines(now), expected === undefined ? [] : lines(expected)];
  const lacking = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`);
  return [...lacking, ...is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`)].join('\n');
}

/** Where and when is another thing in every run. */
const anywhere = (text: string): string =>
  text.replace(/127\.0\.0\.1:\d+/g, 'LINK').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'THEN');
