import { type Clock, pause } from '../../clock.ts';
import { cancelled, RegistryError } from '../error.ts';
import { blockingQueries, type Question } from './blocking-query.ts';
import type { ConsulClient } from './client.ts';
import { WAITING_SOCKETS } from './connection.ts';
import { assertAddressable } from './names.ts';
import { onNodesOf, readServiceAnswer } from './read.ts';
import type { Standing } from './standing.ts';
import { readChecks } from './wire.ts';

/** Hints of what changes, by blocking queries. One that fails ends its watch: watching again is the caller's. */
export interface Watcher {
  /** A hint when the answer stands, and each time it has become another. One connection. */
  content(question: Question, onHint: () => void, signal: AbortSignal): Promise<never>;
  /** Of what consumers of a service get. One connection. */
  service(service: string, onHint: () => void, signal: AbortSignal): Promise<never>;
  /**
   * Of all entries of a cluster, without own writes. Two connections: one waits for services on the nodes with our mark, which the traffic
   * of strangers does not wake; one for checks, which any check of the datacenter wakes, and whose answer is compared. Neither tells which entry
   * changed or who changed it, so everything is read before a hint is given, and compared with what this client knows to have written:
   * up to 272 small requests, 8 at a time, at most a twentieth of the time, and every 10 s when it takes longer.
   */
  cluster(watched: WatchedCluster, onHint: () => void, signal: AbortSignal): Promise<never>;
}

export interface WatchedCluster {
  readonly cluster: string;
  readonly standing: Standing;
  /** Reads everything into the standing. */
  refresh(signal: AbortSignal): Promise<unknown>;
}

const LEAST_GAP_MS = 250;
const LONGEST_GAP_MS = 10_000;
const DUTY = 20;

/** `closing` aborts when the client is closed. */
export function createWatcher(client: ConsulClient, clock: Clock, closing: AbortSignal): Watcher {
  const begin = blockingQueries(client, clock);
  let connections = 0;

  /** Runs watches together: the first that fails ends all, and no hint comes after that. */
  async function run(
    queries: number,
    { onHint, signal }: { onHint: () => void; signal: AbortSignal },
    start: (hint: () => void, inner: AbortSignal) => Promise<readonly (() => Promise<never>)[]>,
  ): Promise<never> {
    client.assertUsable('watch', signal);
    if (connections + queries > WAITING_SOCKETS) {
      const message = `watch: more than ${WAITING_SOCKETS} blocking queries of one client; end some watches, or open another client`;
      throw new RegistryError('rate-limited', message);
    }
    connections += queries;
    const stop = new AbortController();
    const inner = AbortSignal.any([signal, closing, stop.signal]);
    const hint = () => {
      if (!inner.aborted) onHint();
    };
    try {
      const loops = await start(hint, inner);
      return await Promise.race(loops.map((loop) => loop()));
    } catch (error) {
      if (signal.aborted) throw cancelled('watch', signal);
      client.assertUsable('watch', signal);
      throw RegistryError.from(error, 'watch');
    } finally {
      stop.abort();
      connections -= queries;
    }
  }

  const content: Watcher['content'] = (question, onHint, signal) =>
    run(1, { onHint, signal }, async (hint, inner) => {
      const follow = await begin(question, inner);
      hint();
      return [() => follow(hint)];
    });

  return {
    content,
    async service(service, onHint, signal) {
      assertAddressable('watch', service);
      return content(
        {
          operation: 'watch',
          writes: false,
          complete: false,
          send: ({ health }, options) => health.service({ service, ...options }),
          read: readServiceAnswer,
        },
        onHint,
        signal,
      );
    },
    cluster: ({ cluster, standing, refresh }, onHint, signal) =>
      run(2, { onHint, signal }, async (hint, inner) => {
        const questions = [ourServices(cluster), ourChecks(cluster)];
        const follows = await Promise.all(questions.map((question) => begin(question, inner)));
        if (!standing.complete) await refresh(inner);
        let due = Promise.withResolvers<void>();
        const changed = () => due.resolve();
        // Wakes what waits, and its reading rejects.
        inner.addEventListener('abort', changed, { once: true });
        const verify = async (): Promise<never> => {
          const end = standing.onForeign(hint);
          try {
            for (;;) {
              await due.promise;
              due = Promise.withResolvers();
              const start = clock.now();
              await refresh(inner);
              const gapMs = Math.min(LONGEST_GAP_MS, Math.max(LEAST_GAP_MS, DUTY * (clock.now() - start)));
              await pause(clock, gapMs, inner);
            }
          } finally {
            end();
          }
        };
        hint();
        return [verify, ...follows.map((follow) => () => follow(changed))];
      }),
  };
}

/** The names alone may be megabytes: none is asked for, since it is the waking that counts. */
const NO_NAMES = { filter: 'ServiceName == ""' } as const;

const ourServices = (cluster: string): Question => ({
  operation: 'watch',
  writes: false,
  complete: false,
  send: ({ catalog }, options) => catalog.service.list({ ...onNodesOf(cluster), ...NO_NAMES, ...options }),
  read: () => undefined,
});

const ourChecks = (cluster: string): Question => ({
  operation: 'watch',
  writes: false,
  complete: false,
  send: ({ health }, options) => health.state({ state: 'any', ...onNodesOf(cluster), ...options }),
  read: (body) => JSON.stringify(readChecks(body)),
});
