/** The Leases of an API server, on a clock that the test turns, with answers that fare as the test says. */
import type { Clock } from '../../src/clock.ts';
import type { KubeClient, KubeRequest } from '../../src/kubernetes/client.ts';
import { KubeError } from '../../src/kubernetes/kube-error.ts';
import type { VirtualClock } from '../virtual-clock.ts';

export interface Fate {
  /** Until the request is carried out, and from then until its answer arrives. */
  readonly thereMs: number;
  readonly backMs: number;
  /** refused: nothing is carried out, 503. lost: carried out, and no answer comes. unheard: nothing is carried out, and no answer comes. */
  readonly end: 'answered' | 'refused' | 'lost' | 'unheard';
}

export interface LeaseObject {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

export function leaseServer(clock: VirtualClock) {
  const leases = new Map<string, LeaseObject>();
  const requests: { readonly from: string; readonly method: string; readonly name: string; readonly at: number }[] = [];
  let versions = 0;

  function carryOut({ method, path, body }: KubeRequest): unknown {
    const sent = structuredClone(body ?? {}) as { metadata?: Record<string, unknown>; spec?: Record<string, unknown> };
    const name = method === 'POST' ? String(sent.metadata?.['name']) : (path.split('/').at(-1) ?? '');
    const standing = leases.get(name);
    if (method === 'POST') {
      if (standing !== undefined) throw new KubeError(409, 'AlreadyExists', `${name} exists`);
      return put(name, { ...sent.metadata, uid: `uid-${versions}` }, sent.spec);
    }
    if (standing === undefined) throw new KubeError(404, 'NotFound', `${name} not found`, { objectName: name });
    if (method === 'GET') return standing;
    if (method === 'DELETE') {
      const { preconditions } = sent as { preconditions?: Record<string, unknown> };
      if (preconditions?.['resourceVersion'] !== standing.metadata['resourceVersion']) throw conflict(name);
      leases.delete(name);
      return { kind: 'Status', status: 'Success' };
    }
    if (sent.metadata?.['resourceVersion'] !== standing.metadata['resourceVersion']) throw conflict(name);
    return put(name, { ...sent.metadata, uid: standing.metadata['uid'] }, sent.spec);
  }

  function put(name: string, metadata: Record<string, unknown>, spec: Record<string, unknown> = {}): LeaseObject {
    const object = { metadata: { ...metadata, name, resourceVersion: String(++versions) }, spec };
    leases.set(name, object);
    return object;
  }

  return {
    leases,
    requests: requests as readonly (typeof requests)[number][],
    put,
    holder: (name: string) => leases.get(name)?.spec['holderIdentity'],
    /** What one candidate has of it. Deadlines run on the candidate's own clock. */
    client(from: string, own: Clock, fate: () => Fate): Pick<KubeClient, 'request'> {
      return {
        request: (request) =>
          new Promise((resolve, reject) => {
            requests.push({
              from,
              method: request.method,
              name: request.path.split('/').at(-1) ?? '',
              at: clock.now(),
            });
            const { thereMs, backMs, end } = fate();
            const cancel = own.setTimer(request.timeoutMs ?? 30_000, () =>
              reject(new KubeError(0, 'Timeout', 'no answer in time')),
            );
            const answer = (give: () => void) =>
              clock.setTimer(backMs, () =>
                // It arrives in the queue of a process that may be frozen.
                own.setTimer(0, () => {
                  cancel();
                  give();
                }),
              );
            request.signal.addEventListener('abort', () => {
              cancel();
              reject(request.signal.reason);
            });
            clock.setTimer(thereMs, () => {
              if (end === 'unheard') return;
              try {
                if (end === 'refused') throw new KubeError(503, 'ServiceUnavailable', 'not now');
                const object = structuredClone(carryOut(request));
                if (end === 'answered') answer(() => resolve(object));
              } catch (error) {
                if (end !== 'lost') answer(() => reject(error));
              }
            });
          }),
      };
    },
  };
}

const conflict = (name: string) => new KubeError(409, 'Conflict', `${name} has been modified`);

export const PROMPT: Fate = { thereMs: 2, backMs: 2, end: 'answered' };

/** A process of its own: its clock may run a little fast or slow, and while it is stopped nothing of it fires. */
export function ownClock(clock: VirtualClock, rate = 1): Clock & { stop(): void; goOn(): void } {
  const late = new Set<() => void>();
  let stopped = false;
  return {
    now: () => clock.now() * rate,
    setTimer(ms, fire) {
      let cancelled = false;
      const run = () => {
        late.delete(run);
        if (stopped) late.add(run);
        else if (!cancelled) fire();
      };
      const cancel = clock.setTimer(ms / rate, run);
      return () => {
        cancelled = true;
        late.delete(run);
        cancel();
      };
    },
    stop() {
      stopped = true;
    },
    goOn() {
      stopped = false;
      for (const run of [...late]) run();
    },
  };
}
