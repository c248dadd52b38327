import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Consul } from '../servers/consul.ts';
import { eventually } from './eventually.ts';
import type { Json, Target } from './kube.ts';
import { clusterRegistry, type Manifest, namespace } from './objects.ts';
import { brief, concerns, type Entry, entriesInConsul, entriesOfSnapshot } from './registry-truth.ts';
import { freshId, type Stage } from './stage.ts';

export const REGISTRY_TYPES = ['Memory', 'Consul'] as const;
export type RegistryType = (typeof REGISTRY_TYPES)[number];

/** The same tests for every type of registry, all at once: each has a scenario of its own. */
export function withEachType(tests: (type: RegistryType) => void): void {
  describe('with each type of registry', { concurrency: true }, () => {
    for (const type of REGISTRY_TYPES) describe(`with ${type}`, { concurrency: true }, () => tests(type));
  });
}

export type Written = Readonly<Record<'register' | 'update' | 'deregister', number>>;

/** A namespace and a ClusterRegistry of its own on a stage that many tests share. */
export interface Scenario {
  readonly stage: Stage;
  readonly type: RegistryType;
  /** Part of every name here, for names that are not in the namespace. */
  readonly id: string;
  readonly namespace: string;
  /** Name of the ClusterRegistry. */
  readonly registry: string;
  apply(...manifests: readonly Manifest[]): Promise<void>;
  /** Of the namespace, unless the target names another. */
  get(kind: Target['kind'], name: string): Promise<Json | undefined>;
  patch(kind: Target['kind'], name: string, patch: object, subresource?: 'status'): Promise<Json>;
  remove(kind: Target['kind'], name: string): Promise<void>;
  /** What stands in the registry for Services of the namespace, or under a name with `id` in it. */
  entries(): Promise<readonly Entry[]>;
  /** Waits until exactly these stand in the registry, as `passing web 10.0.0.1:8080`, in any order. */
  stands(expected: readonly string[], timeoutMs?: number): Promise<void>;
  /** Waits for conditions, as `True Synced`, or `undefined` where there must be none, and for fields of the status; gives the status. */
  says(
    kind: Target['kind'],
    name: string,
    conditions: Readonly<Record<string, string | undefined>>,
    fields?: Readonly<Record<string, unknown>>,
  ): Promise<Json>;
  /** How many changes of each kind the registry acknowledged so far, of Services in namespaces with `id` in their names. */
  written(): Promise<Written>;
  /** Asserts that there were so many; what stands may be seen a moment before its acknowledgement is logged. */
  wrote(expected: Partial<Written>): Promise<void>;
}

export const specOf = (type: RegistryType, consul: Consul, extra: object = {}): object =>
  type === 'Memory' ? { type, ...extra } : { type, consul: { address: consul.address }, ...extra };

export interface ScenarioOptions {
  /** Further fields of the ClusterRegistry's spec. */
  readonly registrySpec?: object;
  /** Instead of the stage's own, which others must not find stopped. */
  readonly consul?: Consul;
}

export async function openScenario(
  stage: Stage,
  type: RegistryType,
  { registrySpec = {}, consul = stage.consul }: ScenarioOptions = {},
): Promise<Scenario> {
  const id = freshId();
  const ns = `ns-${id}`;
  const registry = `${type.toLowerCase()}-${id}`;
  const { cluster, kube, operator } = stage;
  await cluster.apply([namespace(ns), clusterRegistry(registry, specOf(type, consul, registrySpec))]);

  const at = (kind: Target['kind'], name: string): Target =>
    kind.startsWith('Cluster') || kind === 'Namespace' ? { kind, name } : { kind, name, namespace: ns };

  async function entries(): Promise<readonly Entry[]> {
    if (type === 'Consul') return entriesInConsul(consul, id);
    const { status, text } = await operator.get(`/registries/${registry}`);
    assert.equal(status, 200, text);
    return entriesOfSnapshot(text).filter((entry) => concerns(entry, id));
  }

  async function written(): Promise<Written> {
    const counts = { register: 0, update: 0, deregister: 0 };
    for (const { action, error, namespace: of } of await operator.changes(registry)) {
      // What a registration leaves behind whose own registry is gone, as in other tests, is for every registry of that server to remove.
      if (error === undefined && of.includes(id)) counts[action as keyof Written]++;
    }
    return counts;
  }

  return {
    stage,
    type,
    id,
    namespace: ns,
    registry,
    entries,
    async apply(...manifests) {
      await cluster.apply(manifests);
    },
    get: (kind, name) => kube.get(at(kind, name)),
    patch: (kind, name, patch, subresource) => kube.patch(at(kind, name), patch, subresource),
    remove: (kind, name) => kube.remove(at(kind, name)),
    async stands(expected, timeoutMs) {
      await eventually(
        `the ${type} registry holds these entries`,
        async () => assert.deepEqual((await entries()).map(brief).sort(), [...expected].sort()),
        timeoutMs,
      );
    },
    async says(kind, name, conditions, fields = {}) {
      return eventually(`${kind} ${name} says this`, async () => {
        const object = await kube.get(at(kind, name));
        const said = Object.keys(conditions).map((type) => [type, conditionOf(object, type)]);
        const shown = Object.fromEntries(Object.keys(fields).map((field) => [field, object?.status?.[field]]));
        assert.deepEqual({ ...Object.fromEntries(said), ...shown }, { ...conditions, ...fields });
        assert.equal(object.status.observedGeneration, object.metadata.generation);
        return object.status;
      });
    },
    written,
    async wrote(expected) {
      const check = async () => {
        const counts = await written();
        assert.deepEqual(counts, { ...counts, ...expected });
      };
      await eventually('the registry acknowledged so many changes', check);
    },
  };
}

/** `True Synced`, or undefined when the object has no such condition. */
export function conditionOf(object: Json | undefined, type: string): string | undefined {
  const found = object?.status?.conditions?.find((condition: Json) => condition.type === type);
  return found === undefined ? undefined : `${found.status} ${found.reason}`;
}
