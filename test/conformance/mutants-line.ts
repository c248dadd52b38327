import { RegistryError, type RegistryErrorCode } from '../../src/registries/error.ts';
import { around, isWrite } from '../../src/registries/layers/around.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import type { Fault, Harness } from './harness.ts';

/** A registry of this process as if it were at the other end of a line, with credentials: what Memory lacks for some groups of the suite. */
export function atADistance(harness: Harness): Harness {
  const connected = new Set<ServiceRegistry>();
  let frozen: PromiseWithResolvers<void> | undefined;
  let lost = false;

  const remote = (client: ServiceRegistry): ServiceRegistry => {
    const over = around(client, async (operation, signal, run) => {
      connected.add(client);
      if (frozen !== undefined) await Promise.race([frozen.promise, aborted(operation, signal)]);
      return run(signal);
    });
    return {
      ...over,
      async apply(changes, signal) {
        const results = await over.apply(changes, signal);
        if (!lost) return results;
        lost = false;
        return changes.map(() => failed('unreachable', true));
      },
      async close() {
        connected.delete(client);
        await client.close();
      },
    };
  };

  const lose = () => {
    lost = true;
  };
  return {
    ...harness,
    openWith: () => failing(harness.open(), 'unauthorized', false),
    link: {
      open: () => remote(harness.open()),
      freeze() {
        frozen = Promise.withResolvers();
      },
      cutNextAnswer: lose,
      truncateNextAnswer: lose,
      heal() {
        frozen?.resolve();
        frozen = undefined;
        lost = false;
      },
      connections: () => connected.size,
    },
    faults: FAULTS.map(([name, code, ambiguous]) => ({
      name,
      code,
      ambiguous,
      open: async () => ({ registry: failing(harness.open(), code, ambiguous) }),
    })),
  };
}

const FAULTS: readonly (readonly [name: string, code: Fault['code'], ambiguous: boolean])[] = [
  ['credentials without rights', 'forbidden', false],
  ['a server that says nothing', 'timeout', true],
];

const failure = (code: RegistryErrorCode, ambiguous: boolean): RegistryError =>
  new RegistryError(code, 'the registry at the other end of the line failed', { ambiguous });

const failed = (code: RegistryErrorCode, ambiguous: boolean): ChangeResult => ({
  ok: false,
  error: failure(code, ambiguous),
});

/** Fails in everything that reaches its server. */
function failing(client: ServiceRegistry, code: RegistryErrorCode, ambiguous: boolean): ServiceRegistry {
  const over = around(client, async (operation, signal, run) => {
    if (signal.aborted) return run(signal);
    await client.check(signal);
    throw failure(code, ambiguous && isWrite(operation));
  });
  return {
    ...over,
    async apply(changes, signal) {
      await client.apply([], signal);
      return changes.map(() => failed(code, ambiguous));
    },
  };
}

const aborted = (operation: Parameters<typeof isWrite>[0], signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const end = () =>
      reject(new RegistryError('aborted', `${operation} was cancelled on the line`, { ambiguous: isWrite(operation) }));
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
