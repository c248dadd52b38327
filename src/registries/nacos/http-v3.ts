import { type Fields, parseFields, readClusters, readHosts, readServicePage } from './answer.ts';
import type { NacosHost } from './host.ts';
import {
  type ApiOptions,
  entryParams,
  type HttpApi,
  PAGE,
  placeParams,
  saysThatItExists,
  UNCHECKED,
} from './http-api.ts';
import type { HttpCall } from './http-wire.ts';
import { allPages } from './pages.ts';

/** Of Nacos 3.x: what clients may do, and for the rest what administrators may. */
export function apiOf3({ ask, operation: writing, namespace, group, cluster, protectThreshold }: ApiOptions): HttpApi {
  const space = { namespaceId: namespace, groupName: group };

  const get = <T>(
    { operation, path, params }: Pick<HttpCall, 'operation' | 'path' | 'params'>,
    read: (data: unknown) => T,
    signal: AbortSignal,
  ): Promise<T | undefined> =>
    ask(
      { operation, writes: false, method: 'GET', path, params },
      (status, body) => {
        if (status === 404 && hasCode(body)) return { value: undefined };
        return status === 200 ? { value: read(dataIn(body)) } : undefined;
      },
      signal,
    );

  const write = (call: Pick<HttpCall, 'method' | 'path' | 'params'>, signal: AbortSignal): Promise<void> =>
    ask({ operation: writing, writes: true, ...call }, isDone, signal);

  const page = (operation: string, signal: AbortSignal) => async (pageNo: number, pageSize: number) => {
    // The group is a pattern there: others' services come too.
    const params = {
      namespaceId: namespace,
      groupNameParam: group,
      pageNo: String(pageNo),
      pageSize: String(pageSize),
    };
    const found = await get({ operation, path: `${SERVICE}/list`, params }, readServicePage, signal);
    return found ?? { names: [], count: 0 };
  };

  /** Those that are switched off too. */
  async function hostsOf(operation: string, service: string, signal: AbortSignal): Promise<readonly NacosHost[]> {
    const params = { ...space, serviceName: service };
    const clusters = await get({ operation, path: SERVICE, params }, readClusters, signal);
    const hosts: NacosHost[] = [];
    for (const clusterName of clusters ?? []) {
      const call = { operation, path: '/v3/admin/ns/instance/list', params: { ...params, clusterName } };
      hosts.push(...((await get(call, readHosts, signal)) ?? []));
    }
    return hosts;
  }

  return {
    async names(operation, signal) {
      const all = await allPages(page(operation, signal), PAGE);
      return all.filter((name) => name.startsWith(`${group}@@`)).map((name) => name.slice(group.length + 2));
    },
    probe: async (operation, signal) => void (await page(operation, signal)(1, 1)),
    async read(operation, service, signal) {
      const hosts = await hostsOf(operation, service, signal);
      // Consumers do not get the others, and a threshold changes nothing in what administrators see.
      return { hosts: hosts.filter(({ enabled }) => enabled), shielded: false };
    },
    create: (service, signal) =>
      ask(
        {
          operation: writing,
          writes: true,
          method: 'POST',
          path: SERVICE,
          params: { ...space, serviceName: service, protectThreshold: String(protectThreshold), ephemeral: 'false' },
        },
        (status, body) => (saysThatItExists(status, body) ? { value: undefined } : isDone(status, body)),
        signal,
      ),
    uncheck: (service, signal) => {
      const params = { ...space, serviceName: service, clusterName: cluster, ...UNCHECKED };
      return write({ method: 'PUT', path: '/v3/admin/ns/cluster', params }, signal);
    },
    protect: (service, signal) => {
      const params = { ...space, serviceName: service, protectThreshold: String(protectThreshold) };
      return write({ method: 'PUT', path: SERVICE, params }, signal);
    },
    put: (service, host, signal) =>
      write(
        { method: 'POST', path: INSTANCE, params: { ...space, serviceName: service, ...entryParams(host) } },
        signal,
      ),
    remove: (service, host, signal) =>
      write(
        { method: 'DELETE', path: INSTANCE, params: { ...space, serviceName: service, ...placeParams(host) } },
        signal,
      ),
    async metadataAt(operation, service, { ip, port }, signal) {
      const hosts = await hostsOf(operation, service, signal);
      return hosts.find((host) => host.ip === ip && host.port === port)?.metadata;
    },
  };
}

const SERVICE = '/v3/admin/ns/service';
const INSTANCE = '/v3/client/ns/instance';

/** Every answer is wrapped, failures as well. */
function dataIn(body: string): unknown {
  const { code, data }: Fields = parseFields(body);
  if (code !== 0) throw new TypeError('expected code 0');
  return data;
}

function isDone(status: number, body: string): { readonly value: undefined } | undefined {
  if (status !== 200) return undefined;
  dataIn(body);
  return { value: undefined };
}

/** A missing service; a missing path is told by something else. */
function hasCode(body: string): boolean {
  try {
    return typeof parseFields(body)['code'] === 'number';
  } catch {
    return false;
  }
}
