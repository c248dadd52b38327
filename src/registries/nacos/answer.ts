import { NotNacos } from './grpc-codec.ts';
import type { NacosHost } from './host.ts';
import type { Page } from './pages.ts';

/** Answers and pushes of the server, read once at the edge. What does not have the shape of Nacos' throws {@link NotNacos}. */

export type Fields = Readonly<Record<string, unknown>>;

export interface ServiceInfo {
  readonly hosts: readonly NacosHost[];
  /** All are shown as healthy, since too few are (protectThreshold). */
  readonly shielded: boolean;
}

export function parseFields(json: string): Fields {
  try {
    return fields(JSON.parse(json));
  } catch (cause) {
    throw new NotNacos('expected JSON', { cause });
  }
}

export function readServiceInfo(answer: Fields): ServiceInfo {
  const { hosts, reachProtectionThreshold } = fields(answer['serviceInfo']);
  return { hosts: readHosts(hosts), shielded: reachProtectionThreshold === true };
}

export const readPage = (names: unknown, count: unknown): Page => ({
  names: list(names ?? []).map(text),
  count: number(count),
});

/** Of 3.x; as `group@@service`, since other groups' come too. */
export function readServicePage(data: unknown): Page {
  const { pageItems, totalCount } = fields(data);
  const items = list(pageItems ?? []).map(fields);
  return { names: items.map(({ groupName, name }) => `${text(groupName)}@@${text(name)}`), count: number(totalCount) };
}

/** The names of a service's Nacos clusters, of 3.x. */
export const readClusters = (data: unknown): readonly string[] => Object.keys(fields(fields(data)['clusterMap'] ?? {}));

export const readMetadata = ({ metadata }: Fields): NacosHost['metadata'] =>
  Object.fromEntries(Object.entries(fields(metadata ?? {})).map(([key, one]) => [key, String(one ?? '')]));

export const readHosts = (data: unknown): readonly NacosHost[] => list(data ?? []).map(host);

function host(value: unknown): NacosHost {
  const { ip, port, weight, healthy, enabled, ephemeral, clusterName, metadata } = fields(value);
  return {
    ip: text(ip),
    port: number(port),
    weight: number(weight),
    healthy: healthy === true,
    enabled: enabled !== false,
    ephemeral: ephemeral === true,
    clusterName: text(clusterName ?? 'DEFAULT'),
    metadata: readMetadata({ metadata }),
  };
}

function fields(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new NotNacos('expected an object');
  return { ...value };
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new NotNacos('expected a list');
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new NotNacos('expected a text');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new NotNacos('expected a number');
  return value;
}
