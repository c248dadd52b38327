// What a registry holds, asked by its own API as any consumer would: nothing here knows Roster's code.
import { setTimeout as delay } from 'node:timers/promises';

export type Entry = { readonly service: string; readonly endpoint: string; readonly healthy: boolean };

export type RegistryView = {
  /** `Consul 1.22.3` */
  readonly title: string;
  /** The request that shows an entry, for who wants to try it. */
  readonly request: string;
  /** Everything that stands there, by service and endpoint. */
  entries(): Promise<readonly Entry[]>;
  /** Calls `onState` with the entries of one service now and at each change, until the signal aborts. */
  follow(service: string, onState: (entries: readonly Entry[]) => void, signal: AbortSignal): Promise<void>;
};

/** Blocking queries: Consul answers the moment that something of the service changes. */
export async function consulView(address: string): Promise<RegistryView> {
  const { body: agent } = await getJson(`${address}/v1/agent/self`);
  const instances = async (service: string, index: string, signal?: AbortSignal) => {
    const url = `${address}/v1/health/service/${service}?index=${index}&wait=60s`;
    const { body, headers } = await getJson(url, signal);
    return { entries: body.map(consulEntry) as readonly Entry[], index: headers.get('x-consul-index') ?? '0' };
  };
  return {
    title: `Consul ${agent.Config.Version}`,
    request: `${address}/v1/health/service/web`,
    async entries() {
      const { body: services } = await getJson(`${address}/v1/catalog/services`);
      const names = Object.keys(services).filter((name) => name !== 'consul');
      return (await Promise.all(names.map((name) => instances(name, '0')))).flatMap(({ entries }) => sorted(entries));
    },
    async follow(service, onState, signal) {
      for (let index = '0'; !signal.aborted; ) {
        const state = await instances(service, index, signal);
        onState(state.entries);
        index = state.index;
      }
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: Consul's answer.
function consulEntry({ Service, Checks }: any): Entry {
  return {
    service: Service.Service,
    endpoint: `${Service.Address}:${Service.Port}`,
    healthy: Checks.every((check: { Status: string }) => check.Status === 'passing'),
  };
}

/** The Memory registry has no way to wait for a change: it is asked every 5 ms. */
export function memoryView(operatorUrl: string, registry: string): RegistryView {
  const request = `${operatorUrl}/registries/${registry}`;
  const entries = async (signal?: AbortSignal): Promise<readonly Entry[]> => {
    const { body } = await getJson(request, signal);
    return sorted(body.instances.map(memoryEntry));
  };
  return {
    title: 'the embedded Memory registry',
    request,
    entries,
    async follow(service, onState, signal) {
      for (; !signal.aborted; await delay(5)) onState((await entries(signal)).filter((one) => one.service === service));
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: the operator's answer.
const memoryEntry = ({ service, address, port, health }: any): Entry => ({
  service,
  endpoint: `${address}:${port}`,
  healthy: health === 'healthy',
});

const sorted = (entries: readonly Entry[]): readonly Entry[] =>
  entries.toSorted((a, b) => (a.service + a.endpoint < b.service + b.endpoint ? -1 : 1));

async function getJson(url: string, signal: AbortSignal | null = null) {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  // biome-ignore lint/suspicious/noExplicitAny: parsed JSON.
  return { body: (await response.json()) as any, headers: response.headers };
}
