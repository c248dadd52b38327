import { connect, isIP, Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { AddressNotAllowed, type AddressRule, isForbidden, ruledLookup } from '../address-rule.ts';
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

/** How the peer is spoken to, and which addresses it may have. */
export interface Manner {
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
}

/** The protocol is the same over TCP and, with `tls`, over TLS. */
export function dial({ host, port }: Endpoint, { tls, mayConnect }: Manner): Dialling {
  if (isForbidden(host, mayConnect)) return { socket: new Socket().destroy(new AddressNotAllowed()), ready: 'connect' };
  const lookup = mayConnect === undefined ? {} : { lookup: ruledLookup(mayConnect) };
  if (tls === undefined) return { socket: connect({ host, port, noDelay: true, ...lookup }), ready: 'connect' };
  const { ca, cert, key, serverName = host } = tls;
  const socket = connectTls({
    host,
    port,
    ...lookup,
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
