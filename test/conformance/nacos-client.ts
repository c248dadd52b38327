import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { openNacosRegistry } from '../../src/registries/nacos/nacos.ts';
import type { NacosSettings } from '../../src/registries/nacos/settings.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { inLanes } from '../lanes.ts';
import { until } from '../servers/until.ts';

/** As the operator opens it by default, with the differences that a test wants. */
export function openAt(address: string, over: Partial<NacosSettings> = {}): ServiceRegistry {
  return openNacosRegistry({
    addresses: [address],
    group: 'DEFAULT_GROUP',
    cluster: 'DEFAULT',
    protocol: 'Auto',
    connectMs: 5_000,
    requestMs: 10_000,
    ...over,
  });
}

/** One entry as the console of Nacos shows it. */
export interface RawEntry {
  readonly service: string;
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly healthy: boolean;
  readonly enabled: boolean;
  readonly ephemeral: boolean;
  readonly clusterName: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export type RawNacos = ReturnType<typeof rawNacos>;

/** What the server hands out at once is as long as it is asked for. */
const ALL = '100000';
const PARALLEL = 16;

type Params = Readonly<Record<string, string>>;

/** The HTTP API of Nacos 2.x, in one group of services. `token`: of a server that wants a login. */
export function rawNacos(address: string, group: string, access: { readonly token?: string } = {}) {
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL });
  const fencePlace = { groupName: `${group}-fence`, serviceName: randomUUID() };
  let fences = 0;
  let primed: Promise<void> | undefined;
  let sending: Promise<unknown> = Promise.resolve();
  let next: Promise<number> | undefined;

  const ask = (method: string, path: string, params: Params): Promise<{ status: number; body: string }> =>
    new Promise((resolve, reject) => {
      const url = `${address}/nacos/v1/ns${path}?${new URLSearchParams(params)}`;
      const headers = access.token === undefined ? {} : { accessToken: access.token };
      const sent = request(url, { method, agent, headers }, async (response) => {
        let body = '';
        for await (const chunk of response.setEncoding('utf8')) body += chunk;
        resolve({ status: response.statusCode ?? 0, body });
      });
      sent.once('error', reject).end();
    });
  const call = async (method: string, path: string, params: Params): Promise<string> => {
    const { status, body } = await ask(method, path, params);
    if (status !== 200) throw new Error(`Nacos: ${method} ${path}: ${status} ${body}`);
    return body;
  };
  const named = (service: string) => ({ groupName: group, serviceName: service });
  const placed = ({ service, ip, port, clusterName }: Pick<RawEntry, 'service' | 'ip' | 'port' | 'clusterName'>) => ({
    ...named(service),
    ip,
    port: String(port),
    clusterName,
    ephemeral: 'false',
  });

  /** Of one service, from the view that the server renews half a second after a change. */
  async function viewOf(service: string): Promise<readonly RawEntry[]> {
    const params = { ...named(service), clusterName: 'DEFAULT', pageNo: '1', pageSize: ALL };
    const { status, body } = await ask('GET', '/catalog/instances', params);
    // A service that nobody has registered yet, or that was dropped.
    if (status >= 400 && /not found|not exist|is not found/i.test(body)) return [];
    if (status !== 200) throw new Error(`Nacos: the entries of a service: ${status} ${body}`);
    const { list }: { list: readonly RawEntry[] } = JSON.parse(body);
    return list.map(({ ip, port, weight, healthy, enabled, ephemeral, clusterName, metadata }) => ({
      service,
      ip,
      port,
      weight,
      healthy,
      enabled,
      ephemeral,
      clusterName,
      metadata,
    }));
  }

  async function names(): Promise<readonly string[]> {
    const params = { groupNameParam: group, hasIpCount: 'true', withInstances: 'false', pageNo: '1', pageSize: ALL };
    const { serviceList }: { serviceList: readonly { name: string; groupName: string }[] } = JSON.parse(
      await call('GET', '/catalog/services', params),
    );
    return serviceList.filter(({ groupName }) => groupName === group).map(({ name }) => name);
  }

  async function view(): Promise<readonly RawEntry[]> {
    const found: RawEntry[] = [];
    await inLanes(await names(), PARALLEL, async (service) => void found.push(...(await viewOf(service))));
    return found.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
  }

  async function put(entry: RawEntry): Promise<void> {
    const { weight, healthy, enabled, metadata } = entry;
    await call('POST', '/instance', {
      ...placed(entry),
      weight: String(weight),
      healthy: String(healthy),
      enabled: String(enabled),
      metadata: JSON.stringify(metadata),
    });
  }

  /**
   * Resolves when the views of the server show all that was acknowledged before. Ten times a second it renews those of the services that have changed,
   * in any order: the first mark that shows may be ahead of others of its round, the second one is behind them all.
   */
  async function settle(): Promise<void> {
    // Of a service that nobody has looked at there is no view yet: what is read first is as it stands.
    primed ??= oneMark();
    await primed;
    await oneMark();
    await oneMark();
  }

  async function oneMark(): Promise<void> {
    const mark = await sendMark();
    const shown = { ...fencePlace, healthyOnly: 'false' };
    await until(`write ${mark} to show in Nacos`, async () => {
      const { hosts } = JSON.parse(await call('GET', '/instance/list', shown));
      return hosts.some((host: RawEntry) => Number(host.metadata['mark']) >= mark) ? true : undefined;
    });
  }

  /** One at a time, since an earlier one that came after a later one would hide it; the next one is for all who ask meanwhile. */
  function sendMark(): Promise<number> {
    if (next !== undefined) return next;
    const send = async () => {
      next = undefined;
      const mark = ++fences;
      const entry = {
        ip: '10.255.255.1',
        port: '1',
        ephemeral: 'false',
        metadata: JSON.stringify({ mark: String(mark) }),
      };
      await call('POST', '/instance', { ...fencePlace, ...entry });
      return mark;
    };
    next = sending.then(send, send);
    sending = next;
    return next;
  }

  return {
    call,
    ask,
    put,
    settle,
    viewOf,
    /** Every entry of the group. */
    async entries(): Promise<readonly RawEntry[]> {
      await settle();
      return view();
    },
    view,
    /** Of a persistent entry; succeeds when it is gone already. */
    remove: async (entry: RawEntry): Promise<void> => void (await call('DELETE', '/instance', placed(entry))),
    removeAll: (entries: readonly RawEntry[]): Promise<void> =>
      inLanes(entries, PARALLEL, async (entry) => void (await call('DELETE', '/instance', placed(entry)))),
    /** A service whose entries the server does not check. */
    async prepare(service: string): Promise<void> {
      await ask('POST', '/service', { ...named(service), protectThreshold: '0' });
      await call('PUT', '/cluster', {
        serviceName: `${group}@@${service}`,
        clusterName: 'DEFAULT',
        checkPort: '80',
        useInstancePort4Check: 'true',
        healthChecker: '{"type":"NONE"}',
      });
    },
    /** What checks the entries of a service in a Nacos cluster, and below which share of healthy ones all are handed out. */
    async service(
      service: string,
      cluster = 'DEFAULT',
    ): Promise<{ readonly checker: string; readonly protectThreshold: number }> {
      await settle();
      const { service: own, clusters } = JSON.parse(await call('GET', '/catalog/service', named(service)));
      const { healthChecker } = clusters.find(({ name }: { name: string }) => name === cluster) ?? {};
      return { checker: healthChecker?.type, protectThreshold: own.protectThreshold };
    },
    close: () => agent.destroy(),
  };
}

const sortKey = ({ service, ip, port, metadata }: RawEntry): string =>
  `${service} ${ip} ${port} ${JSON.stringify(metadata)}`;
