import { lookup } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { isReserved } from '../mirror/reserved-addresses.ts';

/** Whether a client may connect to an IP address: asked about what a name was resolved to, never about the name. */
export type AddressRule = (address: string) => boolean;

/** For addresses that a tenant names: in one of the networks, in CIDR form; without networks, everything that is not reserved. */
export function tenantRule(networks: readonly string[] | undefined): AddressRule {
  if (networks === undefined) return (address) => isPlain(address) && !isReserved(address);
  const allowed = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    allowed.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return (address) => isPlain(address) && allowed.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** Decimal, octal and short spellings are none: they become one when they are resolved. A zone names a link of this machine. */
const isPlain = (address: string): boolean => isIP(address) !== 0 && !address.includes('%');

/** No connection was made: the rule of the client forbids the address. */
export class AddressNotAllowed extends Error {
  override readonly name = 'AddressNotAllowed';
  /** Stands in the details where gRPC hands on nothing else. */
  static readonly code = 'ERR_ADDRESS_NOT_ALLOWED';

  constructor() {
    super(AddressNotAllowed.code);
  }
}

export const NOT_ALLOWED =
  'is at an address that this Registry may not reach; use another one, or have its network named in --tenant-registry-networks of the operator';

export const isNotAllowed = (error: unknown): boolean =>
  error instanceof AggregateError ? error.errors.some(isNotAllowed) : error instanceof AddressNotAllowed;

/** Resolves as Node does, and gives only what the rule allows: what was judged is what is connected to. */
export const ruledLookup =
  (mayConnect: AddressRule): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const allowed = error === null ? found.filter(({ address }) => mayConnect(address)) : [];
      const [first] = allowed;
      if (first === undefined) callback(error ?? new AddressNotAllowed(), '', 0);
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };

/** An address is connected to as it is written: no lookup is asked about it. */
export const isForbidden = (host: string, mayConnect: AddressRule | undefined): boolean =>
  mayConnect !== undefined && isIP(host) !== 0 && !mayConnect(host);
