import { inParallel } from '../parallel.ts';
import { type Answer, outcomeOf, type ZooKeeperClient } from './client.ts';
import { Refused } from './codes.ts';
import { failureOf } from './failure.ts';
import { type Fence, transact } from './fence.ts';
import { readStanding } from './read.ts';
import { type Access, exists, type Operation, requestOf, type Single } from './requests.ts';

/** What a service's node of ours holds: by it we know which ones to take away again. Consumers read what is below. */
const MARK = '{"managed-by":"roster"}';

const WIDTH = 128;

/** Paths are short: so many stay far below the bytes that fit into a transaction. */
const TOGETHER = 500;

/** Names of directories are small, and an operator knows of some ten thousands. */
const KNOWN_AT_MOST = 200_000;

export interface Directories {
  /** Makes what is missing. Rejects when ZooKeeper cannot be asked, or with `fenced`. */
  ensure(paths: Iterable<string>, making: Making, signal: AbortSignal): Promise<void>;
  /** All that are there were seen. */
  saw(paths: Iterable<string>): void;
  /**
   * One turned out not to be there: somebody takes away what is empty, as Curator's containers are, or all is lost. To find out about the others one
   * by one would cost a refused transaction each.
   */
  forgetAll(): void;
  /** Takes away those of ours that are empty. */
  tidy(paths: Iterable<string>, fence: Fence | undefined, signal: AbortSignal): Promise<void>;
  /** For a claim: makes a node that is no service's, and those above it. */
  make(path: string, signal: AbortSignal): Promise<void>;
}

interface Making {
  /** Without it nothing is made. */
  readonly fence: Fence | undefined;
  /** Told of those that cannot be made. */
  failed(path: string, error: unknown): void;
}

interface Doing {
  readonly operation: string;
  readonly fence: Fence | undefined;
}

/** The nodes of services, below `base`. */
export function createDirectories(client: ZooKeeperClient, base: string, acl: readonly Access[]): Directories {
  const known = new Set<string>();

  const learn = (paths: Iterable<string>): void => {
    if (known.size >= KNOWN_AT_MOST) known.clear();
    for (const path of paths) known.add(path);
  };

  type Outcome = Answer<unknown>['outcome'];

  async function write(one: Single, { operation, fence }: Doing, signal: AbortSignal): Promise<Outcome> {
    if (fence === undefined) return (await client.call(operation, requestOf(one), signal)).outcome;
    const codes = await transact(client, { operations: [one], fence }, signal);
    const [code] = codes;
    if (code === undefined) return 'ok';
    const outcome = outcomeOf(code);
    if (outcome !== undefined) return outcome;
    throw failureOf(new Refused(code), { operation, sentWrite: false, endpoint: client.endpoint() });
  }

  /** Nodes that are there are not created again: a server refuses that by its own access list before it sees that they are. */
  async function makePath(path: string, doing: Doing, signal: AbortSignal): Promise<void> {
    const names = path.split('/').slice(1);
    for (const depth of names.keys()) {
      const above = `/${names.slice(0, depth + 1).join('/')}`;
      const { outcome } = await client.call(doing.operation, exists(above), signal);
      if (outcome === 'no-node') await write(creating(above, ''), doing, signal);
    }
  }

  async function ensureOne(path: string, doing: Doing, signal: AbortSignal): Promise<void> {
    const { outcome } = await client.call(doing.operation, exists(path), signal);
    if (outcome === 'no-node' && (await write(creating(path, MARK), doing, signal)) === 'no-node') {
      await makePath(base, doing, signal);
      await write(creating(path, MARK), doing, signal);
    }
    learn([path]);
  }

  const creating = (path: string, text: string): Single => ({
    kind: 'create',
    path,
    data: Buffer.from(text),
    acl,
  });

  /** One transaction for many, refused as a whole when one of them cannot be. */
  async function succeeds(operations: readonly Operation[], fence: Fence | undefined, signal: AbortSignal) {
    return (await transact(client, { operations, fence }, signal)).length === 0;
  }

  return {
    saw(paths) {
      known.clear();
      learn(paths);
    },
    forgetAll: () => known.clear(),
    async ensure(paths, { fence, failed }, signal) {
      const missing = [...new Set(paths)].filter((path) => !known.has(path));
      for (const some of portionsOf(missing)) {
        const creates = some.map((path) => creating(path, MARK));
        if (some.length > 1 && (await succeeds(creates, fence, signal))) {
          learn(some);
          continue;
        }
        await inParallel(some, WIDTH, async (path) => {
          try {
            await ensureOne(path, { operation: 'apply', fence }, signal);
          } catch (error) {
            failed(path, error);
          }
        });
      }
    },
    async tidy(paths, fence, signal) {
      const empty: Single[] = [];
      await inParallel(new Set(paths), WIDTH, async (path) => {
        const standing = await readStanding(client, path, signal);
        if (standing?.children !== 0 || standing.text !== MARK) return;
        known.delete(path);
        empty.push({ kind: 'remove', path, version: standing.version });
      });
      for (const some of portionsOf(empty)) {
        if (some.length > 1 && (await succeeds(some, fence, signal))) continue;
        // Each that is not empty any more is refused, and stays.
        await inParallel(
          some,
          WIDTH,
          async (removal) => void (await write(removal, { operation: 'apply', fence }, signal)),
        );
      }
    },
    make: (path, signal) => makePath(path, { operation: 'claim', fence: undefined }, signal),
  };
}

function* portionsOf<Item>(items: readonly Item[]): Iterable<readonly Item[]> {
  for (let at = 0; at < items.length; at += TOGETHER) yield items.slice(at, at + TOGETHER);
}
