import type { Parsed } from '../api/body.ts';
import type { RegistryConfig } from '../api/kinds.generated.ts';
import { parseRegistrySettings } from '../api/parse.ts';
import type { Problem } from '../api/problem.ts';
import { blockName, type CustomRegistryConfig, customType, knownTypes } from './registry-types.ts';

/**
 * The config of a registry for {@link createRegistry}, with its defaults filled in, or everything that is wrong with it. It is the `spec` of a Registry:
 * `type`, the block of that type, and `timeouts`, `audit` and the other settings where they differ from their defaults. References to Secrets are
 * Kubernetes' matter and an error here.
 */
export function parseRegistryConfig(input: unknown): Parsed<RegistryConfig | CustomRegistryConfig> {
  const references = secretReferences(input, '');
  const parsed = parseAny(input);
  if (references.length === 0) return parsed;
  // What else is wrong with a reference is of no interest to whoever must take it away.
  const others = parsed.ok ? [] : parsed.errors.filter(({ path, message }) => !/SecretRef/.test(path + message));
  return { ok: false, errors: [...references, ...others] };
}

function parseAny(input: unknown): Parsed<RegistryConfig | CustomRegistryConfig> {
  const type = isFields(input) ? input['type'] : undefined;
  if (!isFields(input) || typeof type !== 'string' || customType(type) === undefined) return withTypes(input);
  const block = blockName(type);
  const { [block]: config, ...settings } = input;
  const parsed = parseRegistrySettings({ ...settings, type: 'Memory' });
  return parsed.ok ? { ok: true, value: { ...parsed.value, type, [block]: config } } : parsed;
}

/** The schema knows the built-in types only. */
function withTypes(input: unknown): Parsed<RegistryConfig> {
  const parsed = parseRegistrySettings(input);
  if (parsed.ok) return parsed;
  const known = `must be one of ${knownTypes().join(', ')}`;
  const errors = parsed.errors.map((problem) =>
    problem.path === 'type' && problem.message.startsWith('must be one of') ? { ...problem, message: known } : problem,
  );
  return { ok: false, errors };
}

const ADVICE = 'is for Kubernetes; pass the secret itself, or { file }, in the second argument of createRegistry';

function secretReferences(value: unknown, path: string): readonly Problem[] {
  if (!isFields(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const here = path === '' ? key : `${path}.${key}`;
    return key.endsWith('SecretRef') ? [{ path: here, message: ADVICE }] : secretReferences(child, here);
  });
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
