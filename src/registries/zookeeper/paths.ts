import { RegistryError } from '../error.ts';
import type { Endpoint } from './dial.ts';

/** Where things stand: `<chroot><rootPath>/<service>/<id>`. */

/** Controls, private use, halves of characters and all beyond U+FFFF: what ZooKeeper allows in no path (`PathUtils.validatePath`). */
const FORBIDDEN: readonly (readonly [from: number, to: number])[] = [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0xd800, 0xf8ff],
  [0xfff0, 0x10ffff],
];

const isForbidden = (character: string): boolean => {
  const code = character.codePointAt(0) ?? 0;
  return FORBIDDEN.some(([from, to]) => code >= from && code <= to);
};

/** An id as the name of a node. Only what cannot stand in a name is encoded, as `%2F`; the rest stays readable. */
export function nodeOf(id: string): string {
  if (id === '.' || id === '..') return id.replaceAll('.', '%2E');
  const encoded = (character: string) =>
    character === '/' || character === '%' || isForbidden(character) ? encodeURIComponent(character) : character;
  return Array.from(id, encoded).join('');
}

/** The id that {@link nodeOf} made a name of; names of others as they are. */
export function idOf(node: string): string {
  try {
    return decodeURIComponent(node);
  } catch {
    return node;
  }
}

/** The rule of ZooKeeper that a service name breaks. */
export function brokenNameRule(name: string): string | undefined {
  if (name === '') return 'a service name cannot be empty';
  if (name === '.' || name === '..')
    return `"${name}" cannot be a service name in ZooKeeper: . and .. mean other nodes`;
  if (name.includes('/')) return `the service name ${quote(name)} has a slash, which begins another node in ZooKeeper`;
  if (Array.from(name).some(isForbidden)) {
    return `the service name ${quote(name)} has a character that ZooKeeper allows in no path: controls, private use, emoji and other characters beyond U+FFFF`;
  }
  return undefined;
}

export interface Place {
  readonly servers: readonly Endpoint[];
  /** The path below which services stand. */
  readonly base: string;
}

const DEFAULT_PORT = 2181;

/** Throws a RegistryError for what cannot be a connect string or a path. */
export function placeOf(connectString: string, rootPath: string): Place {
  const slash = connectString.indexOf('/');
  const hosts = slash < 0 ? connectString : connectString.slice(0, slash);
  const chroot = slash < 0 ? '' : connectString.slice(slash).replace(/\/+$/, '');
  const base = `${chroot}${rootPath}`;
  const names = base.split('/').slice(1);
  if (!base.startsWith('/') || names.length === 0 || names.some((name) => brokenNameRule(name) !== undefined)) {
    throw invalid(
      'spec.zookeeper.rootPath, or the chroot of connectString, is not a path of ZooKeeper such as /services',
    );
  }
  if (names[0] === 'zookeeper') throw invalid("below /zookeeper are the server's own nodes; choose another rootPath");
  return { servers: hosts.split(',').map(endpointOf), base };
}

function endpointOf(text: string): Endpoint {
  const [, bracketed, plain, port = String(DEFAULT_PORT)] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]@/\s]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw invalid('spec.zookeeper.connectString is not of the form host:port,host:port/chroot');
  }
  return { host, port: Number(port) };
}

const invalid = (message: string): RegistryError => new RegistryError('invalid', message);

/** In one line, whatever is in it. */
export const quote = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
