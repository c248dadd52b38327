import type { Socket } from 'node:net';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { TlsAccess } from './tls.ts';

/**
 * Credentials of a channel, whose connections are in `sockets` for as long as they are open: the client never closes one that is still being made, so that
 * a silent server would collect them.
 */
export function trackedCredentials(secure: boolean, { ca, cert, key }: TlsAccess, sockets: Set<Socket>) {
  const bytes = (pem: string | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return tracked(
    secure ? credentials.createSsl(bytes(ca), bytes(key), bytes(cert)) : credentials.createInsecure(),
    sockets,
  );
}

function tracked(channelCredentials: ChannelCredentials, sockets: Set<Socket>): ChannelCredentials {
  const create = channelCredentials._createSecureConnector.bind(channelCredentials);
  channelCredentials._createSecureConnector = (...args) => {
    const connector = create(...args);
    const connect = connector.connect.bind(connector);
    connector.connect = (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return connect(socket);
    };
    return connector;
  };
  return channelCredentials;
}

/** To the server by the name of its certificate, where the address is another. */
export const serverNameOptions = (serverName: string | undefined) =>
  serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName };
