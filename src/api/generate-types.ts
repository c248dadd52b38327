import { isDeepStrictEqual } from 'node:util';
import { compile } from 'json-schema-to-typescript';
import type { Kind, KindSchemas, SchemaNode } from './schema-node.ts';

type Definitions = Map<string, SchemaNode>;

/** TypeScript for all kinds. The types describe an object after defaulting: a field with a default is never absent. */
export async function typesSource(kinds: Readonly<Record<Kind, KindSchemas>>): Promise<string> {
  const definitions: Definitions = new Map();
  const sreg = lifted(kinds.ServiceRegistration.spec, definitions);
  const csreg = lifted(kinds.ClusterServiceRegistration.spec, definitions);
  const reg = lifted(kinds.Registry.spec, definitions);
  const creg = lifted(kinds.ClusterRegistry.spec, definitions);
  for (const { status } of Object.values(kinds)) reference(status, definitions);

  const registration = common(sreg, csreg);
  const registry = common(reg, creg);
  const types = registry.properties?.['type']?.enum ?? [];
  const settings = without(registry, ['type', ...types.map(blockName)]);

  const parts = [
    "import type { ObjectMeta } from './core.ts';",
    ...(await Promise.all([...definitions].sort(byName).map(([name, node]) => interfaceSource(name, node)))),
    await interfaceSource('RegistrationSpec', registration),
    await interfaceSource('ServiceRegistrationSpec', without(sreg, names(registration)), 'RegistrationSpec'),
    await interfaceSource('ClusterServiceRegistrationSpec', without(csreg, names(registration)), 'RegistrationSpec'),
    await interfaceSource('RegistrySettings', settings),
    registryConfigSource(types, registry),
    'export type RegistrySpec = RegistryConfig;',
    await interfaceSource('RegistryAdmission', without(creg, names(registry))),
    'export type ClusterRegistrySpec = RegistryConfig & RegistryAdmission;',
    objectSource('ServiceRegistration', 'Registration', true),
    objectSource('ClusterServiceRegistration', 'Registration', false),
    objectSource('Registry', 'Registry', true),
    objectSource('ClusterRegistry', 'Registry', false),
    'export type Registration = ServiceRegistration | ClusterServiceRegistration;',
    'export type RegistryObject = Registry | ClusterRegistry;',
    'export type RosterObject = Registration | RegistryObject;',
  ];
  return `${parts.map((part) => part.trim()).join('\n\n')}\n`;
}

/** `{type: 'Consul', consul: {…}}` and so on. A block with a required field is required; Memory has none and may do without. */
function registryConfigSource(types: readonly string[], registry: SchemaNode): string {
  const alternatives = types.map((type) => {
    const block = registry.properties?.[blockName(type)];
    return `  | { readonly type: '${type}'; readonly ${blockName(type)}${type === 'Memory' ? '?' : ''}: ${block?.['tsType']} }`;
  });
  return [
    '/** A registry and how to write to it; `type` says which block is there. */',
    `export type RegistryConfig = RegistrySettings &\n  (\n${alternatives.map((line) => `  ${line}`).join('\n')}\n  );`,
  ].join('\n');
}

const blockName = (type: string): string => type.toLowerCase();

function objectSource(kind: Kind, status: 'Registration' | 'Registry', namespaced: boolean): string {
  return [
    `export interface ${kind} {`,
    "  readonly apiVersion: 'roster.dev/v1alpha1';",
    `  readonly kind: '${kind}';`,
    `  readonly metadata: ObjectMeta${namespaced ? ' & { readonly namespace: string }' : ''};`,
    `  readonly spec: ${kind}Spec;`,
    `  readonly status?: ${status}Status;`,
    '}',
  ].join('\n');
}

/** A schema that has a title becomes a definition of that name; where it stood, the name stays. */
function reference(node: SchemaNode, definitions: Definitions): SchemaNode {
  if (node.title === undefined) return lifted(node, definitions);
  const definition = lifted(node, definitions);
  const known = definitions.get(node.title);
  if (known !== undefined && !isDeepStrictEqual(shape(known), shape(definition))) {
    throw new Error(
      `crds/: two schemas have the title ${node.title} but not the same fields: make them equal or rename one`,
    );
  }
  if (known === undefined) definitions.set(node.title, definition);
  return { ...described(node), ...('default' in node ? { default: node.default } : {}), tsType: node.title };
}

function lifted(node: SchemaNode, definitions: Definitions): SchemaNode {
  const doc = described(node);
  const dflt = 'default' in node ? { default: node.default } : {};
  if (node['x-kubernetes-int-or-string']) return { ...doc, anyOf: [{ type: 'integer' }, { type: 'string' }] };
  if (node.items) return { ...doc, ...dflt, type: 'array', items: reference(node.items, definitions) };
  if (node.additionalProperties) {
    return { ...doc, ...dflt, type: 'object', additionalProperties: reference(node.additionalProperties, definitions) };
  }
  if (!node.properties)
    return { ...doc, ...dflt, ...(node.type ? { type: node.type } : {}), ...(node.enum ? { enum: node.enum } : {}) };
  const properties = Object.fromEntries(
    Object.entries(node.properties).map(([name, child]) => [name, reference(child, definitions)]),
  );
  const defaulted = Object.entries(properties).flatMap(([name, child]) => ('default' in child ? [name] : []));
  return {
    ...dflt,
    type: 'object',
    properties,
    required: [...new Set([...(node.required ?? []), ...defaulted])].sort(),
    additionalProperties: false,
  };
}

const described = (node: SchemaNode): SchemaNode =>
  node.description === undefined ? {} : { description: node.description };

/** What is left of a schema when texts and defaults are taken away: the part that a type shows. */
function shape(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(shape);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).flatMap(([key, value]) =>
      key === 'description' || key === 'default' ? [] : [[key, shape(value)]],
    ),
  );
}

/** The fields that both have in the same shape. */
function common(a: SchemaNode, b: SchemaNode): SchemaNode {
  const shared = names(a).filter(
    (name) =>
      isDeepStrictEqual(shape(a.properties?.[name]), shape(b.properties?.[name])) &&
      a.required?.includes(name) === b.required?.includes(name),
  );
  return without(
    a,
    names(a).filter((name) => !shared.includes(name)),
  );
}

function without(node: SchemaNode, dropped: readonly string[]): SchemaNode {
  return {
    ...node,
    properties: Object.fromEntries(Object.entries(node.properties ?? {}).filter(([name]) => !dropped.includes(name))),
    required: (node.required ?? []).filter((name) => !dropped.includes(name)),
  };
}

const names = (node: SchemaNode): string[] => Object.keys(node.properties ?? {});

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

async function interfaceSource(name: string, node: SchemaNode, base?: string): Promise<string> {
  const source = await compile(JSON.parse(JSON.stringify(node)), name, {
    bannerComment: '',
    additionalProperties: false,
    ignoreMinAndMaxItems: true,
    style: { printWidth: 200, singleQuote: true },
  });
  return withReadonly(base ? source.replace(`interface ${name} {`, `interface ${name} extends ${base} {`) : source);
}

/** json-schema-to-typescript has no option for readonly, nor for comments on one line. */
function withReadonly(source: string): string {
  const terse = source.replace(/\n +\*\n +\* Items: .*/g, '').replace(/\/\*\*\n +\* (.*)\n +\*\//g, '/** $1 */');
  return terse.replace(/^( +)(\w+\??|\[k: string\]): (.*)$/gm, (_line, indent: string, field: string, type: string) => {
    const readonlyType = type.replace(/^(.*)\[\];$/, 'readonly $1[];');
    return `${indent}readonly ${field}: ${readonlyType}`;
  });
}
