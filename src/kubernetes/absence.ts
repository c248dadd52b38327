import type { KubeObject } from '../api/core.ts';
import type { Clock } from '../clock.ts';
import type { KubeClient } from './client.ts';
import type { CompleteList, Intake, Missing } from './intake.ts';
import type { Log } from './log.ts';
import { confirmAbsence, type Resource } from './resources.ts';

export interface ConfirmOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly intake: Intake<T>;
  readonly clock: Clock;
  readonly log: Log;
  readonly confirmMs: number;
  readonly signal: AbortSignal;
}

const PARALLEL = 4;
/** Lists are dear: objects whose absence cannot be settled (no permission to get them, say) make them seldom, not often. */
const SLOWEST_MS = 600_000;

/** Asks for each object that two lists lack, beside the running watch, and tells when a list is due again. */
export function confirmMissing<T extends KubeObject>(options: ConfirmOptions<T>) {
  const { client, resource, intake, clock, log, confirmMs, signal } = options;
  const asking = new Set<string>();
  let notBefore = 0;
  let patienceMs = confirmMs;

  const ask = async (candidate: Missing): Promise<void> => {
    try {
      const answer = signal.aborted ? 'unknown' : await confirmAbsence(client, resource, candidate.key, signal);
      if (answer === 'absent' && intake.takeAbsence(candidate)) {
        log.info(
          { resource: resource.name, object: candidate.key },
          'an object is gone: two lists and a live read lack it',
        );
      }
    } finally {
      asking.delete(candidate.key);
    }
  };

  const askAll = async (queue: Missing[]): Promise<void> => {
    for (let candidate = queue.pop(); candidate; candidate = queue.pop()) await ask(candidate);
  };

  return {
    /** After each list that was taken. Returns at once. */
    check(list: CompleteList<T>): void {
      const queue = intake.twiceMissing(list.startedAt).filter(({ key }) => !asking.has(key));
      if (queue.length === 0) {
        if (intake.confirmAt === undefined) patienceMs = confirmMs;
        return;
      }
      for (const { key } of queue) asking.add(key);
      notBefore = clock.now() + patienceMs;
      patienceMs = Math.min(SLOWEST_MS, patienceMs * 2);
      for (let worker = 0; worker < PARALLEL; worker++) {
        // confirmAbsence turns every failure into "unknown"; what is left here is a defect, to be seen and survived.
        askAll(queue).catch((error: unknown) =>
          log.error({ resource: resource.name, error: String(error) }, 'an absence could not be confirmed'),
        );
      }
    },
    /** Clock time of the next list that can confirm an absence; undefined when nothing is missing. */
    nextListAt(): number | undefined {
      const at = intake.confirmAt;
      // Timers may fire a fraction of a millisecond early, and that list would then not count.
      return at === undefined ? undefined : Math.max(at, notBefore) + 1;
    },
  };
}
