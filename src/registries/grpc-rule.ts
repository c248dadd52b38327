import { experimental, Metadata, status } from '@grpc/grpc-js';
import { AddressNotAllowed, type AddressRule } from './address-rule.ts';

type Resolver = experimental.Resolver;
type Listener = experimental.ResolverListener;

const SCHEME = 'roster';
const RULE = 'roster.address_rule';

/**
 * What gRPC is to connect to. With a rule, names are resolved as ever, and only what is allowed of their addresses is handed on: it connects to those
 * and nothing else.
 */
export function grpcTarget(authority: string, mayConnect: AddressRule | undefined) {
  if (mayConnect === undefined) return { target: `dns:${authority}`, options: {} };
  return { target: `${SCHEME}:${authority}`, options: { [RULE]: mayConnect } };
}

class RuledResolver implements Resolver {
  readonly #dns: Resolver;

  constructor(target: { readonly path: string }, listener: Listener, options: Readonly<Record<string, unknown>>) {
    const mayConnect = options[RULE] as AddressRule;
    const ruled: Listener = (list, ...rest) => {
      if (!list.ok) return listener(list, ...rest);
      const value = list.value
        .map(({ addresses }) => ({
          addresses: addresses.filter((address) => 'host' in address && mayConnect(address.host)),
        }))
        .filter(({ addresses }) => addresses.length > 0);
      if (value.length > 0) return listener({ ok: true, value }, ...rest);
      const error = { code: status.UNAVAILABLE, details: AddressNotAllowed.code, metadata: new Metadata() };
      return listener({ ok: false, error }, ...rest);
    };
    this.#dns = experimental.createResolver({ scheme: 'dns', path: target.path }, ruled, options);
  }

  updateResolution(): void {
    this.#dns.updateResolution();
  }

  destroy(): void {
    this.#dns.destroy();
  }

  static getDefaultAuthority({ path }: { readonly path: string }): string {
    return path;
  }
}

// Of the whole process, and harmless to others in it: the scheme is ours.
experimental.registerResolver(SCHEME, RuledResolver);
