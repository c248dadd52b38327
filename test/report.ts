// What `test/run.ts` prints. Of a run that failed often nothing but the last lines is kept, so they must tell what there is to know.
import { relative } from 'node:path';
import { Readable } from 'node:stream';
import { spec } from 'node:test/reporters';

/** The events of one run of node:test. */
export type Events = AsyncIterable<{ readonly type: string; readonly data: unknown }>;

/**
 * The spec reporter's text of runs that go on beside each other, one after the other; then, as the last lines, each test that failed, and node:test's
 * totals of all runs together. Resolves with whether all of them passed.
 */
export async function report(runs: readonly Events[], write: (text: string) => void): Promise<boolean> {
  const ending: Ending = { failed: [], totals: new Map(), durations: new Map(), passed: [] };
  for (const events of runs) {
    const shown = Readable.from(withoutEnding(events, ending)).compose(new spec());
    for await (const chunk of shown) write(String(chunk));
  }
  const slowest = [...ending.durations].sort(([, a], [, b]) => b - a).slice(0, 10);
  for (const [file, ms] of slowest) write(`${Math.round(ms / 1000)} s: ${file}\n`);
  for (const line of ending.failed) write(`failed: ${line}\n`);
  for (const [name, value] of ending.totals) write(`# ${name} ${value}\n`);
  return ending.passed.length === runs.length && ending.passed.every(Boolean);
}

interface Ending {
  readonly failed: string[];
  readonly totals: Map<string, number>;
  /** Milliseconds, by file. */
  readonly durations: Map<string, number>;
  /** Of each run that came to its end. */
  readonly passed: boolean[];
}

/** What events hold, as far as it is used here; each has a part of it. */
interface Data {
  readonly nesting?: number;
  readonly file?: string;
  readonly name?: string;
  readonly message?: string;
  readonly success?: boolean;
  readonly duration_ms?: number;
  readonly details?: { readonly error?: { readonly failureType?: string; readonly cause?: unknown } };
}

async function* withoutEnding(events: Events, ending: Ending): AsyncIterable<{ type: string; data: unknown }> {
  for await (const event of events) {
    const data = event.data as Data;
    const total = event.type === 'test:diagnostic' ? totalIn(data) : undefined;
    if (total !== undefined) addTotal(total, ending.totals);
    else yield event;
    if (event.type === 'test:summary') noteSummary(data, ending);
    if (event.type === 'test:fail') noteFailure(data, ending.failed);
  }
}

/** Those of a run stand beside everything, and tell of no file. */
function totalIn({ nesting, file, message }: Data): readonly [name: string, value: number] | undefined {
  const [, name, value] = /^(\w+) ([\d.]+)$/.exec(message ?? '') ?? [];
  return nesting === 0 && file === undefined && name !== undefined ? [name, Number(value)] : undefined;
}

function addTotal([name, value]: readonly [name: string, value: number], totals: Map<string, number>): void {
  const before = totals.get(name) ?? 0;
  totals.set(name, name === 'duration_ms' ? Math.max(before, value) : before + value);
}

/** One comes for every file, and a last one, without a file, for the run. */
function noteSummary({ file, success, duration_ms = 0 }: Data, { durations, passed }: Ending): void {
  if (file === undefined) passed.push(success === true);
  else durations.set(shownPath(file), duration_ms);
}

function noteFailure({ file = '', name, details }: Data, failed: string[]): void {
  const { error } = details ?? {};
  // A suite fails with what is in it; that is told by itself.
  if (error?.failureType === 'subtestsFailed') return;
  failed.push(
    `${shownPath(file)} > ${name === file ? 'the file itself' : name}: ${toldShortly(error?.cause ?? error)}`,
  );
}

const shownPath = (file: string): string => relative(process.cwd(), file);

/** Characters of each message in the list of what failed. */
const SHOWN = 240;

/** In one line, with what it was caused by: of a property that is its seed and the beginning of the counterexample, and then what failed. */
function toldShortly(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).trim().replace(/\s+/g, ' ');
  const beginning = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? beginning : `${beginning} | ${toldShortly(cause)}`;
}
