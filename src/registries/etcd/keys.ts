/** Spelling of keys and addresses. Keys of etcd are bytes; ours are UTF-8. */

/** Keys from `start` (inclusive) to `end` (exclusive), by bytes. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

/** All keys that begin with a text, which may not be empty. */
export function withPrefix(prefix: string): KeyRange {
  const end = Buffer.from(prefix);
  // UTF-8 has no byte of 255.
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { start: Buffer.from(prefix), end };
}

/** The first part of a key below the prefix that is Roster's own: no service may be called so. */
export const OWNER = '.owner';

/** All keys below a place, without what Roster keeps there for itself. */
export function consumersKeys(home: string): readonly KeyRange[] {
  const own = withPrefix(`${home}/${OWNER}/`);
  const all = withPrefix(`${home}/`);
  return [
    { start: all.start, end: own.start },
    { start: own.end, end: all.end },
  ];
}

/** Where it says who writes for a cluster: beside the cluster's records, and where no reader of them and no consumer looks. */
export const claimKey = (prefix: string, cluster: string): string => `${prefix}/${OWNER}/${segment(cluster)}`;

/** A text as one part of a key; no two texts give the same. */
export const segment = (text: string): string =>
  /[%/]/.test(text) ? text.replaceAll('%', '%25').replaceAll('/', '%2F') : text;

export const unsegment = (part: string): string => part.replaceAll('%2F', '/').replaceAll('%25', '%');

/** `10.0.0.7:8080`, `[fd00::7]:8080` */
export const hostPort = (address: string, port: number): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`;

export interface HostPort {
  readonly address: string;
  readonly port: number;
}

export function parseHostPort(text: string): HostPort | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  return address === undefined ? undefined : { address, port: Number(port) };
}
