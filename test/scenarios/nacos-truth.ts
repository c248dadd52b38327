// What stands in Nacos, by its HTTP API, read as the documentation of the adapter says that it stands there.
import type { Health, Instance } from '../../src/mirror/instance.ts';
import type { Nacos } from '../servers/nacos.ts';

interface Host {
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly healthy: boolean;
  readonly ephemeral: boolean;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Every entry with the mark of this cluster, in the default namespace and group. */
export async function entriesInNacos({ address }: Nacos, cluster: string): Promise<readonly Instance[]> {
  const ask = async (path: string) => {
    const response = await fetch(`${address}/nacos/v1/ns/${path}`, { signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(`Nacos: ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const { doms } = (await ask('service/list?pageNo=1&pageSize=10000')) as { readonly doms: readonly string[] };
  const found = await Promise.all(
    doms.map(async (service) => {
      const { hosts, reachProtectionThreshold } = (await ask(
        `instance/list?serviceName=${encodeURIComponent(service)}`,
      )) as { readonly hosts: readonly Host[]; readonly reachProtectionThreshold: boolean };
      return hosts.map((host) => instanceOf(service, host, reachProtectionThreshold));
    }),
  );
  return found.flat().filter(({ marks }) => marks.cluster === cluster);
}

/** `shielded`: of a service where none is healthy the server shows all as healthy, and our mark tells. */
function instanceOf(
  service: string,
  { ip, port, weight, healthy: shown, ephemeral, metadata: all }: Host,
  shielded: boolean,
): Instance {
  const {
    'managed-by': _,
    'roster-cluster': cluster = '',
    'roster-id': id = '',
    'roster-owner': owner = '',
    'roster-registration': registration = '',
    'roster-retained': retained,
    'roster-tags': tags = '[]',
    'roster-health': told,
    'roster-weight': weightWhenReady,
    ...metadata
  } = all;
  const healthy = shown && !(shielded && told === 'unhealthy');
  const drains = healthy && told === 'draining' && weight === 0;
  const health: Health = drains ? 'draining' : healthy ? 'healthy' : 'unhealthy';
  return {
    id,
    service,
    address: ip,
    port,
    health,
    liveness: ephemeral ? 'leased' : 'persistent',
    weight: drains ? Number(weightWhenReady ?? 0) : weight,
    tags: JSON.parse(tags),
    metadata,
    marks: { cluster, owner, registration, retained: retained === 'true' },
  };
}
