// What stands in a registry, by its own HTTP API and never through an adapter of ours.
import type { Consul } from '../servers/consul.ts';
import type { Json } from './kube.ts';

/** An entry as a consumer sees it. */
export interface Entry {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** In Consul's words. */
  readonly health: 'passing' | 'warning' | 'critical';
  readonly weight: number;
  readonly tags: readonly string[];
  /** Without Roster's marks. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly cluster: string;
  /** `namespace/name` of the Service. */
  readonly owner: string;
  readonly id: string;
}

/** `passing web 10.0.0.1:8080`: what most tests compare. */
export const brief = ({ health, name, address, port }: Entry): string =>
  `${health} ${name} ${address.includes(':') ? `[${address}]` : address}:${port}`;

const HEALTH = { healthy: 'passing', draining: 'warning', unhealthy: 'critical' } as const;

export function entriesOfSnapshot(text: string): readonly Entry[] {
  return JSON.parse(text).instances.map((instance: Json) => ({
    name: instance.service,
    address: instance.address,
    port: instance.port,
    health: HEALTH[instance.health as keyof typeof HEALTH],
    weight: instance.weight,
    tags: instance.tags,
    metadata: instance.metadata,
    cluster: instance.marks.cluster,
    owner: instance.marks.owner,
    id: instance.id,
  }));
}

/** All entries with Roster's marks whose service name or namespace contains the text. */
export async function entriesInConsul(consul: Consul, text: string): Promise<readonly Entry[]> {
  const filter = encodeURIComponent(
    `ServiceMeta["roster-owner"] matches "${text}.*/" or ServiceName contains "${text}"`,
  );
  const services = await ask(consul, `/v1/catalog/services?consistent&filter=${filter}`);
  const found: Entry[] = [];
  for (const name of Object.keys(services)) found.push(...(await entriesNamed(consul, name)));
  return found.filter(({ cluster }) => cluster !== '').filter((entry) => concerns(entry, text));
}

export const concerns = ({ name, owner }: Entry, text: string): boolean =>
  name.includes(text) || (owner.split('/')[0] ?? '').includes(text);

/** All entries under one service name, those of strangers included. */
export async function entriesNamed(consul: Consul, name: string): Promise<readonly Entry[]> {
  const answer = await ask(consul, `/v1/health/service/${encodeURIComponent(name)}?consistent`);
  return answer.map(({ Service, Checks }: Json) => {
    const { 'roster-cluster': cluster = '', 'roster-owner': owner = '' } = Service.Meta ?? {};
    const statuses = Checks.map(({ Status }: Json) => Status);
    return {
      name: Service.Service,
      address: Service.Address,
      port: Service.Port,
      health: statuses.includes('critical') ? 'critical' : statuses.includes('warning') ? 'warning' : 'passing',
      weight: Service.Meta?.['roster-weight'] === '0' ? 0 : Service.Weights.Passing,
      tags: Service.Tags ?? [],
      metadata: withoutMarks(Service.Meta ?? {}),
      cluster,
      owner,
      id: Service.ID,
    };
  });
}

const withoutMarks = (meta: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(meta).filter(([key]) => key !== 'managed-by' && !key.startsWith('roster-')));

async function ask(consul: Consul, path: string): Promise<Json> {
  const { status, body } = await consul.request('GET', path);
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
  return body;
}
