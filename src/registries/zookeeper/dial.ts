import { connect, isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import type { TlsAccess } from '../tls.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Dialling {
  readonly socket: Socket;
  /** Emitted by the socket when the peer, by TLS if that is wanted, is there to be talked to. */
  readonly ready: 'connect' | 'secureConnect';
}

/** The protocol is the same over TCP and, with `tls`, over TLS. */
export function dial({ host, port }: Endpoint, tls: TlsAccess | undefined): Dialling {
  if (tls === undefined) return { socket: connect({ host, port, noDelay: true }), ready: 'connect' };
  const { ca, cert, key, serverName = host } = tls;
  const socket = connectTls({
    host,
    port,
    ca,
    cert,
    key,
    // An address cannot be asked for by name, and is checked nevertheless.
    servername: isIP(serverName) === 0 ? serverName : '',
    checkServerIdentity(_host, certificate) {
      const refusal = checkServerIdentity(serverName, certificate);
      // The whole chain of certificates, in a circle that no log can write.
      if (refusal !== undefined) Reflect.deleteProperty(refusal, 'cert');
      return refusal;
    },
  });
  return { socket: socket.setNoDelay(true), ready: 'secureConnect' };
}
