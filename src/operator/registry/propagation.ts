import type { ObjectKey } from '../../api/core.ts';
import type { Clock } from '../../clock.ts';

export type LagSource = 'trigger-annotation' | 'watch';

export interface PropagationOptions {
  readonly clock: Clock;
  /** Milliseconds since the epoch: the annotation of the endpoints controller is wall-clock time of another machine. */
  readonly wallNow: () => number;
  observe(registry: string, source: LagSource, lagMs: number): void;
}

/** How long a change of the cluster takes until the registry has acknowledged it. */
export interface Propagation {
  /** A watch event asks for a look at the Service. `triggeredAt`: RFC 3339, `endpoints.kubernetes.io/last-change-trigger-time`. */
  noted(registry: string, owner: ObjectKey, triggeredAt: string | undefined): void;
  /** What was noted before was for another replica to do. */
  forget(registry: string): void;
  /** Take at the start of a reconcile; the returned function is called when its changes are acknowledged. */
  begin(registry: string, owner: ObjectKey): () => void;
}

export function createPropagation({ clock, wallNow, observe }: PropagationOptions): Propagation {
  const waiting = new Map<string, { readonly at: number; readonly triggeredAt: number | undefined }>();
  return {
    noted(registry, owner, triggeredAt) {
      const key = `${registry}|${owner}`;
      if (waiting.has(key)) return;
      const time = triggeredAt === undefined ? Number.NaN : Date.parse(triggeredAt);
      waiting.set(key, { at: clock.now(), triggeredAt: Number.isNaN(time) ? undefined : time });
    },
    forget(registry) {
      for (const key of waiting.keys()) if (key.startsWith(`${registry}|`)) waiting.delete(key);
    },
    begin(registry, owner) {
      const key = `${registry}|${owner}`;
      const first = waiting.get(key);
      waiting.delete(key);
      return () => {
        if (first === undefined) return;
        observe(registry, 'watch', clock.now() - first.at);
        if (first.triggeredAt !== undefined)
          observe(registry, 'trigger-annotation', Math.max(0, wallNow() - first.triggeredAt));
      };
    },
  };
}
