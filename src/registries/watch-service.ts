import { type Clock, pause, systemClock } from '../clock.ts';
import { canonical, type Instance } from '../mirror/instance.ts';
import { RegistryError } from './error.ts';
import type { ServiceRegistry } from './registry.ts';

export interface WatchOptions {
  readonly clock?: Clock;
  /** 0 up to, not including, 1. */
  readonly random?: () => number;
}

const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;

/**
 * What consumers of a service name get: once now, and again after each change, the latest only when several came at once.
 *
 * Guarantees: equal lists are given once. A registry that cannot be reached ends nothing: it is asked again, after 0.25 s up to 10 s, and what stood last
 * counts until it answers. Ends when the signal aborts; nothing of it is left then, nor after a `break`.
 *
 * Errors: rejects where no waiting helps: `closed`, `unsupported`, `invalid`, `unauthorized`, `forbidden`, `not-found`.
 */
export async function* watchService(
  registry: ServiceRegistry,
  service: string,
  signal: AbortSignal,
  { clock = systemClock, random = Math.random }: WatchOptions = {},
): AsyncGenerator<readonly Instance[], void, undefined> {
  const ending = new AbortController();
  const until = AbortSignal.any([signal, ending.signal]);
  const events = mailbox(until);
  const backoff = (failures: number) =>
    pause(clock, Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures) * (0.5 + random() / 2), until);

  const watching = (async () => {
    for (let failures = 0; !until.aborted; failures++) {
      const onHint = () => {
        failures = 0;
        events.post({ hint: true });
      };
      const error = await registry.watch({ service }, onHint, until).catch((thrown: unknown) => asError(thrown));
      if (isFinal(error)) return events.post({ error });
      await backoff(failures);
    }
  })();

  try {
    let given: string | undefined;
    for (let failures = 0; !until.aborted; ) {
      const event = await events.next();
      if (event === undefined) return;
      if ('error' in event) throw event.error;
      try {
        const instances = await registry.discover(service, until);
        failures = 0;
        const now = instances.map(canonical).sort().join('\n');
        if (now !== given) yield instances;
        given = now;
      } catch (thrown) {
        if (until.aborted) return;
        const error = asError(thrown);
        if (isFinal(error)) throw error;
        await backoff(failures++);
        events.post({ hint: true });
      }
    }
  } finally {
    ending.abort();
    await watching;
  }
}

const asError = (thrown: unknown): RegistryError => RegistryError.from(thrown, 'watchService');

const FINAL: ReadonlySet<string> = new Set([
  'closed',
  'unsupported',
  'invalid',
  'unauthorized',
  'forbidden',
  'not-found',
]);

const isFinal = ({ code }: RegistryError): boolean => FINAL.has(code);

type Event = { readonly hint: true } | { readonly error: RegistryError };

/** Holds one event: hints are alike, and an error is the last. */
function mailbox(signal: AbortSignal) {
  let held: Event | undefined;
  let wake = () => {};
  return {
    post(event: Event) {
      if (held === undefined || 'hint' in held) held = event;
      wake();
    },
    /** Undefined when the signal aborts. */
    async next(): Promise<Event | undefined> {
      if (held === undefined && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const woken = () => {
            signal.removeEventListener('abort', woken);
            resolve();
          };
          wake = woken;
          signal.addEventListener('abort', woken, { once: true });
        });
      }
      const event = held;
      held = undefined;
      return signal.aborted ? undefined : event;
    },
  };
}
