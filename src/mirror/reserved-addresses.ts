import { BlockList, isIPv6 } from 'node:net';

/**
 * What only the machine of whoever connects, its own network or a cloud's metadata service answers at: never where a Pod is found by others, and whoever
 * names such an address for somebody else to connect to wants what that one can reach and he cannot.
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

/** Of an IP address, in whatever form. */
export const isReserved = (address: string): boolean => reserved.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
