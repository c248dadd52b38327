// All that happens in the real cluster, as a watch of an administrator tells it. Any state that was can be shown again, for each run apart.
import type { Clock } from '../../../src/clock.ts';
import type { Kube } from '../../e2e/kube.ts';
import { type Json, keyOf, type Recorded } from '../api-server.ts';

/** What belongs to one run: its operator is shown nothing else, so that many can have one cluster each for themselves. */
export interface Scope {
  /** The only namespace that it sees, besides kube-system, by whose UID a cluster is known. */
  readonly namespace: string;
  /** In the name of whatever of the run is in no namespace. */
  readonly token: string;
}

export interface History {
  readonly events: readonly Recorded[];
  /** What existed when this version was the newest. */
  stateAt(resource: string, version: number): readonly Json[];
  /** As last seen. */
  all(resource: string): readonly Json[];
  /** Resolves with the first event, past or to come, of which this is true. */
  find(isIt: (event: Recorded) => boolean): Promise<Recorded>;
  forget(): void;
}

const KINDS = {
  Namespace: 'namespaces',
  Service: 'services',
  EndpointSlice: 'endpointslices.discovery.k8s.io',
  ServiceRegistration: 'serviceregistrations.roster.dev',
  ClusterServiceRegistration: 'clusterserviceregistrations.roster.dev',
  Registry: 'registries.roster.dev',
  ClusterRegistry: 'clusterregistries.roster.dev',
} as const;

export const WATCHED: ReadonlySet<string> = new Set(Object.values(KINDS));

export function belongsTo({ namespace, token }: Scope, resource: string, { metadata }: Json): boolean {
  if (metadata.namespace !== undefined) return metadata.namespace === namespace;
  if (resource === KINDS.Namespace) return metadata.name === namespace || metadata.name === 'kube-system';
  return metadata.name.includes(token);
}

export const versionOf = ({ metadata }: Json): number => Number(metadata.resourceVersion);

interface Follower {
  readonly scope: Scope;
  readonly events: Recorded[];
  readonly waiting: Set<(event: Recorded) => void>;
}

export async function openRecorder(kube: Kube, clock: Clock) {
  const objects = new Map<string, Json>();
  const followers = new Set<Follower>();
  const ending = new AbortController();

  function record(resource: string, told: string, object: Json): void {
    const key = keyOf(object);
    const before = objects.get(`${resource} ${key}`);
    // A watch that broke begins with all there is.
    if (before !== undefined && versionOf(before) >= versionOf(object)) return;
    if (told === 'DELETED') objects.delete(`${resource} ${key}`);
    else objects.set(`${resource} ${key}`, object);
    const type = told === 'DELETED' ? told : before === undefined ? 'ADDED' : 'MODIFIED';
    const event = { version: versionOf(object), resource, key, type, object, before, at: clock.now(), by: '' } as const;
    for (const follower of followers) {
      if (!belongsTo(follower.scope, resource, object)) continue;
      follower.events.push(event);
      for (const wake of [...follower.waiting]) wake(event);
    }
  }

  for (const [kind, resource] of Object.entries(KINDS)) {
    const told = (type: string, object: Json) => {
      if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') record(resource, type, object);
    };
    await kube.watch(kind as keyof typeof KINDS, told, ending.signal);
  }

  return {
    stop: () => ending.abort(),
    follow(scope: Scope): History {
      const events: Recorded[] = [...objects].flatMap(([place, object]) => {
        const resource = place.slice(0, place.indexOf(' '));
        if (!belongsTo(scope, resource, object)) return [];
        const key = keyOf(object);
        return { version: versionOf(object), resource, key, type: 'ADDED', object, before: undefined, at: 0, by: '' };
      });
      const follower: Follower = { scope, events, waiting: new Set() };
      followers.add(follower);
      const stateAt = (resource: string, version: number): readonly Json[] => {
        const state = new Map<string, Json>();
        for (const event of events) {
          if (event.resource !== resource || event.version > version) continue;
          if (event.type === 'DELETED') state.delete(event.key);
          else state.set(event.key, event.object);
        }
        return [...state.values()];
      };
      return {
        events,
        stateAt,
        all: (resource) => stateAt(resource, Number.POSITIVE_INFINITY),
        find(isIt) {
          const past = events.find(isIt);
          if (past !== undefined) return Promise.resolve(past);
          return new Promise((resolve) => {
            const wake = (event: Recorded) => {
              if (!isIt(event)) return;
              follower.waiting.delete(wake);
              resolve(event);
            };
            follower.waiting.add(wake);
          });
        },
        forget: () => void followers.delete(follower),
      };
    },
  };
}

export type Recorder = Awaited<ReturnType<typeof openRecorder>>;
