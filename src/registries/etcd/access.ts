import type { AddressRule } from '../address-rule.ts';
import { RegistryError } from '../error.ts';
import { assertPem, type TlsAccess } from '../tls.ts';

/** How to reach etcd. */
export interface Access {
  /** `host:port`, `http://host:port`, `https://host:port`; at least one. The next one is taken when one does not answer. */
  readonly endpoints: readonly string[];
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Also makes https of endpoints that do not say. */
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
  readonly connectMs: number;
  readonly requestMs: number;
}

const DEFAULT_PORT = '2379';

export interface Endpoint {
  readonly secure: boolean;
  /** `host:port`, an IPv6 address in brackets. */
  readonly authority: string;
}

/** All endpoints. Throws `invalid` for what cannot be used; nothing that is named is repeated, since it may hold a password. */
export function endpointsOf({ endpoints, tls }: Access): readonly Endpoint[] {
  if (endpoints.length === 0) throw new RegistryError('invalid', 'spec.etcd.endpoints is empty; name at least one');
  const parsed = endpoints.map((endpoint) => parseEndpoint(endpoint, tls !== undefined));
  if (parsed.some(({ secure }) => secure)) assertPem(tls ?? {}, 'spec.etcd');
  return parsed;
}

function parseEndpoint(endpoint: string, secureByDefault: boolean): Endpoint {
  if (endpoint.includes('@')) {
    throw new RegistryError(
      'invalid',
      'an endpoint of spec.etcd holds credentials; put them into the Secrets of usernameSecretRef and passwordSecretRef',
    );
  }
  const form = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[^\s:/?#[\]]+)(?::(\d{1,5}))?$/;
  const [, scheme, host, port = DEFAULT_PORT] = form.exec(endpoint) ?? [];
  if (host === undefined) {
    const forms = 'host:port, http://host:port or https://host:port';
    throw new RegistryError('invalid', `an endpoint of spec.etcd is not of the form ${forms}`);
  }
  return { secure: scheme === undefined ? secureByDefault : scheme === 'https', authority: `${host}:${port}` };
}
