import assert from 'node:assert/strict';
import type { RegistryError } from '../../src/registries/error.ts';
import { until } from '../servers/until.ts';
import { failureOf } from './expectations.ts';

/** A watch that stands. */
export interface Watching {
  hints(): number;
  /** Waits for so many hints. */
  reach(count: number): Promise<void>;
  /** How it ended. */
  readonly ended: Promise<RegistryError>;
  abort(): void;
  /** Ends it, and asserts that it was this which did. */
  stop(): Promise<void>;
}

export async function watching(
  watch: (onHint: () => void, signal: AbortSignal) => Promise<never>,
  onHint: () => void = () => {},
): Promise<Watching> {
  const abort = new AbortController();
  const stands = Promise.withResolvers<void>();
  let hints = 0;
  const hint = () => {
    hints++;
    stands.resolve();
    onHint();
  };
  const ended = failureOf(watch(hint, abort.signal));
  // Told to whoever asks how it ended.
  ended.catch(() => {});
  await Promise.race([stands.promise, ended]);
  if (hints === 0) assert.fail(`the watch ended before it stood: ${(await ended).message}`);
  return {
    hints: () => hints,
    async reach(count) {
      await until(`hint ${count}`, async () => (hints >= count ? true : undefined));
    },
    ended,
    abort: () => abort.abort(),
    async stop() {
      abort.abort();
      assert.equal((await ended).code, 'aborted');
    },
  };
}
