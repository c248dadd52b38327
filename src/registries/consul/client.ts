import { EventEmitter } from 'node:events';
import { IncomingMessage } from 'node:http';
import type Consul from 'consul';
import { cancelled, meansUnreachable, RegistryError } from '../error.ts';
import { type Access, failOnBrokenAnswer, openServer, type Server } from './connection.ts';
import { failureOf, responseOf } from './failure.ts';
import { NotConsul } from './wire.ts';

/** Options that every call of the `consul` package takes; more than its types know of. */
export interface CallOptions {
  readonly ctx: EventEmitter;
  readonly timeout: number;
  readonly token?: string;
  readonly dc?: string;
  readonly partition?: string;
  readonly index?: string;
  readonly wait?: string;
}

/** A blocking query: the answer is held back until something has changed since `index`, or for `waitMs`. */
export interface Waiting {
  readonly index: number;
  readonly waitMs: number;
}

export interface Call<T> {
  readonly operation: string;
  readonly writes: boolean;
  /** The answer must not lack what the token may not read. */
  readonly complete: boolean;
  readonly waiting?: Waiting;
  /** What the token needs for it, for the sentence of a refusal. Default: what entries need. */
  readonly needs?: string;
  send(consul: Consul, options: CallOptions): Promise<unknown>;
  /** Throws `NotConsul` for what Consul would not answer. `index`: of the answer, 0 where it has none. */
  read(body: unknown, index: number): T;
}

export interface ConsulClient {
  /**
   * One request, to the next address too when nothing reached the first. Rejects with a RegistryError, and ends at once with the signal;
   * `refused` is asked first about an answer with an error status and may take it as the result.
   */
  call<T>(call: Call<T>, signal: AbortSignal, refused?: (status: number, body: unknown) => T | undefined): Promise<T>;
  /** Throws when a call with this signal would be in vain. */
  assertUsable(operation: string, signal: AbortSignal): void;
  close(): void;
}

export function openConsulClient(access: Access): ConsulClient {
  const { datacenter, partition, namespace, token } = access;
  const servers = access.addresses.map((address) => openServer(address, access));
  const agents = new Set(servers.flatMap((server) => server.agents));
  const forward = failOnBrokenAnswer(agents);
  let preferred = 0;
  let closed = false;

  async function once<T>(server: Server, call: Call<T>, signal: AbortSignal, refused?: Refused<T>): Promise<T> {
    const ctx = Object.assign(new EventEmitter(), { includeResponse: true });
    const { waiting } = call;
    const cancel = () => ctx.emit('cancel');
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const options = {
        ctx,
        // The server adds up to a sixteenth, so that not all come back at once.
        timeout: access.requestMs + (waiting === undefined ? 0 : waiting.waitMs * (1 + 1 / 16)),
        ...(waiting === undefined
          ? {}
          : { index: String(waiting.index), wait: `${Math.ceil(waiting.waitMs / 1_000)}s` }),
        ...(token === undefined ? {} : { token }),
        ...(datacenter === undefined ? {} : { dc: datacenter }),
        ...(partition === undefined ? {} : { partition }),
      };
      return read(await call.send(waiting === undefined ? server.consul : server.waitingConsul, options), call);
    } catch (error) {
      const answer = refused === undefined ? undefined : takenBy(refused, error);
      if (answer !== undefined) return answer;
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  const assertUsable = (operation: string, signal: AbortSignal) => {
    if (closed) throw new RegistryError('closed', `${operation} was called after the Consul registry was closed`);
    if (signal.aborted) throw cancelled(operation, signal);
  };

  return {
    assertUsable,
    async call(call, signal, refused) {
      const { operation, writes, needs } = call;
      const tenant = namespace !== undefined || partition !== undefined;
      for (let left = servers.length; ; left--) {
        assertUsable(operation, signal);
        const at = preferred;
        const server = servers[at];
        if (server === undefined)
          throw new RegistryError('invalid', 'spec.consul.addresses is empty; name at least one');
        try {
          return await once(server, call, signal, refused);
        } catch (error) {
          const failure = failureOf(error, { operation, writes, needs, origin: server.origin, datacenter, tenant });
          const { ambiguous } = failure;
          if (closed)
            throw new RegistryError('closed', `${operation} was under way when the Consul registry was closed`, {
              ambiguous,
            });
          if (!meansUnreachable(failure.code)) throw failure;
          // Unless a call beside this one has moved on already.
          if (preferred === at) preferred = (at + 1) % servers.length;
          if (left <= 1 || ambiguous || failure.code !== 'unreachable') throw failure;
        }
      }
    },
    close() {
      closed = true;
      forward.stop();
      for (const agent of agents) agent.destroy();
    },
  };
}

type Refused<T> = (status: number, body: unknown) => T | undefined;

function takenBy<T>(refused: Refused<T>, error: unknown): T | undefined {
  const response = responseOf(error);
  return response === undefined ? undefined : refused(response.statusCode, response.body);
}

/** With `includeResponse` the package resolves with response and body. */
function read<T>(result: unknown, call: Call<T>): T {
  const [response, body] = Array.isArray(result) ? result : [];
  if (!(response instanceof IncomingMessage)) throw new NotConsul('expected a response');
  if (call.complete && response.headers['x-consul-results-filtered-by-acls'] === 'true') {
    const needs = 'it needs node:read and service:read';
    throw new RegistryError('forbidden', `${call.operation}: Consul hides entries from the token; ${needs}`);
  }
  return call.read(body, Number(response.headers['x-consul-index'] ?? 0));
}
