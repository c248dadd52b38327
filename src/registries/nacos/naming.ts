import { RegistryError } from '../error.ts';
import { readPage, readServiceInfo, type ServiceInfo } from './answer.ts';
import type { Line } from './grpc-line.ts';
import { listServices, persist, queryService, type Space } from './grpc-requests.ts';
import type { NacosHost } from './host.ts';
import type { NacosHttp } from './http.ts';
import { allPages } from './pages.ts';

/** Nacos' services and their persistent entries, whichever protocol carries them. */
export interface Naming {
  /** Every service of the namespace and group. */
  names(operation: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Resolves when the server answers to our credentials. */
  probe(operation: string, signal: AbortSignal): Promise<void>;
  /** As consumers get it; no hosts for a service that does not exist. */
  read(operation: string, service: string, signal: AbortSignal): Promise<ServiceInfo>;
  /** Before the first entry of a service. */
  prepare(service: string, signal: AbortSignal): Promise<void>;
  /** After the first leased entry of a service, which creates it. */
  protect(service: string, signal: AbortSignal): Promise<void>;
  put(service: string, host: NacosHost, signal: AbortSignal): Promise<void>;
  remove(service: string, host: NacosHost, signal: AbortSignal): Promise<void>;
}

const GRPC_PAGE = 20_000;

export function grpcNaming(line: Line, http: NacosHttp, space: Space): Naming {
  const call = async <T>(
    request: Parameters<Line['call']>[0],
    read: (answer: Awaited<ReturnType<Line['call']>>) => T,
    signal: AbortSignal,
  ) => {
    const answer = await line.call(request, signal);
    try {
      return read(answer);
    } catch (cause) {
      throw new RegistryError('protocol', `${request.operation}: the server answered something that Nacos does not`, {
        cause,
      });
    }
  };

  const write = async (service: string, host: NacosHost, stands: boolean, signal: AbortSignal) => {
    if (takesPersistent(await http.version(signal))) await line.call(persist(space, service, host, stands), signal);
    else if (stands) await http.putPersistent(service, host, signal);
    else await http.removePersistent(service, host, signal);
  };

  return {
    names: (operation, signal) =>
      allPages(
        (page, size) =>
          call(
            listServices(space, operation, page, size),
            ({ serviceNames, count }) => readPage(serviceNames, count),
            signal,
          ),
        GRPC_PAGE,
      ),
    probe: (operation, signal) => call(listServices(space, operation, 1, 1), () => undefined, signal),
    read: (operation, service, signal) => call(queryService(space, operation, service), readServiceInfo, signal),
    prepare: (service, signal) => http.prepareService(service, signal),
    protect: (service, signal) => http.protectService(service, signal),
    put: (service, host, signal) => write(service, host, true, signal),
    remove: (service, host, signal) => write(service, host, false, signal),
  };
}

export const httpNaming = (http: NacosHttp): Naming => ({
  names: (operation, signal) => http.serviceNames(operation, signal),
  probe: (operation, signal) => http.probe(operation, signal),
  read: (operation, service, signal) => http.read(operation, service, signal),
  prepare: (service, signal) => http.prepareService(service, signal),
  protect: (service, signal) => http.protectService(service, signal),
  put: (service, host, signal) => http.putPersistent(service, host, signal),
  remove: (service, host, signal) => http.removePersistent(service, host, signal),
});

/** Over gRPC from 2.3 on; before it such a request has no handler. */
function takesPersistent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || (major === 2 && minor >= 3);
}
