/** Which revisions are of this client's own acknowledged writes: what a watch of a cluster keeps to itself. */
export interface OwnWrites {
  /** Runs a write. `revisionOf` gives the revision that its answer tells of, or undefined when it wrote nothing. */
  during<T>(write: () => Promise<T>, revisionOf: (answer: T) => string | undefined): Promise<T>;
  /** Calls `tell` unless the revision is of an own write: at once, or when those that are under way have been answered. */
  unlessOwn(revision: string, tell: () => void): void;
  /**
   * A watch is being opened. The returned function is told the revision at which it stands: own writes from before that are later belong to a
   * history that is no more, and somebody else's may come to bear their revisions.
   */
  opening(): (revision: string) => void;
}

/** A watch that is further behind than so many of them takes the oldest for somebody else's. */
const REMEMBERED = 10_000;

export function createOwnWrites(): OwnWrites {
  const underWay = new Set<Promise<void>>();
  const revisions = new Set<string>();

  const remember = (revision: string | undefined) => {
    if (revision === undefined) return;
    revisions.add(revision);
    if (revisions.size <= REMEMBERED) return;
    for (const oldest of revisions) {
      revisions.delete(oldest);
      return;
    }
  };

  return {
    during(write, revisionOf) {
      const answered = write();
      const noted = answered
        .then(
          (answer) => remember(revisionOf(answer)),
          () => {},
        )
        .finally(() => underWay.delete(noted));
      underWay.add(noted);
      return answered;
    },
    unlessOwn(revision, tell) {
      const decide = () => {
        if (!revisions.has(revision)) tell();
      };
      if (underWay.size === 0 || revisions.has(revision)) decide();
      else void Promise.all(underWay).then(decide);
    },
    opening() {
      const before = [...revisions];
      return (revision) => {
        for (const one of before) if (BigInt(one) > BigInt(revision)) revisions.delete(one);
      };
    },
  };
}
