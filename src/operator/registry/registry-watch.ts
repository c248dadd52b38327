import type { Clock } from '../../clock.ts';
import { createBackoff } from '../../kubernetes/backoff.ts';
import { RegistryError } from '../../registries/error.ts';
import type { ServiceRegistry } from '../../registries/registry.ts';

export interface RegistryWatchOptions {
  readonly registry: Pick<ServiceRegistry, 'capabilities' | 'watch'>;
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Ends it. */
  readonly signal: AbortSignal;
  onHint(): void;
  /** It sees nothing any more: told of each watch that stood, and of each new reason why none does. */
  onBlind(error: RegistryError): void;
}

/**
 * Keeps a watch of the entries of one cluster open. One that ended is opened again, after longer and longer waits while none lasts; its first hint
 * covers the gap. A registry without watches is asked once at most.
 */
export interface RegistryWatch {
  /**
   * Opens it now, unless it is open. Resolves when it stands, so that a list that begins now misses nothing and answers its first hint too; or when
   * it failed, or after 3 s, since nothing waits for a watch for long.
   */
  stand(): Promise<void>;
}

const STAND_MS = 3_000;
const REOPEN = { minMs: 1_000, maxMs: 60_000 };

export function createRegistryWatch(options: RegistryWatchOptions): RegistryWatch {
  const { registry, cluster, clock, signal } = options;
  const backoff = createBackoff(REOPEN, options.random);
  let state: 'shut' | 'opening' | 'standing' | 'over' = registry.capabilities.watch ? 'shut' : 'over';
  let reason: RegistryError['code'] | undefined;
  let cancelReopening = () => {};
  const waiting = new Set<() => void>();

  const settle = (next: typeof state) => {
    state = next;
    for (const done of [...waiting]) done();
  };

  function open(): void {
    cancelReopening();
    const openedAt = clock.now();
    let ended = false;
    const hint = () => {
      if (ended || signal.aborted) return;
      options.onHint();
      if (state === 'opening') settle('standing');
    };
    state = 'opening';
    registry.watch({ cluster }, hint, signal).catch((thrown: unknown) => {
      ended = true;
      const error = RegistryError.from(thrown, 'watch');
      if (signal.aborted || error.code === 'closed') return settle('over');
      const stood = state === 'standing';
      if (stood || error.code !== reason) options.onBlind(error);
      reason = error.code;
      if (reason === 'unsupported') return settle('over');
      // One that ends as soon as it stands has not recovered.
      if (clock.now() - openedAt >= REOPEN.maxMs) backoff.reset();
      cancelReopening = clock.setTimer(backoff.next(), open);
      settle('shut');
    });
  }

  signal.addEventListener(
    'abort',
    () => {
      cancelReopening();
      settle('over');
    },
    { once: true },
  );

  return {
    async stand() {
      if (state === 'shut') open();
      if (state !== 'opening') return;
      await new Promise<void>((resolve) => {
        const done = () => {
          cancel();
          waiting.delete(done);
          resolve();
        };
        const cancel = clock.setTimer(STAND_MS, done);
        waiting.add(done);
      });
    },
  };
}
