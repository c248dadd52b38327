/** Runs over all items, so many at a time. After a failure none is begun; rejects with the first one when those under way have ended. */
export async function inParallel<Item>(
  items: Iterable<Item>,
  width: number,
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const worker = async () => {
    for (let next = waiting.next(); failures.length === 0 && next.done !== true; next = waiting.next()) {
      try {
        await run(next.value);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  if (failures.length > 0) throw failures[0];
}

/** The promise, or a rejection as soon as the signal aborts; what the promise ends with after that is nobody's business. */
export function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  why: () => unknown = () => signal.reason,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(why());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
