import { type Clock, pause } from '../../clock.ts';
import type { Call, ConsulClient } from './client.ts';

/** A question that is asked again and again: its answer as text to compare, or undefined where only its index tells. */
export type Question = Omit<Call<string | undefined>, 'waiting'>;

/**
 * A server that is gone without a word is noticed after this long and a request's time; that one was restored from a snapshot too, where the question came
 * right after it (it waits for an index that is far away), and in a watch of a service, whose question Consul (1.22) holds back until then.
 */
const WAIT_MS = 20_000;
/** A hot key costs Consul so many answers at once, and then one a second. */
const BURST = 5;
const REFILL_MS = 1_000;

interface Answer {
  readonly content: string | undefined;
  readonly index: number;
  /** Where the next question begins. */
  readonly next: number;
}

/** Goes on from the first answer for ever; `changed` is called for each that differs from the one before. Rejects when a question fails. */
export type Follow = (changed: () => void) => Promise<never>;

/** Asks once, from the beginning, which is answered at once. What it resolves with holds one connection while it is asked on. */
export type Begin = (question: Question, signal: AbortSignal) => Promise<Follow>;

export function blockingQueries(client: ConsulClient, clock: Clock): Begin {
  /**
   * An index that has not risen is that of a server that was restored, or that woke all who wait before it was: the next question begins
   * anew, or it would wait for an index that is far away.
   */
  async function ask(question: Question, from: number, signal: AbortSignal): Promise<Answer> {
    const asked = from === 0 ? question : { ...question, waiting: { index: from, waitMs: WAIT_MS } };
    const read = (body: unknown, at: number) => {
      const index = Math.max(1, at);
      return { content: question.read(body, at), index, next: index > from ? index : 0 };
    };
    return client.call({ ...asked, read }, signal);
  }

  return async (question, signal) => {
    const first = await ask(question, 0, signal);
    return async (changed) => {
      const take = tokens(clock, signal);
      let last = first;
      for (;;) {
        await take();
        const answer = await ask(question, last.next, signal);
        const same = answer.content === undefined ? answer.index === last.index : answer.content === last.content;
        last = answer;
        if (!same) changed();
      }
    };
  };
}

/** Resolves when the next question may be asked. */
function tokens(clock: Clock, signal: AbortSignal): () => Promise<void> {
  let left = BURST;
  let at = clock.now();
  return async () => {
    left = Math.min(BURST, left + (clock.now() - at) / REFILL_MS);
    at = clock.now();
    if (left < 1) await pause(clock, (1 - left) * REFILL_MS, signal);
    left -= 1;
  };
}
