/** A running reflector of Services, for tests: what it keeps, and what it told. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeObject, Service } from '../../src/api/core.ts';
import { systemClock } from '../../src/clock.ts';
import { openKubeClient } from '../../src/kubernetes/client.ts';
import type { Log } from '../../src/kubernetes/log.ts';
import { type Delta, type ReflectorTuning, reflect } from '../../src/kubernetes/reflector.ts';
import { type Resource, services } from '../../src/kubernetes/resources.ts';
import { createStore, type Store } from '../../src/kubernetes/store.ts';
import { recordingClient } from './recording-client.ts';

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function recordingLog(): Log & { readonly lines: readonly Line[] } {
  const lines: Line[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

export interface Reflection<T extends KubeObject> {
  readonly client: ReturnType<typeof recordingClient>;
  readonly store: Store<T>;
  /** `+name` new, `~name` changed, `-name` deleted, in order. */
  readonly deltas: readonly string[];
  readonly log: ReturnType<typeof recordingLog>;
  stop(): Promise<void>;
}

const FAST: ReflectorTuning = { confirmMs: 200, backoffMs: [5, 40], stallMs: 60_000 };

export async function reflection<T extends KubeObject>(
  kubeconfig: string,
  resource: Resource<T>,
  tuning: ReflectorTuning & { readonly namespace?: string; readonly onDelta?: (delta: Delta<T>) => void } = {},
): Promise<Reflection<T>> {
  const { onDelta, ...rest } = tuning;
  const client = recordingClient(await openKubeClient({ kubeconfig }));
  const { reader, writer } = createStore<T>();
  const stopping = new AbortController();
  const deltas: string[] = [];
  const log = recordingLog();
  const running = reflect({
    client,
    resource,
    writer,
    onDelta(delta) {
      const { name } = delta.object.metadata;
      deltas.push(delta.type === 'deleted' ? `-${name}` : delta.previous === undefined ? `+${name}` : `~${name}`);
      onDelta?.(delta);
    },
    clock: systemClock,
    random: () => randomBytes(1).readUInt8() / 256,
    log,
    signal: stopping.signal,
    ...FAST,
    ...rest,
  });
  return {
    client,
    store: reader,
    deltas,
    log,
    async stop() {
      stopping.abort();
      await running;
      await client.close();
    },
  };
}

export const serviceReflection = (kubeconfig: string, tuning: Parameters<typeof reflection<Service>>[2] = {}) =>
  reflection(kubeconfig, services, tuning);

/** Waits for a condition; the deadline is for a defect, not part of what is tested. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 20_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await sleep(5);
  }
}

export const names = (store: Store<KubeObject>): readonly string[] =>
  [...store.all()].map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`).sort();
