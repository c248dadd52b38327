import { RegistryError } from '../error.ts';

export interface Server {
  readonly secure: boolean;
  /** Host and gRPC port, an IPv6 address in brackets. */
  readonly authority: string;
  /** Scheme, host and gRPC port. */
  readonly origin: string;
}

/** All servers, and which one is asked first: the one that answered last. */
export interface Servers {
  readonly all: readonly Server[];
  preferred: number;
}

/** Fixed in Nacos. */
const GRPC_OFFSET = 1_000;

/** Throws `invalid` for what cannot be used; nothing that is named is repeated, since it may hold a password. */
export function serversOf(addresses: readonly string[]): Servers {
  if (addresses.length === 0) throw new RegistryError('invalid', 'spec.nacos.addresses is empty; name at least one');
  return { all: addresses.map(serverOf), preferred: 0 };
}

/** Scheme, host and port of the HTTP APIs; throws as {@link serversOf}. */
export function httpOriginsOf(addresses: readonly string[]): readonly string[] {
  serversOf(addresses);
  return addresses.map((address) => {
    const { scheme, host, port } = parse(address);
    return `${scheme}://${host}:${port}`;
  });
}

function serverOf(address: string): Server {
  const { scheme, host, port } = parse(address);
  const authority = `${host}:${port + GRPC_OFFSET}`;
  return { secure: scheme === 'https', authority, origin: `${scheme}://${authority}` };
}

function parse(address: string): { readonly scheme: string; readonly host: string; readonly port: number } {
  if (address.includes('@')) {
    throw new RegistryError(
      'invalid',
      'an address of spec.nacos holds credentials; put them into the Secrets of usernameSecretRef and passwordSecretRef',
    );
  }
  const form = /^(https?):\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/?#[\]]+)(?::(\d{1,5}))?\/?$/;
  const [, scheme = '', host, port = '8848'] = form.exec(address) ?? [];
  if (host === undefined || Number(port) + GRPC_OFFSET > 65_535) {
    throw new RegistryError(
      'invalid',
      'an address of spec.nacos is not of the form http://host:port or https://host:port, with a port below 64536',
    );
  }
  return { scheme, host, port: Number(port) };
}
