// What Consul shows, and when: blocking queries, so that nothing is missed between two looks.
import type { Consul } from '../servers/consul.ts';

/** A service entry as `/v1/catalog/node/:node` gives it. */
export type Entry = {
  readonly Node: string;
  readonly Service: {
    readonly ID: string;
    readonly Service: string;
    readonly Address: string;
    readonly Port: number;
    readonly Tags: readonly string[];
    readonly Meta: Readonly<Record<string, string>>;
    readonly Weights: unknown;
  };
};

/** Times (of `performance.now`) at which the catalog of services was seen to have changed. */
export function watchCatalog(consul: Consul): { readonly changes: readonly number[]; stop(): Promise<void> } {
  const changes: number[] = [];
  // Nothing passes the filter: only the moment counts, and the answer stays small.
  const path = `/v1/catalog/services?filter=${encodeURIComponent('ServiceName == ""')}`;
  const { stop } = follow(consul, path, (_, at, first) => {
    if (!first) changes.push(at);
  });
  return { changes, stop };
}

/** Calls back with the ids of the services that have a critical check, at each change. */
export function watchCritical(consul: Consul, onChange: (ids: ReadonlySet<string>, at: number) => void) {
  return follow(consul, '/v1/health/state/critical', (body, at) => {
    onChange(new Set(body.map(({ ServiceID }: { ServiceID: string }) => ServiceID)), at);
  });
}

/** Every service entry but Consul's own. */
export async function readEntries(consul: Consul): Promise<readonly Entry[]> {
  const { body: nodes } = await consul.request('GET', '/v1/catalog/nodes?node-meta=managed-by:roster');
  const entries: Entry[] = [];
  for (const { Node } of nodes) {
    const { body } = await consul.request('GET', `/v1/catalog/node/${Node}`);
    for (const Service of Object.values<Entry['Service']>(body.Services)) entries.push({ Node, Service });
  }
  return entries;
}

// biome-ignore lint/suspicious/noExplicitAny: Consul's answer.
function follow(consul: Consul, path: string, onAnswer: (body: any, at: number, first: boolean) => void) {
  const ending = new AbortController();
  const ended = (async () => {
    const join = path.includes('?') ? '&' : '?';
    for (let index = '0'; ; ) {
      const url = `${consul.address}${path}${join}index=${index}&wait=300s`;
      const response = await fetch(url, { signal: ending.signal });
      const at = performance.now();
      const first = index === '0';
      index = response.headers.get('x-consul-index') ?? '0';
      onAnswer(await response.json(), at, first);
    }
  })().catch((error: unknown) => {
    if (!ending.signal.aborted) throw error;
  });
  return {
    async stop(): Promise<void> {
      ending.abort();
      await ended;
    },
  };
}
