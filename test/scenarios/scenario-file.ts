// Scenarios as they stand in test/scenarios/*.yaml. CONTRIBUTING.md says how to write one.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ErrorObject } from 'ajv';
import { parse } from 'yaml';
import { parseRosterObject } from '../../src/api/parse.ts';
import { schemaProblem } from '../../src/api/problem.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import type { Target } from '../e2e/kube.ts';
import {
  type Content,
  contentSchema,
  type Manifest,
  type WrittenEntry,
  type WrittenStatus,
  type WrittenStep,
} from './schema.ts';

export interface Scenario {
  readonly file: string;
  readonly title: string;
  readonly steps: readonly Step[];
}

export interface Step {
  /** `step 2 (…)`, for whoever looks for it. */
  readonly title: string;
  readonly apply: readonly Manifest[];
  /** Merge patches. */
  readonly patch: readonly { readonly target: Target; readonly with: object }[];
  readonly remove: readonly Target[];
  /** All that must stand for the Services of the scenario's namespaces, in no registry's words. */
  readonly entries: readonly ExpectedEntry[];
  readonly statuses: readonly ExpectedStatus[];
}

export type ExpectedEntry = Omit<Instance, 'id' | 'marks'> &
  Pick<Instance['marks'], 'owner' | 'registration' | 'retained'>;

/** What is not named may be anything. */
export interface ExpectedStatus extends Omit<WrittenStatus, 'conditions'> {
  readonly target: Target;
  /** `True Synced`, or undefined where there must be none. */
  readonly conditions: Readonly<Record<string, string | undefined>>;
}

/** Every scenario of the folder. Throws an error that names the file, the step and the field of each mistake. */
export function readScenarios(folder: string): readonly Scenario[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  if (files.length === 0) throw new Error(`${folder} has no scenarios`);
  return files.sort().map((file) => readScenario(file, readFileSync(join(folder, file), 'utf8')));
}

export function readScenario(file: string, text: string): Scenario {
  const content = yamlOf(file, text);
  if (!isContent(content))
    throw mistakes(
      file,
      (isContent.errors ?? []).map((error) => placed(content, error)),
    );
  const found: string[] = [];
  const steps: Step[] = [];
  for (const [index, written] of content.steps.entries()) {
    const title = stepTitle(index, written.step);
    const note = (field: string, message: string) => found.push(`${title}: ${field}: ${message}`);
    steps.push(stepOf(title, written, steps.at(-1), note));
  }
  if (found.length > 0) throw mistakes(file, found);
  return { file, title: content.scenario, steps };
}

function yamlOf(file: string, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw mistakes(file, [error instanceof Error ? error.message : String(error)]);
  }
}

const isContent = new Ajv({ allErrors: true }).compile<Content>(contentSchema);

const mistakes = (file: string, found: readonly string[]) =>
  new Error(found.map((one) => `${file}: ${one}`).join('\n'));

const stepTitle = (index: number, told: string): string => `step ${index + 1} (${told})`;

/** With the step that it is in, as people count and call it. */
function placed(content: unknown, error: ErrorObject): string {
  const [, index, rest = ''] = /^\/steps\/(\d+)(.*)$/.exec(error.instancePath) ?? [];
  const { path, message } = schemaProblem('', {
    ...error,
    instancePath: index === undefined ? error.instancePath : rest,
  });
  const field = `${path.replace(/^\./, '') || 'all of it'}: ${message}`;
  if (index === undefined) return field;
  const steps = (content as { readonly steps: readonly { readonly step?: unknown }[] }).steps;
  return `${stepTitle(Number(index), String(steps[Number(index)]?.step))}: ${field}`;
}

type Note = (field: string, message: string) => void;

function stepOf(title: string, written: WrittenStep, previous: Step | undefined, note: Note): Step {
  const { apply = [], patch = [], delete: removed = [], entries, statuses = {} } = written;
  if (entries === 'unchanged' && previous === undefined) note('entries', 'cannot be unchanged in the first step');
  for (const [index, manifest] of apply.entries()) check(`apply[${index}]`, manifest, note);
  return {
    title,
    apply,
    patch: patch.map(({ target, with: change }) => ({ target: targetOf(target), with: change })),
    remove: removed.map(targetOf),
    entries: entries === 'unchanged' ? (previous?.entries ?? []) : Object.entries(entries).flatMap(entriesOf),
    statuses: Object.entries(statuses).map(([target, status]) => statusOf(targetOf(target), status)),
  };
}

function targetOf(text: string): Target {
  const [kind = '', place = ''] = text.split(' ');
  const [name = '', namespace] = place.split('/').reverse();
  return { kind: kind as Target['kind'], name, ...(namespace === undefined ? {} : { namespace }) };
}

const entriesOf = ([owner, entries]: readonly [string, readonly WrittenEntry[]]): readonly ExpectedEntry[] =>
  entries.map(({ by = `ServiceRegistration/${owner}`, name, tags = [], ...rest }) => ({
    owner,
    registration: by,
    retained: false,
    service: name,
    health: 'healthy',
    liveness: 'persistent',
    weight: 100,
    tags: tags.toSorted(),
    metadata: {},
    ...rest,
  }));

function statusOf(target: Target, { conditions, ...rest }: WrittenStatus): ExpectedStatus {
  const wanted = Object.entries(conditions).map(
    ([type, told]) => [type, told === 'absent' ? undefined : told] as const,
  );
  return { target, conditions: Object.fromEntries(wanted), ...rest };
}

function check(field: string, manifest: Manifest, note: Note): void {
  const { kind, metadata } = manifest;
  if (!isClusterScoped(kind) && metadata.namespace === undefined) note(`${field}.metadata.namespace`, 'is required');
  const { selector } = (manifest['spec'] ?? {}) as { readonly selector?: unknown };
  if (kind === 'Service' && selector !== undefined)
    note(`${field}.spec.selector`, 'would have the endpoint controller take over the slices of the scenario');
  if (kind === 'ClusterServiceRegistration' && !JSON.stringify(manifest['spec'] ?? {}).includes(NAMESPACE_NAME))
    note(
      `${field}.spec.namespaceSelector`,
      `must ask for ${NAMESPACE_NAME}, since other scenarios have namespaces in the same cluster`,
    );
  // Of the others the type of the registry is not known here.
  if (kind !== 'ServiceRegistration' && kind !== 'ClusterServiceRegistration') return;
  const parsed = parseRosterObject(manifest, { unknownFields: 'reject' });
  if (!parsed.ok) for (const { path, message } of parsed.errors) note(`${field}.${path}`, message);
}

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

const isClusterScoped = (kind: string): boolean => kind === 'Namespace' || kind.startsWith('Cluster');
