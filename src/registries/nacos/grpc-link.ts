import type { Socket } from 'node:net';
import { type CallOptions, Client, type ClientDuplexStream, connectivityState, type ServiceError } from '@grpc/grpc-js';
import type { AddressRule } from '../address-rule.ts';
import { cancelled, RegistryError } from '../error.ts';
import { serverNameOptions, trackedCredentials } from '../grpc-channel.ts';
import { grpcTarget } from '../grpc-rule.ts';
import type { TlsAccess } from '../tls.ts';
import { type Fields, parseFields } from './answer.ts';
import { decodePayload, encodePayload, type Payload } from './grpc-codec.ts';
import { broken, type FailedCall, meaningOf, noConnection, notNacos, ofAnswer, ofStatus } from './grpc-failure.ts';
import type { Server } from './servers.ts';

export interface LinkAccess {
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
  readonly connectMs: number;
  readonly requestMs: number;
}

export interface LinkEvents {
  onPush(answer: Fields): void;
  /** The server wants the client to connect anew, there or elsewhere; until then it serves on. */
  onReset(): void;
  /** Once, unless we closed it: it is of no use any more, and what it published goes. */
  onEnd(): void;
}

export interface LinkCall {
  readonly operation: string;
  readonly writes: boolean;
  /** Name of the request's class. */
  readonly type: string;
  readonly body: Fields;
  readonly token: string | undefined;
}

/** One registered connection: entries that it publishes vanish with it. */
export interface Link {
  readonly origin: string;
  /** The server's answer to one request; rejects with a RegistryError. */
  request(call: LinkCall, signal: AbortSignal): Promise<Fields>;
  isOpen(): boolean;
  close(): void;
}

/** The server's own bound for what it takes is 10 MiB; what it sends has none. */
const RECEIVE_BYTES = 64 * 1_024 * 1_024;

/** The server asks after a client that was silent for 20 s, and drops it 5 s later. */
const HEALTH_CHECK_MS = 5_000;

/** Rejects with a RegistryError when there is no registered connection within the time limits, or with `signal`. */
export async function openLink(
  server: Server,
  access: LinkAccess,
  events: LinkEvents,
  signal: AbortSignal,
): Promise<Link> {
  const { origin } = server;
  const sockets = new Set<Socket>();
  const client = openClient(server, access, sockets);
  let state: 'opening' | 'open' | 'ended' = 'opening';
  let lastAnswer = performance.now();
  let stream: ClientDuplexStream<Payload, Payload> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const end = (): void => {
    if (state === 'ended') return;
    const wasOpen = state === 'open';
    state = 'ended';
    clearInterval(timer);
    stream?.cancel();
    client.close();
    for (const socket of sockets) socket.destroy();
    if (wasOpen) events.onEnd();
  };

  const close = (): void => {
    if (state === 'open') state = 'opening';
    end();
  };

  const request = async (call: LinkCall, within: AbortSignal): Promise<Fields> => {
    const failed: FailedCall = { operation: call.operation, writes: call.writes, origin };
    if (state === 'ended') throw broken({ ...failed, writes: false });
    try {
      const fields = await exchange(client, call, { failed, requestMs: access.requestMs, signal: within });
      lastAnswer = performance.now();
      return fields;
    } catch (error) {
      if (state === 'open') {
        if (meaningOf(error) === 'stale-connection') end();
        // Overloaded, or frozen, or gone: the next question tells.
        else if (error instanceof RegistryError && error.code === 'timeout') void isAlive(access.connectMs);
      }
      throw error;
    }
  };

  const isAlive = async (withinMs: number): Promise<void> => {
    const failed: FailedCall = { operation: 'health check', writes: false, origin };
    try {
      await exchange(client, HEALTH_CHECK, { failed, requestMs: withinMs, signal: NEVER });
      lastAnswer = performance.now();
    } catch {
      end();
    }
  };

  const answerPush = ({ type, body }: Payload): void => {
    const fields = parseFields(body);
    if (!PUSHES.has(type)) return;
    const answer = { resultCode: 200, errorCode: 0, success: true, requestId: fields['requestId'] };
    stream?.write({ type: type.replace(/Request$/, 'Response'), headers: {}, body: JSON.stringify(answer) });
    if (type === 'NotifySubscriberRequest') events.onPush(fields);
    if (type === 'ConnectResetRequest') events.onReset();
  };

  try {
    await connected(client, { operation: 'connect', writes: false, origin }, access.connectMs, signal);
    await request(question('ServerCheckRequest'), signal);
    stream = client.makeBidiStreamRequest('/BiRequestStream/requestBiStream', encodePayload, decodePayload);
    stream.on('data', (payload: Payload) => {
      try {
        answerPush(payload);
      } catch {
        end();
      }
    });
    stream.on('error', end);
    stream.on('end', end);
    stream.write({ type: 'ConnectionSetupRequest', headers: {}, body: JSON.stringify(SETUP) });
    await registered((call) => request(call, signal));
  } catch (error) {
    end();
    throw error;
  }
  if (state !== 'opening') throw broken({ operation: 'connect', writes: false, origin });
  state = 'open';
  timer = setInterval(() => {
    if (performance.now() - lastAnswer >= HEALTH_CHECK_MS) void isAlive(access.requestMs);
  }, HEALTH_CHECK_MS);
  return { origin, request, isOpen: () => state === 'open', close };
}

const NEVER = new AbortController().signal;

const PUSHES: ReadonlySet<string> = new Set([
  'NotifySubscriberRequest',
  'ClientDetectionRequest',
  'ConnectResetRequest',
]);

const SETUP = { clientVersion: 'Roster', tenant: '', labels: { source: 'sdk', module: 'naming', AppName: 'roster' } };

const question = (type: string): LinkCall => ({
  operation: 'connect',
  writes: false,
  type,
  body: {},
  token: undefined,
});

const HEALTH_CHECK = question('HealthCheckRequest');

/** Nothing tells when the server has registered the connection but that it begins to answer. */
async function registered(ask: (call: LinkCall) => Promise<Fields>): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      await ask(HEALTH_CHECK);
      return;
    } catch (error) {
      if (meaningOf(error) !== 'stale-connection' || round === 40) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5 * round));
    }
  }
}

interface Exchange {
  readonly failed: FailedCall;
  readonly requestMs: number;
  readonly signal: AbortSignal;
}

function exchange(client: Client, call: LinkCall, { failed, requestMs, signal }: Exchange): Promise<Fields> {
  const { type, body, token } = call;
  const payload: Payload = {
    type,
    headers: token === undefined ? {} : { accessToken: token },
    body: JSON.stringify(body),
  };
  const options: CallOptions = { deadline: Date.now() + requestMs };
  return new Promise((resolve, reject) => {
    const aborted = () => cancelled(failed.operation, signal, failed.writes);
    if (signal.aborted) return reject(aborted());
    const answered = (error: ServiceError | null, answer?: Payload) => {
      signal.removeEventListener('abort', cancel);
      if (signal.aborted) return reject(aborted());
      if (error !== null) return reject(ofStatus(error, failed));
      try {
        const fields = parseFields(answer?.body ?? '');
        const { resultCode, errorCode, message } = fields;
        if (resultCode === 200) resolve(fields);
        else reject(ofAnswer(typeof errorCode === 'number' ? errorCode : 0, String(message), failed));
      } catch {
        reject(notNacos(failed));
      }
    };
    const running = client.makeUnaryRequest(
      '/Request/request',
      encodePayload,
      decodePayload,
      payload,
      options,
      answered,
    );
    const cancel = () => running.cancel();
    signal.addEventListener('abort', cancel, { once: true });
  });
}

function openClient({ secure, authority }: Server, { tls = {}, mayConnect }: LinkAccess, sockets: Set<Socket>): Client {
  const serverName = secure ? tls.serverName : undefined;
  const { target, options } = grpcTarget(authority, mayConnect);
  return new Client(target, trackedCredentials(secure, tls, sockets), {
    ...options,
    // Of its own: entries belong to a connection, so no two of ours may share one.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': RECEIVE_BYTES,
    'grpc-node.flow_control_window': 4 * 1_024 * 1_024,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    'grpc.enable_retries': 0,
    ...serverNameOptions(serverName),
  });
}

/** Resolves when there is a connection, or none could be made: the first request then says why. */
async function connected(client: Client, failed: FailedCall, connectMs: number, signal: AbortSignal): Promise<void> {
  const channel = client.getChannel();
  await new Promise<void>((resolve, reject) => {
    let ended = false;
    const end = (error?: Error) => {
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      if (error === undefined) resolve();
      else reject(error);
    };
    const cancel = () => end(cancelled(failed.operation, signal));
    const timer = setTimeout(() => end(noConnection(failed)), connectMs);
    if (signal.aborted) return cancel();
    signal.addEventListener('abort', cancel, { once: true });
    const look = () => {
      // A channel that was closed meanwhile would be opened again by the question.
      if (ended) return;
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.IDLE || state === connectivityState.CONNECTING) {
        channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, look);
      } else end();
    };
    look();
  });
}
