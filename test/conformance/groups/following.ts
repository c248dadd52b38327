import { until } from '../../servers/until.ts';
import { type Watching, watching } from '../watching.ts';

export interface Following<View> extends Omit<Watching, 'reach'> {
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
