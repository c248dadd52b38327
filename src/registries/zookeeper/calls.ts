import type { Clock } from '../../clock.ts';
import { NotZooKeeper, Refused } from './codes.ts';
import type { Events } from './events.ts';
import { ConnectionLost } from './loss.ts';
import type { Request } from './requests.ts';
import { type Reply, requestBytes } from './wire.ts';

export interface Calls {
  /** Rejects with {@link Refused} or {@link ConnectionLost}. */
  call<Answer>(request: Request<Answer>): Promise<Answer>;
  /** Throws NotZooKeeper when nothing of this kind was asked. */
  answered(reply: Reply): void;
  /** The xid for a message that is waited for by nobody. */
  nextXid(): number;
  /** All that wait reject, and no deadline runs any more. */
  end(lost: ConnectionLost): void;
}

interface Surroundings {
  readonly clock: Clock;
  /** How long an answer may take. */
  readonly requestMs: number;
  readonly events: Events;
  send(bytes: Buffer): void;
  onSilence(): void;
}

interface Pending {
  readonly xid: number;
  readonly sentAt: number;
  settle(reply: Reply | ConnectionLost): void;
}

/** The requests of one connection, whose answers come in the order in which they were asked. */
export function createCalls({ clock, requestMs, events, send, onSilence }: Surroundings): Calls {
  const pending: Pending[] = [];
  let xid = 0;
  let cancelWatch = () => {};

  function nextXid(): number {
    // A list of a large fleet counts through the 31 bits in weeks.
    xid = (xid + 1) & 0x7fffffff;
    return xid;
  }

  /** Answers come in order, so the oldest request alone tells whether the server still answers. */
  function watch(ms: number): void {
    cancelWatch();
    cancelWatch = clock.setTimer(ms, () => {
      const [oldest] = pending;
      if (oldest === undefined) return;
      const left = oldest.sentAt + requestMs - clock.now();
      if (left <= 0) onSilence();
      else watch(left);
    });
  }

  return {
    nextXid,
    call<Answer>(request: Request<Answer>): Promise<Answer> {
      return new Promise((resolve, reject) => {
        const asked = nextXid();
        const bytes = requestBytes(request, asked);
        const { effect } = request;
        const written = effect === undefined ? undefined : events.writing(effect.operations);
        const settle = (outcome: Reply | ConnectionLost) => {
          if (outcome instanceof ConnectionLost) return reject(outcome);
          if (outcome.error !== 0) {
            written?.(false);
            return reject(new Refused(outcome.error));
          }
          try {
            const answer = request.read(outcome.body);
            written?.(effect?.happened(answer) === true);
            resolve(answer);
          } catch (error) {
            reject(new ConnectionLost('garbled', error));
            throw error;
          }
        };
        pending.push({ xid: asked, sentAt: clock.now(), settle });
        if (pending.length === 1) watch(requestMs);
        send(bytes);
      });
    },
    answered(reply) {
      const [request] = pending;
      // Still among those that fail with the connection.
      if (request?.xid !== reply.xid) throw new NotZooKeeper('an answer to no request');
      pending.shift();
      request.settle(reply);
    },
    end(lost) {
      cancelWatch();
      for (const { settle } of pending.splice(0)) settle(lost);
    },
  };
}
