import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { AddressRule } from '../address-rule.ts';
import { ruleAgent } from '../agent-rule.ts';
import { cancelled, RegistryError } from '../error.ts';
import type { TlsAccess } from '../tls.ts';
import { AnswerTimeout, ConnectTimeout, ofSocket } from './http-failure.ts';

export interface HttpCall {
  /** `list`, `apply` …: begins the message of a failure. */
  readonly operation: string;
  /** A write whose answer got lost may have happened. */
  readonly writes: boolean;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the context path `/nacos`. */
  readonly path: string;
  /** In the body where the method has one, else in the address. */
  readonly params: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Seconds, as the server gave them. */
  readonly retryAfter: string | undefined;
  /** Scheme, host and port of the server that gave it. */
  readonly origin: string;
}

export interface Wire {
  /**
   * One request, to the next server too when nothing reached the first. Any status is an answer; rejects with a RegistryError when there is
   * none, and ends at once with the signal.
   */
  ask(call: HttpCall, token: string | undefined, signal: AbortSignal): Promise<Answer>;
  close(): void;
}

export interface WireAccess {
  /** Scheme, host and port, at least one. */
  readonly origins: readonly string[];
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
  readonly connectMs: number;
  readonly requestMs: number;
}

/** More at once make Nacos no faster. */
const SOCKETS = 32;

/** The longest list of a service or a page of names is a tenth of it. */
const ANSWER_BYTES = 64 * 1_024 * 1_024;

export function openWire(access: WireAccess): Wire {
  const servers = access.origins.map((origin) => ({ origin, agent: openAgent(origin, access) }));
  let preferred = 0;
  let closed = false;

  return {
    async ask(call, token, signal) {
      const { operation } = call;
      for (let left = servers.length; ; left--) {
        if (closed) throw new RegistryError('closed', `${operation} was called after the Nacos registry was closed`);
        if (signal.aborted) throw cancelled(operation, signal);
        const at = preferred;
        const server = servers[at];
        if (server === undefined)
          throw new RegistryError('invalid', 'spec.nacos.addresses is empty; name at least one');
        // Unless a call beside this one has moved on already.
        const moveOn = () => {
          if (preferred === at) preferred = (at + 1) % servers.length;
        };
        try {
          const answer = await exchange(server, call, { token, signal, requestMs: access.requestMs });
          if (answer.status >= 500) moveOn();
          return answer;
        } catch (error) {
          if (!(error instanceof RegistryError)) throw error;
          if (closed) {
            const { ambiguous } = error;
            const message = `${operation} was under way when the Nacos registry was closed`;
            throw new RegistryError('closed', message, { ambiguous });
          }
          if (error.code === 'aborted') throw error;
          moveOn();
          if (left <= 1 || error.ambiguous || error.code !== 'unreachable') throw error;
        }
      }
    },
    close() {
      closed = true;
      for (const { agent } of servers) agent.destroy();
    },
  };
}

function openAgent(origin: string, { tls = {}, connectMs, mayConnect }: WireAccess): HttpAgent {
  const pool = { keepAlive: true, maxSockets: SOCKETS };
  const { ca, cert, key, serverName } = tls;
  const secure = origin.startsWith('https:');
  const servername = serverName === undefined ? {} : { servername: serverName };
  const agent = secure ? new HttpsAgent({ ...pool, ca, cert, key, ...servername }) : new HttpAgent(pool);
  ruleAgent(agent, mayConnect);
  const create = agent.createConnection.bind(agent);
  // Node's agents wait as long for a connection as for an answer.
  agent.createConnection = (options, callback) => {
    const socket = create(options, callback);
    if (socket === null || socket === undefined) return socket;
    const timer = setTimeout(() => socket.destroy(new ConnectTimeout()), connectMs);
    const settle = () => clearTimeout(timer);
    socket.once(secure ? 'secureConnect' : 'connect', settle).once('close', settle);
    return socket;
  };
  return agent;
}

interface Exchange {
  readonly token: string | undefined;
  readonly signal: AbortSignal;
  readonly requestMs: number;
}

function exchange(
  { origin, agent }: { readonly origin: string; readonly agent: HttpAgent },
  call: HttpCall,
  { token, signal, requestMs }: Exchange,
): Promise<Answer> {
  const { method, path, params, operation, writes } = call;
  const form = new URLSearchParams(params).toString();
  const inBody = method === 'POST' || method === 'PUT';
  const send = origin.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    let sent = false;
    let timer: NodeJS.Timeout | undefined;
    const request = send(`${origin}/nacos${path}${inBody ? '' : `?${form}`}`, {
      method,
      agent,
      headers: {
        ...(inBody ? { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' } : {}),
        ...(token === undefined ? {} : { accessToken: token }),
      },
    });
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
    };
    const fail = (error: unknown) => {
      end();
      request.destroy();
      if (signal.aborted) reject(cancelled(operation, signal, writes && sent));
      else reject(ofSocket(error, { operation, writes, origin, sent }));
    };
    const cancel = () => fail(undefined);
    signal.addEventListener('abort', cancel, { once: true });
    request.once('socket', (socket) =>
      whenConnected(socket, () => {
        sent = true;
        timer = setTimeout(() => fail(new AnswerTimeout()), requestMs);
      }),
    );
    request.on('error', fail);
    request.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('error', fail);
      response.on('data', (text: string) => {
        body += text;
        if (body.length > ANSWER_BYTES) fail(new Error('an answer without an end'));
      });
      response.once('end', () => {
        end();
        resolve({ status: response.statusCode ?? 0, body, retryAfter: response.headers['retry-after'], origin });
      });
    });
    request.end(inBody ? form : undefined);
  });
}

/** Of a new connection when it is there, of a kept one at once. */
function whenConnected(socket: Socket, begin: () => void): void {
  if (socket instanceof TLSSocket) {
    if (socket.getProtocol() === null) socket.once('secureConnect', begin);
    else begin();
  } else if (socket.connecting) socket.once('connect', begin);
  else begin();
}
