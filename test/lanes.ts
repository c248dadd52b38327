/** Runs the jobs, so many at once, in their order; each is told about as it ends. */
export async function inLanes<T>(jobs: Iterable<T>, lanes: number, run: (job: T) => Promise<void>): Promise<void> {
  const waiting = jobs[Symbol.iterator]();
  const lane = async () => {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) await run(next.value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
