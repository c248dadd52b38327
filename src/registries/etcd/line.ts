import type { Socket } from 'node:net';
import { Channel, type ChannelInterface, connectivityState } from '@grpc/grpc-js';
import { Etcd3 } from 'etcd3';
import { serverNameOptions, trackedCredentials } from '../grpc-channel.ts';
import { grpcTarget } from '../grpc-rule.ts';
import type { Access, Endpoint } from './access.ts';

/** The way to one endpoint: one connection at a time, made when it is wanted, and made anew when it was of no use. */
export interface Line {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly etcd: Etcd3;
  /**
   * Runs calls once there is a connection, or none can be made: then they fail at once, saying why.
   * Rejects with {@link ConnectTimeout} when neither is clear within `connectMs`, or when `signal` aborts before.
   */
  use<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T>;
  /** The next call makes a new connection; calls that are under way keep theirs. */
  renew(): void;
  close(): void;
}

export class ConnectTimeout extends Error {
  override readonly name = 'ConnectTimeout';
}

interface Connection {
  readonly channel: Channel;
  readonly sockets: Set<Socket>;
  calls: number;
  retired: boolean;
}

/** More than a page of ordinary entries; larger ones are asked for in smaller pages. */
const RECEIVE_BYTES = 16 * 1_024 * 1_024;

export function openLine({ secure, authority }: Endpoint, { tls = {}, mayConnect, connectMs }: Access): Line {
  const { target, options } = grpcTarget(authority, mayConnect);
  const serverName = secure ? tls.serverName : undefined;
  const channelOptions = {
    ...options,
    // Of its own: a closed line must leave nothing behind in a pool of the process.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': RECEIVE_BYTES,
    'grpc-node.flow_control_window': 4 * 1_024 * 1_024,
    // The server takes one in 5 s, and none while there is no call.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    ...serverNameOptions(serverName),
  };
  let current: Connection | undefined;

  const connection = (): Connection => {
    if (current !== undefined) return current;
    const sockets = new Set<Socket>();
    const channel = new Channel(target, trackedCredentials(secure, tls, sockets), channelOptions);
    current = { channel, sockets, calls: 0, retired: false };
    return current;
  };

  const retire = () => {
    const old = current;
    current = undefined;
    if (old === undefined) return;
    old.retired = true;
    old.channel.close();
    hangUp(old);
  };

  // etcd3 closes its channel on many a failure, and with it everything else that is under way.
  const channel: ChannelInterface = {
    close: () => {},
    getTarget: () => target,
    getConnectivityState: (connect) => connection().channel.getConnectivityState(connect),
    watchConnectivityState: (...args) => connection().channel.watchConnectivityState(...args),
    getChannelzRef: () => connection().channel.getChannelzRef(),
    createCall: (...args) => connection().channel.createCall(...args),
  };

  return {
    origin: `${secure ? 'https' : 'http'}://${authority}`,
    etcd: new Etcd3({ hosts: target, grpcOptions: { channelOverride: channel } }),
    async use(signal, run) {
      const used = connection();
      used.calls++;
      try {
        await settled(used.channel, connectMs, signal);
        return await run();
      } finally {
        used.calls--;
        hangUp(used);
      }
    },
    renew: retire,
    close: retire,
  };
}

/** Resolves when the channel has a connection, or has just failed to get one. */
async function settled(channel: Channel, connectMs: number, signal: AbortSignal): Promise<void> {
  if (channel.getConnectivityState(true) === connectivityState.READY) return;
  await new Promise<void>((resolve, reject) => {
    let ended = false;
    const end = (error?: Error) => {
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      if (error === undefined) resolve();
      else reject(error);
    };
    const cancel = () => end(new ConnectTimeout('cancelled'));
    const timer = setTimeout(() => end(new ConnectTimeout(`no connection within ${connectMs} ms`)), connectMs);
    signal.addEventListener('abort', cancel, { once: true });
    const look = () => {
      // A channel that was closed meanwhile would be opened again by the question.
      if (ended) return;
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.IDLE || state === connectivityState.CONNECTING) {
        channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, look);
      } else {
        end();
      }
    };
    look();
  });
}

/** The channel closes a connection only when the other side does so too. */
function hangUp({ sockets, calls, retired }: Connection): void {
  if (!retired || calls > 0) return;
  for (const socket of sockets) socket.destroy();
}
