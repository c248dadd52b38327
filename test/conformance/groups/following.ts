import assert from 'node:assert/strict';
import type { RegistryError } from '../../../src/registries/error.ts';
import { until } from '../../servers/until.ts';
import { failureOf } from '../expectations.ts';

/** A watch that stands. */
export interface Watching {
  hints(): number;
  abort(): void;
  /** How it ended. */
  readonly ended: Promise<RegistryError>;
}

export async function watching(
  watch: (onHint: () => void, signal: AbortSignal) => Promise<never>,
  onHint: () => void = () => {},
): Promise<Watching> {
  const abort = new AbortController();
  let hints = 0;
  const hint = () => {
    hints++;
    onHint();
  };
  let over = false;
  const ended = failureOf(watch(hint, abort.signal)).finally(() => {
    over = true;
  });
  // Told to whoever asks how it ended.
  ended.catch(() => {});
  await until('the first hint, or the end', async () => (hints > 0 || over ? true : undefined));
  if (hints === 0) assert.fail(`the watch ended before it stood: ${(await ended).message}`);
  return { ended, hints: () => hints, abort: () => abort.abort() };
}

export interface Following<View> extends Watching {
  /** Waits until what was read last, after a hint and at no other time, is this. */
  reach(view: View): Promise<void>;
}

/** A caller as it should be: reads after each hint, and only then. */
export async function following<View>(
  watch: (onHint: () => void, signal: AbortSignal) => Promise<never>,
  read: () => Promise<View>,
): Promise<Following<View>> {
  let seen: string | undefined;
  let reading = Promise.resolve();
  const onHint = () => {
    reading = reading.then(async () => {
      seen = JSON.stringify(await read());
    });
    reading.catch(() => {});
  };
  const standing = await watching(watch, onHint);
  return {
    ...standing,
    async reach(view) {
      const wanted = JSON.stringify(view);
      await until(`${wanted} after a hint`, async () => {
        await reading;
        return seen === wanted ? true : undefined;
      });
    },
  };
}
