/** Runs the jobs, so many at once, in their order; each is told about as it ends. */
export async function inLanes<T>(jobs: readonly T[], lanes: number, run: (job: T) => Promise<void>): Promise<void> {
  const waiting = jobs[Symbol.iterator]();
  const lane = async () => {
    for (const job of waiting) await run(job);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
