// How long a change takes, seen from outside: our own watch of the API server, and the registry's own API.
import type { KubeClient } from '../../src/kubernetes/client.ts';
import { watchEvents } from '../servers/kube-watch.ts';
import type { Entry, RegistryView } from './registry-view.ts';

/** What both the EndpointSlices of a Service and its entries in the registry come down to. */
export type State = { readonly ready: number; readonly notReady: number };

export type Timing = {
  /** From the API server's answer to the change until the registry showed its outcome. */
  readonly afterAnswerMs: number;
  /** From the moment that the API server's watch showed the outcome in the EndpointSlices. */
  readonly afterSliceMs: number;
};

export type Stopwatch = {
  /** Makes a change, waits until the registry shows its outcome. */
  time(change: () => Promise<unknown>, outcome: State): Promise<Timing>;
  stop(): void;
};

const PATIENCE_MS = 180_000;

export async function openStopwatch(
  client: KubeClient,
  registry: RegistryView,
  { namespace, service }: { readonly namespace: string; readonly service: string },
): Promise<Stopwatch> {
  const ending = new AbortController();
  const { signal } = ending;
  const seen: { slices: State | undefined; entries: State | undefined } = { slices: undefined, entries: undefined };
  let onSeen = () => {};
  let failure: unknown;
  const fail = (error: unknown) => {
    if (!signal.aborted) failure = error;
    onSeen();
  };

  followSlices(client, namespace, service, signal, (state) => {
    seen.slices = state;
    onSeen();
  }).catch(fail);
  const onEntries = (entries: readonly Entry[]) => {
    seen.entries = count(entries.map(({ healthy }) => healthy));
    onSeen();
  };
  registry.follow(service, onEntries, signal).catch(fail);

  function time(change: () => Promise<unknown>, outcome: State): Promise<Timing> {
    return new Promise((resolve, reject) => {
      let answeredAt: number | undefined;
      let slicesAt: number | undefined;
      let entriesAt: number | undefined;
      const settle = () => {
        clearTimeout(timer);
        onSeen = () => {};
      };
      const look = () => {
        if (failure !== undefined) {
          settle();
          reject(failure);
        }
        const now = performance.now();
        if (same(seen.slices, outcome)) slicesAt ??= now;
        if (same(seen.entries, outcome)) entriesAt ??= now;
        if (answeredAt === undefined || slicesAt === undefined || entriesAt === undefined) return;
        settle();
        resolve({ afterAnswerMs: entriesAt - answeredAt, afterSliceMs: entriesAt - slicesAt });
      };
      const timer = setTimeout(() => {
        const missing = slicesAt === undefined ? 'the EndpointSlices' : 'the registry';
        settle();
        reject(new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${missing} to show the change`));
      }, PATIENCE_MS);
      onSeen = look;
      change().then(
        () => {
          answeredAt = performance.now();
          look();
        },
        (error) => {
          settle();
          reject(error);
        },
      );
    });
  }

  return { time, stop: () => ending.abort() };
}

async function followSlices(
  client: KubeClient,
  namespace: string,
  service: string,
  signal: AbortSignal,
  onState: (state: State) => void,
): Promise<void> {
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
  const slices = new Map<string, readonly boolean[]>();
  for await (const { type, object } of watchEvents(client, path, signal)) {
    if (object.metadata?.labels?.['kubernetes.io/service-name'] !== service) continue;
    if (type === 'DELETED') slices.delete(object.metadata.name);
    else slices.set(object.metadata.name, (object.endpoints ?? []).map(isReady));
    onState(count([...slices.values()].flat()));
  }
}

// `ready` may be left out, and that means true.
const isReady = ({ conditions }: { conditions?: { ready?: boolean } }): boolean => conditions?.ready !== false;

const count = (ready: readonly boolean[]): State => ({
  ready: ready.filter(Boolean).length,
  notReady: ready.filter((one) => !one).length,
});

const same = (a: State | undefined, b: State): boolean => a?.ready === b.ready && a.notReady === b.notReady;
