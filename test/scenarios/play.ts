import type { Instance } from '../../src/mirror/instance.ts';
import type { Json, Target } from '../e2e/kube.ts';
import { assertExpected, type Expected, expectations, type Rules } from './expectation.ts';
import type { Scenario, Step } from './scenario-file.ts';
import type { Manifest } from './schema.ts';

/** Where a scenario is played: a cluster, Roster and one registry, as real as the depth has them. */
export interface World {
  apply(manifest: Manifest): Promise<void>;
  patch(target: Target, change: object): Promise<void>;
  remove(target: Target): Promise<void>;
  /** Everything of ours in the registry for Services of these namespaces. */
  standing(namespaces: ReadonlySet<string>): Promise<readonly Instance[]>;
  /** As it is after all that was done to it here; undefined when there is none. */
  object(target: Target): Promise<Json | undefined>;
  /** Resolves when the check holds; rejects with what was awaited and its last error when it does not in time. */
  reaches(awaited: string, check: () => Promise<void>, withinMs?: number): Promise<void>;
  /** Resolves when the check has held for a while. */
  keeps(check: () => Promise<void>): Promise<void>;
}

/** Plays a scenario to its end. Rejects at the first step that does not come to what it says. */
export async function play(scenario: Scenario, world: World, rules: Rules): Promise<void> {
  const expected = expectations(scenario.steps, rules);
  for (const [index, step] of scenario.steps.entries()) {
    const after = expected[index];
    if (after === undefined) throw new Error(`${scenario.file}: ${step.title} has no expectation`);
    await playStep(scenario, step, after, world);
  }
}

async function playStep(scenario: Scenario, step: Step, expected: Expected, world: World): Promise<void> {
  const look = lookAt(scenario, step, expected, world);
  const before = await look().then(
    () => true,
    () => false,
  );
  const act = async (what: string, { kind, name }: Pick<Target, 'kind' | 'name'>, done: Promise<void>) => {
    await done.catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${scenario.file}: ${step.title}: ${what} of ${kind} ${name}: ${why}`, { cause });
    });
  };
  for (const manifest of step.apply)
    await act('apply', { kind: manifest.kind, name: manifest.metadata.name }, world.apply(manifest));
  for (const { target, with: change } of step.patch) await act('patch', target, world.patch(target, change));
  for (const target of step.remove) await act('delete', target, world.remove(target));
  await world.reaches(`${scenario.file}: ${step.title}`, look);
  // It held before anybody could have acted on the step, so one look shows nothing.
  if (before) await world.keeps(look);
}

/** One look at all that a step comes to. */
export function lookAt(scenario: Scenario, step: Step, expected: Expected, world: World): () => Promise<void> {
  const namespaces = namespacesOf(scenario);
  return async () => {
    const objects = new Map<Target, Json | undefined>();
    for (const { target } of expected.statuses) objects.set(target, await world.object(target));
    assertExpected(expected, await world.standing(namespaces), objects);
    for (const target of step.remove) {
      if (REPORTING.has(target.kind) && (await world.object(target)) !== undefined)
        throw new Error(`${target.kind} ${target.name} is still there`);
    }
  };
}

const REPORTING: ReadonlySet<string> = new Set(['ServiceRegistration', 'ClusterServiceRegistration']);

const namespacesOf = ({ steps }: Scenario): ReadonlySet<string> =>
  new Set(steps.flatMap(({ apply }) => apply.flatMap(({ metadata: { namespace } }) => namespace ?? [])));
