import { type Fields, parseFields, readMetadata, readPage, readServiceInfo } from './answer.ts';
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

/** Of Nacos 2.x, whose paths say v1. */
export function apiOf2({ ask, operation: writing, namespace, group, cluster, protectThreshold }: ApiOptions): HttpApi {
  const space = { namespaceId: namespace, groupName: group };

  const get = <T>(
    { operation, path, params }: Pick<HttpCall, 'operation' | 'path' | 'params'>,
    read: (fields: Fields) => T,
    signal: AbortSignal,
  ): Promise<T> =>
    ask(
      { operation, writes: false, method: 'GET', path, params },
      (status, body) => (status === 200 ? { value: read(parseFields(body)) } : undefined),
      signal,
    );

  const write = (call: Pick<HttpCall, 'method' | 'path' | 'params'>, signal: AbortSignal): Promise<void> =>
    ask({ operation: writing, writes: true, ...call }, isOk, signal);

  const page = (operation: string, signal: AbortSignal) => (pageNo: number, pageSize: number) => {
    const params = { ...space, pageNo: String(pageNo), pageSize: String(pageSize) };
    const names = ({ doms, count }: Fields) => readPage(doms, count);
    return get({ operation, path: '/v1/ns/service/list', params }, names, signal);
  };

  return {
    names: (operation, signal) => allPages(page(operation, signal), PAGE),
    probe: async (operation, signal) => void (await page(operation, signal)(1, 1)),
    read: (operation, service, signal) => {
      const params = { ...space, serviceName: service, healthyOnly: 'false' };
      const info = (fields: Fields) => readServiceInfo({ serviceInfo: fields });
      return get({ operation, path: '/v1/ns/instance/list', params }, info, signal);
    },
    create: (service, signal) =>
      ask(
        {
          operation: writing,
          writes: true,
          method: 'POST',
          path: '/v1/ns/service',
          params: { ...space, serviceName: service, protectThreshold: String(protectThreshold) },
        },
        (status, body) => (saysThatItExists(status, body) ? { value: undefined } : isOk(status, body)),
        signal,
      ),
    uncheck: (service, signal) => {
      // This one knows no groupName.
      const params = {
        namespaceId: namespace,
        serviceName: `${group}@@${service}`,
        clusterName: cluster,
        ...UNCHECKED,
      };
      return write({ method: 'PUT', path: '/v1/ns/cluster', params }, signal);
    },
    protect: (service, signal) => {
      const params = { ...space, serviceName: service, protectThreshold: String(protectThreshold) };
      return write({ method: 'PUT', path: '/v1/ns/service', params }, signal);
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
    metadataAt: (operation, service, place, signal) => {
      const params = { ...space, serviceName: service, ...placeParams(place), cluster: place.clusterName };
      return ask(
        { operation, writes: false, method: 'GET', path: INSTANCE, params },
        (status, body) => {
          if (status >= 400 && IS_MISSING.test(body)) return { value: undefined };
          return status === 200 ? { value: readMetadata(parseFields(body)) } : undefined;
        },
        signal,
      );
    },
  };
}

const INSTANCE = '/v1/ns/instance';

/** `no ips found for cluster …`, `no matched ip found!`, `service not found`: a path that is missing is told by something else. */
const IS_MISSING = /\bno (ips|matched ip) found|\bservice\b.* not found/;

function isOk(status: number, body: string): { readonly value: undefined } | undefined {
  if (status !== 200) return undefined;
  if (body.trim() !== 'ok') throw new TypeError('expected ok');
  return { value: undefined };
}
