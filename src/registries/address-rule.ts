import { lookup } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';

/** Whether a client may connect to an IP address: asked about what a name was resolved to, never about the name. */
export type AddressRule = (address: string) => boolean;

/**
 * What only the machine of the client, its own network or a cloud's metadata service answers at. Whoever names such an address for somebody else's client
 * to connect to wants what that client can reach and he cannot.
 */
const RESERVED: readonly (readonly [network: string, bits: number])[] = [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Metadata and host services outside the link-local range: Alibaba, Oracle, Azure.
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
  ['168.63.129.16', 32],
];

const RESERVED_V6: readonly (readonly [network: string, bits: number])[] = [
  // The unspecified one, loopback, and the old form of IPv4 in IPv6.
  ['::', 96],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
  // Metadata of AWS and Google.
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
];

const reserved = new BlockList();
for (const [network, bits] of RESERVED) {
  // Finds the IPv4-mapped form too.
  reserved.addSubnet(network, bits, 'ipv4');
  // The same behind NAT64 and 6to4.
  reserved.addSubnet(`64:ff9b::${network}`, 96 + bits, 'ipv6');
  const [a = 0, b = 0, c = 0, d = 0] = network.split('.').map(Number);
  reserved.addSubnet(`2002:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}::`, 16 + bits, 'ipv6');
}
for (const [network, bits] of RESERVED_V6) reserved.addSubnet(network, bits, 'ipv6');

/** For addresses that a tenant names: in one of the networks, in CIDR form; without networks, everything that is not reserved. */
export function tenantRule(networks: readonly string[] | undefined): AddressRule {
  if (networks === undefined) return (address) => isPlain(address) && !contains(reserved, address);
  const allowed = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    allowed.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return (address) => isPlain(address) && contains(allowed, address);
}

/** Decimal, octal and short spellings are none: they become one when they are resolved. A zone names a link of this machine. */
const isPlain = (address: string): boolean => isIP(address) !== 0 && !address.includes('%');

const contains = (list: BlockList, address: string): boolean => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

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
