import type { ServiceInfo } from './answer.ts';
import type { NacosHost } from './host.ts';
import type { HttpCall } from './http-wire.ts';

/** The naming calls of one version of the HTTP API. */
export interface HttpApi {
  /** Every service of the namespace and group. */
  names(operation: string, signal: AbortSignal): Promise<readonly string[]>;
  /** One name is enough. */
  probe(operation: string, signal: AbortSignal): Promise<void>;
  read(operation: string, service: string, signal: AbortSignal): Promise<ServiceInfo>;
  /** Creates the service when it is missing. */
  create(service: string, signal: AbortSignal): Promise<void>;
  /** Switches the server's own health checks of our Nacos cluster off. */
  uncheck(service: string, signal: AbortSignal): Promise<void>;
  /** Sets our protectThreshold on a service that exists. */
  protect(service: string, signal: AbortSignal): Promise<void>;
  put(service: string, host: NacosHost, signal: AbortSignal): Promise<void>;
  remove(service: string, host: NacosHost, signal: AbortSignal): Promise<void>;
  /** Of the persistent entry there, switched off or not; undefined where there is none. */
  metadataAt(
    operation: string,
    service: string,
    place: Place,
    signal: AbortSignal,
  ): Promise<NacosHost['metadata'] | undefined>;
}

export type Place = Pick<NacosHost, 'ip' | 'port' | 'clusterName'>;

/**
 * One call with the token of the account. `read` throws for an answer that is not Nacos', and gives undefined for a failure, which is then thrown
 * as a RegistryError.
 */
export type Ask = <T>(
  call: HttpCall,
  read: (status: number, body: string) => Taken<T>,
  signal: AbortSignal,
) => Promise<T>;

type Taken<T> = { readonly value: T } | undefined;

export interface ApiOptions {
  readonly ask: Ask;
  /** What its writes belong to. */
  readonly operation: string;
  readonly namespace: string;
  readonly group: string;
  readonly cluster: string;
  readonly protectThreshold: number;
}

export const PAGE = 1_000;

export const UNCHECKED = { checkPort: '80', useInstancePort4Check: 'true', healthChecker: '{"type":"NONE"}' };

export const placeParams = ({ ip, port, clusterName }: Place) => ({
  ip,
  port: String(port),
  clusterName,
  ephemeral: 'false',
});

export const entryParams = (host: NacosHost) => ({
  ...placeParams(host),
  weight: String(host.weight),
  healthy: String(host.healthy),
  enabled: String(host.enabled),
  metadata: JSON.stringify(host.metadata),
});

export const saysThatItExists = (status: number, body: string): boolean => status === 400 && /already exist/.test(body);
