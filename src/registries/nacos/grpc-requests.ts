import type { LinkCall } from './grpc-link.ts';
import type { NacosHost } from './host.ts';

/** Requests of Nacos' naming module, as its gRPC takes them. */

export interface Space {
  readonly namespace: string;
  readonly group: string;
}

type Call = Omit<LinkCall, 'token'>;

const named = ({ namespace, group }: Space, service: string) => ({
  namespace,
  groupName: group,
  serviceName: service,
  module: 'naming',
});

const asInstance = ({ group }: Space, service: string, host: NacosHost) => ({
  ...host,
  serviceName: `${group}@@${service}`,
});

export const listServices = (
  { namespace, group }: Space,
  operation: string,
  pageNo: number,
  pageSize: number,
): Call => ({
  operation,
  writes: false,
  type: 'ServiceListRequest',
  body: { namespace, groupName: group, pageNo, pageSize, module: 'naming' },
});

export const queryService = (space: Space, operation: string, service: string): Call => ({
  operation,
  writes: false,
  type: 'ServiceQueryRequest',
  body: { ...named(space, service), cluster: '', healthyOnly: false, udpPort: 0 },
});

export const subscribeService = (space: Space, service: string, subscribe: boolean): Call => ({
  operation: 'watch',
  writes: false,
  type: 'SubscribeServiceRequest',
  body: { ...named(space, service), clusters: '', subscribe },
});

/** Puts this in the place of all that the connection publishes under the name. */
export const publishList = (space: Space, service: string, hosts: readonly NacosHost[]): Call => ({
  operation: 'apply',
  writes: true,
  type: 'BatchInstanceRequest',
  body: {
    ...named(space, service),
    type: 'batchRegisterInstance',
    instances: hosts.map((host) => asInstance(space, service, host)),
  },
});

/** Ends what the connection publishes under the name; after an empty list Nacos would never drop the empty service. */
export const withdrawList = (space: Space, service: string, any: NacosHost): Call => ({
  operation: 'apply',
  writes: true,
  type: 'InstanceRequest',
  body: { ...named(space, service), type: 'deregisterInstance', instance: asInstance(space, service, any) },
});

/** From Nacos 2.3 on. */
export const persist = (space: Space, service: string, host: NacosHost, stands: boolean): Call => ({
  operation: 'apply',
  writes: true,
  type: 'PersistentInstanceRequest',
  body: {
    ...named(space, service),
    type: stands ? 'registerInstance' : 'deregisterInstance',
    instance: asInstance(space, service, host),
  },
});
