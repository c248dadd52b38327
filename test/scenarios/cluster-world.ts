// A real control plane and the operator as a process, with a registry of any type. Many scenarios are played there at once.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { eventually, throughout } from '../e2e/eventually.ts';
import type { Json, Kube, Target } from '../e2e/kube.ts';
import type { BareStage } from '../e2e/stage.ts';
import { makesRegistry, renamed } from './names.ts';
import { play, type World } from './play.ts';
import { completed, isRegistry, type RegistrySpec, rulesOf, sharedRegistry } from './registries.ts';
import type { Scenario } from './scenario-file.ts';
import { testWrongExpectations } from './wrong-expectations.ts';

/** Longer than the operator takes on a machine that is four times slower: it writes one status at most once in five seconds. */
const STEP_MS = 120_000;
/** As long as the operator would take to act on a step that it should not act on. */
const KEEP_MS = 1_000;

export interface PlayedRegistry {
  readonly name: string;
  readonly spec: RegistrySpec;
  /** The truth: entries of the operator that stand there. `registries` are the objects that lead there, `name` or `namespace/name`. */
  peek(registries: readonly string[]): Promise<readonly Instance[]>;
}

/** Plays every scenario with every registry, all at once, but those that make registries of their own after the others. */
export async function testOnCluster(
  stage: BareStage,
  scenarios: readonly Scenario[],
  registries: readonly PlayedRegistry[],
): Promise<void> {
  const objects = await watchObjects(stage.kube);
  const opened = await Promise.all(registries.map((registry) => openRegistry(stage, objects, registry)));
  const withEach = (title: string, tests: (registry: Opened) => void) =>
    describe(title, { concurrency: true }, () => {
      for (const registry of opened) describe(`with ${registry.name}`, { concurrency: true }, () => tests(registry));
    });
  const playAll = ({ rules, named, open }: Opened, chosen: readonly Scenario[]) => {
    for (const scenario of chosen.map(named)) test(scenario.title, () => play(scenario, open(scenario), rules));
  };
  const [own, sharing] = [scenarios.filter(makesRegistry), scenarios.filter((one) => !makesRegistry(one))];
  withEach('scenarios with one registry', (registry) => {
    playAll(registry, sharing);
    testWrongExpectations(scenarios.map(registry.named), registry.rules, registry.open);
  });
  // Last: registry objects that lead to one server read each other's entries, and take those of a registration that is gone for their own.
  withEach('scenarios with registries of their own', (registry) => playAll(registry, own));
}

type Opened = Awaited<ReturnType<typeof openRegistry>>;

async function openRegistry({ kube }: BareStage, objects: Objects, { name, spec, peek }: PlayedRegistry) {
  const shared = name.toLowerCase();
  let played = 0;
  await kube.apply(sharedRegistry(shared, spec));
  return {
    name,
    rules: await rulesOf(spec),
    named: (scenario: Scenario) => renamed(scenario, `${shared}-${++played}`, shared),
    open: (scenario: Scenario) => openWorld(kube, objects, spec, () => peek([shared, ...madeIn(scenario)])),
  };
}

const madeIn = ({ steps }: Scenario): readonly string[] =>
  steps
    .flatMap(({ apply }) => apply.filter(({ kind }) => isRegistry(kind)))
    .map(({ metadata: { name, namespace } }) => (namespace === undefined ? name : `${namespace}/${name}`));

interface Objects {
  get(target: Target): Json | undefined;
}

/** The objects of the kinds that report, as a watch shows them: looking costs nothing. */
async function watchObjects(kube: Kube): Promise<Objects> {
  const ending = new AbortController();
  after(() => ending.abort());
  const objects = new Map<string, Json>();
  const kinds = ['ServiceRegistration', 'ClusterServiceRegistration', 'Registry', 'ClusterRegistry'] as const;
  const take = (type: string, { kind, ...object }: Json) => {
    const key = keyOf({ kind, ...object.metadata });
    if (type === 'DELETED') objects.delete(key);
    else objects.set(key, object);
  };
  await Promise.all(kinds.map((kind) => kube.watch(kind, take, ending.signal)));
  return { get: (target) => objects.get(keyOf(target)) };
}

const keyOf = ({ kind, namespace = '', name }: Target): string => `${kind} ${namespace}/${name}`;

function openWorld(kube: Kube, objects: Objects, spec: RegistrySpec, peek: () => Promise<readonly Instance[]>): World {
  /** What the server answered to the last change of each object. */
  const written = new Map<string, Json>();
  const note = (target: Target, answer: Json) => void written.set(keyOf(target), answer.metadata);
  return {
    async apply(manifest) {
      note({ kind: manifest.kind, ...manifest.metadata }, await kube.apply(completed(manifest, spec)));
    },
    patch: async (target, change) => note(target, await kube.patch(target, change)),
    remove: (target) => kube.remove(target),
    async standing(namespaces) {
      const entries = await peek();
      return entries.filter(({ marks }) => namespaces.has(marks.owner.split('/')[0] ?? ''));
    },
    async object(target) {
      const seen = objects.get(target);
      const { uid, generation } = written.get(keyOf(target)) ?? {};
      const isOld =
        seen !== undefined && uid !== undefined && (seen.metadata.uid !== uid || seen.metadata.generation < generation);
      assert.ok(!isOld, `the watch has not shown ${keyOf(target)} as it was written`);
      return seen;
    },
    reaches: (awaited, check, withinMs = STEP_MS) => eventually(awaited, check, withinMs),
    keeps: (check) => throughout(KEEP_MS, check),
  };
}
