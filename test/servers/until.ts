import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks until the answer is something else than `undefined`, and gives that. Rejects, naming what was awaited, after
 * `timeoutMs`; an error of `ask` ends the waiting at once.
 */
export async function until<Answer>(
  awaited: string,
  ask: () => Promise<Answer | undefined>,
  timeoutMs = 30_000,
): Promise<Answer> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${awaited}`);
    await delay(50);
  }
}
