import { answerOf, type Conversation, openTcpLink, type Piece, type TcpLink } from './tcp-link.ts';
import { framesOf } from './zookeeper-frames.ts';

export interface ZooKeeperLink extends TcpLink {
  /** Runs before the next transaction reaches the server, which waits for it. */
  beforeNextTransaction(run: () => Promise<void>): void;
  /** Bytes of the transactions that passed, in order. */
  readonly transactions: readonly number[];
}

const MULTI = 14;

/**
 * A connection to ZooKeeper in the middle of which things can go wrong. The answers that are damaged are those to transactions, which are what entries
 * are written by: the greeting and what is read before pass. `target` is the server's port on loopback.
 */
export async function openZooKeeperLink(target: number): Promise<ZooKeeperLink> {
  let before: (() => Promise<void>) | undefined;
  const sizes: number[] = [];

  function conversation(): Conversation {
    const transactions = new Set<number>();
    // What comes after a transaction that is held back waits with it.
    let passing = Promise.resolve();
    let pass = (_: Buffer): void => {};
    const askedFrames = framesOf((frame, kind) => {
      const isTransaction = kind === 'message' && frame.readInt32BE(8) === MULTI;
      const run = before;
      if (isTransaction) {
        transactions.add(frame.readInt32BE(4));
        sizes.push(frame.length);
        before = undefined;
      }
      passing = passing.then(isTransaction ? run : undefined).then(() => pass(frame));
    });
    let pieces: Piece[] = [];
    const answeredFrames = framesOf((bytes, kind) => {
      const isAnswer = kind === 'message' && transactions.has(bytes.readInt32BE(4));
      pieces.push(isAnswer ? answerOf(bytes) : { bytes });
    });
    return {
      asked(chunk, onward) {
        pass = onward;
        askedFrames(chunk);
      },
      answered(chunk) {
        pieces = [];
        answeredFrames(chunk);
        return pieces;
      },
    };
  }

  return {
    ...(await openTcpLink(target, { conversation })),
    beforeNextTransaction(run) {
      before = run;
    },
    transactions: sizes,
  };
}
