import type { RegistryError } from '../../src/registries/error.ts';
import { until } from '../servers/until.ts';
import { failureOf } from './expectations.ts';

export interface Watching {
  hints(): number;
  /** Waits for so many hints. */
  reach(count: number): Promise<void>;
  readonly rejected: Promise<RegistryError>;
  abort(): void;
}

/** The watch stands, or has been rejected, when the promise resolves. */
export async function watching(run: (onHint: () => void, signal: AbortSignal) => Promise<never>): Promise<Watching> {
  const abort = new AbortController();
  const stands = Promise.withResolvers<void>();
  let hints = 0;
  const onHint = () => {
    hints++;
    stands.resolve();
  };
  const rejected = failureOf(run(onHint, abort.signal));
  const reach = async (count: number) => {
    await until(`hint ${count}`, async () => (hints >= count ? true : undefined));
  };
  await Promise.race([stands.promise, rejected]);
  return { hints: () => hints, reach, rejected, abort: () => abort.abort() };
}
