import { type Fields, readServiceInfo, type ServiceInfo } from './answer.ts';
import { NotNacos } from './grpc-codec.ts';
import type { Line } from './grpc-line.ts';
import { type Space, subscribeService } from './grpc-requests.ts';

/** Services of which the server tells every change, on the connection of one line. */
export interface Subscriptions {
  /** Resolves with the service as the server has it, when it tells of changes; a server that is behind tells of the difference later. */
  begin(service: string, subscriber: Subscriber, signal: AbortSignal): Promise<ServiceInfo>;
  end(service: string, subscriber: Subscriber): void;
  /** What the line received. */
  pushed(push: Fields): void;
  /** The connection is gone, and all subscriptions with it. */
  lost(): void;
}

export interface Subscriber {
  changed(service: string, info: ServiceInfo): void;
  lost(): void;
}

export function createSubscriptions(line: Line, space: Space): Subscriptions {
  const subscribers = new Map<string, Set<Subscriber>>();
  const ending = new Map<string, Promise<void>>();
  const never = new AbortController().signal;

  return {
    async begin(service, subscriber, signal) {
      const all = subscribers.get(service) ?? new Set();
      subscribers.set(service, all.add(subscriber));
      await ending.get(service);
      return readServiceInfo(await line.call(subscribeService(space, service, true), signal));
    },
    end(service, subscriber) {
      const all = subscribers.get(service);
      if (all?.delete(subscriber) !== true || all.size > 0) return;
      subscribers.delete(service);
      const end = line
        .call(subscribeService(space, service, false), never)
        // It is gone with the connection, then.
        .catch(() => {})
        .then(() => void ending.delete(service));
      ending.set(service, end);
    },
    pushed(push) {
      const { serviceInfo, serviceName, groupName } = push;
      if (typeof serviceInfo !== 'object' || serviceInfo === null) throw new NotNacos('expected a service');
      // Older servers name it inside only.
      const inside = new Map<string, unknown>(Object.entries(serviceInfo));
      if ((groupName ?? inside.get('groupName')) !== space.group) return;
      const service = plainName(serviceName ?? inside.get('name'));
      const info = readServiceInfo(push);
      for (const subscriber of [...(subscribers.get(service) ?? [])]) subscriber.changed(service, info);
    },
    lost() {
      const all = new Set([...subscribers.values()].flatMap((some) => [...some]));
      subscribers.clear();
      for (const subscriber of all) subscriber.lost();
    },
  };
}

/** Some versions put `group@@` before it. */
const plainName = (name: unknown): string => String(name).split('@@').at(-1) ?? '';
