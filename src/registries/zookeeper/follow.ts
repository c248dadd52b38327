import { RegistryError } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import { CODES, Refused } from './codes.ts';
import type { Connection } from './connection.ts';
import type { OnEvent } from './events.ts';
import { addWatch, removeWatches } from './requests.ts';

/** A node and all below it, with who wants to know. */
export interface Tree {
  readonly path: string;
  onStanding(): void;
  readonly onEvent: OnEvent;
}

/** Trees that are watched at once on one connection: what one server should be asked to keep for one client. */
const WATCHES_AT_MOST = 10_000;

/** Until the connection is over, with which it then rejects, or the signal aborts. */
export async function follow(
  connection: Connection,
  { path, onStanding, onEvent }: Tree,
  signal: AbortSignal,
): Promise<never> {
  const { events } = connection;
  const listening = events.listen(path, onEvent);
  try {
    if (events.watched() > WATCHES_AT_MOST) throw tooMany();
    await unlessAborted(connection.call(addWatch(path)), signal);
    onStanding();
    throw await unlessAborted(listening.over, signal);
  } catch (error) {
    throw error instanceof Refused && UNKNOWN.has(error.code) ? notRecursive(error) : error;
  } finally {
    if (listening.leave()) {
      void connection.call(removeWatches(path)).catch(() => {
        // It never stood, or the connection is over.
      });
    }
  }
}

/** What is said to a request that a server does not know; one with `WatchManagerOptimized` fails over it. */
const UNKNOWN: ReadonlySet<number> = new Set([CODES.unimplemented, CODES.marshallingError]);

const notRecursive = (cause: Refused): RegistryError =>
  new RegistryError(
    'unsupported',
    'watch: ZooKeeper has no recursive watches, which came with 3.6 and are missing from its WatchManagerOptimized; upgrade it, or rely on lists',
    { cause },
  );

const tooMany = (): RegistryError =>
  new RegistryError(
    'too-large',
    `watch: ${WATCHES_AT_MOST} services are watched by this client already; watch the cluster instead, or open another client`,
  );
