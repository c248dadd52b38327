import { setTimeout as delay } from 'node:timers/promises';

/** Asserts again and again until it holds; after `timeoutMs` the last assertion's own error is thrown, with what was awaited. */
export async function eventually<T>(awaited: string, check: () => Promise<T>, timeoutMs = 30_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error(`waited ${timeoutMs / 1000} s in vain for this: ${awaited}\n${messageOf(error)}`);
      }
    }
    await delay(100);
  }
}

/** Asserts that something stays as it is: once at the start, and again and again until `ms` are over. */
export async function throughout(ms: number, check: () => Promise<void>): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    await check();
    await delay(200);
  }
  await check();
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
