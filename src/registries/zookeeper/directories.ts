import type { ZooKeeperClient } from './client.ts';
import { inParallel } from './parallel.ts';
import { read, readStanding } from './read.ts';
import { type Access, createNode, exists, multi, type Operation, removeNode } from './requests.ts';

/** What a service's node of ours holds: by it we know which ones to take away again. Consumers read what is below. */
const MARK = '{"managed-by":"roster"}';

const WIDTH = 128;

/** Paths are short: so many stay far below the bytes that fit into a transaction. */
const TOGETHER = 500;

/** Names of directories are small, and an operator knows of some ten thousands. */
const KNOWN_AT_MOST = 200_000;

export interface Directories {
  /** Makes what is missing. `failed` is told of those that cannot be made. Rejects when ZooKeeper cannot be asked. */
  ensure(paths: Iterable<string>, failed: (path: string, error: unknown) => void, signal: AbortSignal): Promise<void>;
  /** They were seen. */
  learn(paths: Iterable<string>): void;
  /** It turned out not to be there: somebody takes away what is empty, as Curator's containers are. */
  forget(path: string): void;
  /** Takes away those of ours that are empty. */
  tidy(paths: Iterable<string>, signal: AbortSignal): Promise<void>;
}

/** The nodes of services, below `base`. */
export function createDirectories(client: ZooKeeperClient, base: string, acl: readonly Access[]): Directories {
  const known = new Set<string>();

  const learn = (paths: Iterable<string>): void => {
    if (known.size >= KNOWN_AT_MOST) known.clear();
    for (const path of paths) known.add(path);
  };

  /** Nodes that are there are not created again: a server refuses that by its own access list before it sees that they are. */
  async function ensureBase(signal: AbortSignal): Promise<void> {
    const names = base.split('/').slice(1);
    for (const depth of names.keys()) {
      const path = `/${names.slice(0, depth + 1).join('/')}`;
      const { outcome } = await client.call('apply', exists(path), signal);
      if (outcome === 'no-node') await client.call('apply', createNode(path, '', acl), signal);
    }
  }

  async function ensureOne(path: string, signal: AbortSignal): Promise<void> {
    const { outcome } = await client.call('apply', exists(path), signal);
    if (outcome === 'no-node') {
      const made = await client.call('apply', createNode(path, MARK, acl), signal);
      if (made.outcome === 'no-node') {
        await ensureBase(signal);
        await client.call('apply', createNode(path, MARK, acl), signal);
      }
    }
    learn([path]);
  }

  /** One transaction for many, refused as a whole when one of them cannot be. */
  async function succeeds(operations: readonly Operation[], signal: AbortSignal): Promise<boolean> {
    const answer = await client.call('apply', multi(operations), signal);
    return answer.outcome === 'ok' && answer.value.length === 0;
  }

  return {
    learn,
    forget: (path) => known.delete(path),
    async ensure(paths, failed, signal) {
      const missing = [...new Set(paths)].filter((path) => !known.has(path));
      const data = Buffer.from(MARK);
      for (const some of portionsOf(missing)) {
        const creates = some.map((path): Operation => ({ kind: 'create', path, data, acl }));
        if (some.length > 1 && (await succeeds(creates, signal))) {
          learn(some);
          continue;
        }
        await inParallel(some, WIDTH, async (path) => {
          try {
            await ensureOne(path, signal);
          } catch (error) {
            failed(path, error);
          }
        });
      }
    },
    async tidy(paths, signal) {
      const empty: { readonly path: string; readonly version: number }[] = [];
      await inParallel(new Set(paths), WIDTH, async (path) => {
        const standing = await readStanding(client, path, signal);
        if (standing?.children !== 0 || standing.text !== MARK) return;
        known.delete(path);
        empty.push({ path, version: standing.version });
      });
      for (const some of portionsOf(empty)) {
        const removals = some.map((one): Operation => ({ kind: 'remove', ...one }));
        if (some.length > 1 && (await succeeds(removals, signal))) continue;
        // Each that is not empty any more is refused, and stays.
        await inParallel(some, WIDTH, async ({ path, version }) => {
          await read(client, 'apply', removeNode(path, version), signal);
        });
      }
    },
  };
}

function* portionsOf<Item>(items: readonly Item[]): Iterable<readonly Item[]> {
  for (let at = 0; at < items.length; at += TOGETHER) yield items.slice(at, at + TOGETHER);
}
