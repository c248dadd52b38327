// One cluster, many scenarios, each once for every registry: each gets names of its own.
import { isRegistry } from './registries.ts';
import type { Scenario } from './scenario-file.ts';
import type { Manifest } from './schema.ts';

/**
 * The scenario with an ending for every name that is given in it: of objects other than slices, and those asked for in so many words. They are
 * replaced wherever they stand as words of their own, in what is applied and in what is expected alike (`web` in `web-1`, `shop/web`, `{port}-web`), so
 * that nothing but the names differs. `registry` is the registry that all scenarios share, unless the scenario makes one of this name.
 */
export function renamed(scenario: Scenario, ending: string, registry: string): Scenario {
  const own = new Map(namesIn(scenario).map((name) => [name, `${name}-${ending}`]));
  const names = new Map([['registry', registry], ...own]);
  const longestFirst = [...names.keys()].sort((a, b) => b.length - a.length);
  const words = new RegExp(`(?<![A-Za-z0-9])(${longestFirst.join('|')})(?![A-Za-z0-9])`, 'g');
  const rename = (value: unknown): unknown => {
    if (typeof value === 'string') return value.replace(words, (word) => names.get(word) ?? word);
    if (Array.isArray(value)) return value.map(rename);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, rename(inner)]));
  };
  return { ...scenario, steps: rename(scenario.steps) as Scenario['steps'] };
}

function namesIn({ steps }: Scenario): readonly string[] {
  const manifests = steps.flatMap(({ apply }) => apply);
  const changes = steps.flatMap(({ patch }) => patch.map((one) => one.with));
  const given = manifests.filter(({ kind }) => kind !== 'EndpointSlice').map(({ metadata }) => metadata.name);
  return [...new Set([...given, ...[...manifests, ...changes].flatMap(askedIn)])];
}

/** Names to register under that are no templates. */
function askedIn(object: Partial<Manifest>): readonly string[] {
  const { name } = (object['spec'] ?? {}) as { readonly name?: unknown };
  const asked = [name, object.metadata?.annotations?.['roster.dev/name']];
  return asked.filter((one) => typeof one === 'string' && !one.includes('{')) as readonly string[];
}

/** Whether the scenario makes a registry itself. */
export const makesRegistry = ({ steps }: Scenario): boolean =>
  steps.some(({ apply }) => apply.some(({ kind }) => isRegistry(kind)));
