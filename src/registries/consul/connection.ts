import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { ClientRequest, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import Consul from 'consul';
import type { AddressRule } from '../address-rule.ts';
import { ruleAgent } from '../agent-rule.ts';
import { RegistryError } from '../error.ts';
import { assertPem, type TlsAccess } from '../tls.ts';
import { ConnectTimeout } from './failure.ts';
import { NotConsul } from './wire.ts';

/** How to reach Consul. */
export interface Access {
  /** At least one; the next one is taken when one does not answer. */
  readonly addresses: readonly string[];
  readonly datacenter?: string | undefined;
  readonly namespace?: string | undefined;
  readonly partition?: string | undefined;
  readonly token?: string | undefined;
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
  readonly connectMs: number;
  readonly requestMs: number;
}

/** The server allows 200 connections of one client address, and this operator may not be alone there. */
const SOCKETS = 16;

/** Beside those: each blocking query holds one. */
export const WAITING_SOCKETS = 48;

/** One address of Consul, and the connections to it. */
export interface Server {
  readonly consul: Consul;
  /** The same with connections of its own, which blocking queries may hold. */
  readonly waitingConsul: Consul;
  readonly origin: string;
  readonly agents: readonly (HttpAgent | HttpsAgent)[];
}

/** Throws `invalid` for an address that is none, and for a certificate or key that cannot be read. */
export function openServer(address: string, access: Access): Server {
  const url = parseAddress(address);
  const secure = url.protocol === 'https:';
  const { ca, cert, key, serverName } = access.tls ?? {};
  if (secure) assertPem(access.tls ?? {}, 'spec.consul');
  const openAgent = (maxSockets: number) => {
    const pool = { keepAlive: true, maxSockets };
    const agent = secure
      ? new HttpsAgent({ ...pool, ca, cert, key, ...(serverName === undefined ? {} : { servername: serverName }) })
      : new HttpAgent(pool);
    ruleAgent(agent, access.mayConnect);
    boundConnecting(agent, access.connectMs, secure ? 'secureConnect' : 'connect');
    return agent;
  };
  const openConsul = (agent: HttpAgent | HttpsAgent) => {
    const options = {
      baseUrl: `${url.origin}${url.pathname.replace(/\/+$/, '')}/v1`,
      agent,
      // The package has no option for it.
      headers: access.namespace === undefined ? {} : { 'x-consul-namespace': access.namespace },
    };
    return new Consul(options);
  };
  const agents = [openAgent(SOCKETS), openAgent(WAITING_SOCKETS)] as const;
  return { consul: openConsul(agents[0]), waitingConsul: openConsul(agents[1]), origin: url.origin, agents };
}

function parseAddress(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new RegistryError(
      'invalid',
      'an address of spec.consul is not of the form http://host:port or https://host:port',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new RegistryError(
      'invalid',
      'an address of spec.consul holds credentials; put a token into the Secret of tokenSecretRef instead',
    );
  }
  return url;
}

/** Node's agents wait as long for a connection as for an answer, and the `consul` package hands IPv6 addresses over in brackets, as a name. */
function boundConnecting(agent: HttpAgent, ms: number, done: 'connect' | 'secureConnect'): void {
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const host = options.host?.replace(/^\[(.*)\]$/, '$1');
    const socket = create({ ...options, ...(host !== undefined && { host }) }, callback);
    if (socket === null || socket === undefined) return socket;
    const timer = setTimeout(() => socket.destroy(new ConnectTimeout(`no connection within ${ms} ms`)), ms);
    const settle = () => clearTimeout(timer);
    socket.once(done, settle).once('close', settle);
    return socket;
  };
}

/** What a large Consul answers in one piece is a tenth of it. */
const ANSWER_BYTES = 64 * 1_024 * 1_024;

/**
 * The `consul` package listens for the end of an answer, not for its failure: a connection that breaks in the middle of a body would be
 * noticed by the time-out only. And it holds however much comes. Its requests are found by their agent, and told.
 */
export function failOnBrokenAnswer(agents: ReadonlySet<unknown>): { stop(): void } {
  const onStart = (message: unknown) => {
    const request =
      typeof message === 'object' && message !== null && 'request' in message ? message.request : undefined;
    if (!(request instanceof ClientRequest) || !agents.has(Reflect.get(request, 'agent'))) return;
    request.once('response', (response) => {
      response.once('error', (error) => request.emit('error', error));
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES) response.destroy(new NotConsul('an answer without an end'));
      });
    });
  };
  subscribe('http.client.request.start', onStart);
  return { stop: () => unsubscribe('http.client.request.start', onStart) };
}
