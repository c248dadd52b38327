import {
  type CallOptions,
  InterceptingCall,
  type Interceptor,
  logVerbosity,
  status as Status,
  setLogVerbosity,
} from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';
import { cancelled, meansUnreachable, RegistryError } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import { type Access, endpointsOf } from './access.ts';
import { connectTimeout, Ended, failureOf, refusalIn, type StatusAnswer } from './failure.ts';
import { ConnectTimeout, type Line, openLine } from './line.ts';

export interface Call<T> {
  readonly operation: string;
  readonly writes: boolean;
  /** Instead of `requestMs`. Infinite: a stream that stands until it is ended, which a server without a leader does at once. */
  readonly answersWithinMs?: number;
  /** May reject with {@link Ended}, which becomes the failure of the call. */
  send(etcd: Etcd3, options: CallOptions): Promise<T>;
}

export interface EtcdClient {
  /**
   * One request, to the next endpoint too when it cannot have reached the first. Rejects with a RegistryError, and ends at once with
   * the signal.
   */
  call<T>(call: Call<T>, signal: AbortSignal): Promise<T>;
  /** Throws when a call with this signal would be in vain. */
  assertUsable(operation: string, signal: AbortSignal): void;
  close(): void;
}

export function openEtcdClient(access: Access): EtcdClient {
  // It would write to the standard error of the process; what it has to say, the calls tell.
  setLogVerbosity(logVerbosity.NONE);
  const { username, password } = access;
  const lines = endpointsOf(access).map((endpoint) => openLine(endpoint, access));
  const underWay = new Set<AbortController>();
  let preferred = 0;
  let closed = false;
  let token: Promise<string | undefined> | undefined;

  const assertUsable = (operation: string, signal: AbortSignal) => {
    if (closed) throw new RegistryError('closed', `${operation} was called after the etcd registry was closed`);
    if (signal.aborted) throw cancelled(operation, signal);
  };

  /** Ends with the signal, and with the client. */
  async function cancellable<T>(
    { operation, writes }: Call<unknown>,
    signal: AbortSignal,
    run: (inner: AbortSignal) => Promise<T>,
  ) {
    assertUsable(operation, signal);
    const inner = new AbortController();
    const cancel = () => inner.abort();
    underWay.add(inner);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await run(inner.signal);
    } catch (error) {
      if (!inner.signal.aborted) throw error;
      if (signal.aborted) throw cancelled(operation, signal, writes);
      throw new RegistryError('closed', `${operation} was under way when the etcd registry was closed`, {
        ambiguous: writes,
      });
    } finally {
      underWay.delete(inner);
      signal.removeEventListener('abort', cancel);
    }
  }

  async function exchange<T>(line: Line, call: Call<T>, bearer: string | undefined, signal: AbortSignal): Promise<T> {
    const { operation, writes, answersWithinMs = access.requestMs } = call;
    const failed = { operation, writes, origin: line.origin };
    let answer: StatusAnswer | undefined;
    try {
      return await line.use(signal, () => {
        const metadata = {
          ...(bearer === undefined ? {} : { token: bearer }),
          ...(answersWithinMs === Number.POSITIVE_INFINITY ? { hasleader: 'true' } : {}),
        };
        const interceptor = intercept(metadata, signal, (status) => {
          answer = status;
        });
        return call.send(line.etcd, { deadline: Date.now() + answersWithinMs, interceptors: [interceptor] });
      });
    } catch (error) {
      const failure =
        error instanceof ConnectTimeout
          ? connectTimeout(failed)
          : error instanceof Ended
            ? failureOf(error.answer, failed)
            : answer === undefined
              ? RegistryError.from(error, operation)
              : failureOf(answer, failed);
      if (failure.code !== 'unavailable' && meansUnreachable(failure.code)) line.renew();
      throw failure;
    }
  }

  /** One for all calls. A login takes the server a tenth of a second, by design. */
  async function login(line: Line, operation: string): Promise<string | undefined> {
    const call: Call<string> = {
      operation,
      writes: false,
      send: async ({ auth }, options) =>
        (await auth.authenticate({ name: username ?? '', password: password ?? '' }, options)).token,
    };
    try {
      return await cancellable(call, NEVER, (inner) => exchange(line, call, undefined, inner));
    } catch (error) {
      if (refusalIn(error) === 'no-authentication') return undefined;
      throw error;
    }
  }

  function bearerFor(line: Line, operation: string, signal: AbortSignal): Promise<string | undefined> {
    if (username === undefined) return Promise.resolve(undefined);
    if (token === undefined) {
      const asked = login(line, operation);
      token = asked;
      asked.catch(() => forget(asked));
    }
    return unlessAborted(token, signal, () => new ConnectTimeout('cancelled'));
  }

  const forget = (stale: Promise<string | undefined> | undefined) => {
    if (token === stale) token = undefined;
  };

  async function authorised<T>(line: Line, call: Call<T>, signal: AbortSignal): Promise<T> {
    const bearer = await bearerFor(line, call.operation, signal);
    const used = token;
    try {
      return await exchange(line, call, bearer, signal);
    } catch (error) {
      // A token ends with time, and with every change of users and roles. Nothing was done for this one.
      if (refusalIn(error) !== 'stale-token') throw error;
      forget(used);
      return exchange(line, call, await bearerFor(line, call.operation, signal), signal);
    }
  }

  return {
    assertUsable,
    async call(call, signal) {
      for (let left = lines.length; ; left--) {
        const at = preferred;
        const line = lines[at];
        if (line === undefined) throw new RegistryError('invalid', 'spec.etcd.endpoints is empty; name at least one');
        try {
          return await cancellable(call, signal, (inner) => authorised(line, call, inner));
        } catch (error) {
          const failure = RegistryError.from(error, call.operation);
          if (!meansUnreachable(failure.code)) throw failure;
          // Unless a call beside this one has moved on already.
          if (preferred === at) preferred = (at + 1) % lines.length;
          const elsewhere = failure.code === 'unreachable' || failure.code === 'unavailable';
          if (left <= 1 || failure.ambiguous || !elsewhere) throw failure;
        }
      }
    },
    close() {
      closed = true;
      for (const inner of underWay) inner.abort();
      for (const line of lines) line.close();
    },
  };
}

/**
 * Carries the token and what else is given, ends the call with the signal, and tells its outcome. The etcd3 package is shown another one: by some it drops
 * the stubs of all calls, opens a breaker for five seconds, or logs in for ever.
 */
function intercept(
  added: Readonly<Record<string, string>>,
  signal: AbortSignal,
  tell: (status: StatusAnswer) => void,
): Interceptor {
  return (options, nextCall) => {
    const call = new InterceptingCall(nextCall(options), {
      start(metadata, _, next) {
        for (const [key, value] of Object.entries(added)) metadata.set(key, value);
        next(metadata, {
          onReceiveStatus(status, pass) {
            signal.removeEventListener('abort', cancel);
            tell(status);
            pass(status.code === Status.OK ? status : { ...status, code: Status.FAILED_PRECONDITION, details: '' });
          },
        });
      },
    });
    const cancel = () => call.cancelWithStatus(Status.CANCELLED, '');
    signal.addEventListener('abort', cancel, { once: true });
    return call;
  };
}

const NEVER = new AbortController().signal;
