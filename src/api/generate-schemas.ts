import type { Kind, KindSchemas, SchemaNode } from './schema-node.ts';

const DROPPED = new Set(['title', 'description', 'format', 'x-kubernetes-map-type', 'x-kubernetes-list-map-keys']);

/**
 * The schema as JSON Schema: no text, set lists as uniqueItems, int-or-string as the two types, and no field but those
 * of the schema (an API server prunes or refuses others by a rule of its own, outside the schema).
 */
function runtimeSchema(node: SchemaNode): SchemaNode {
  const { properties, items, additionalProperties, 'x-kubernetes-list-type': listType, ...rest } = node;
  const plain = Object.fromEntries(Object.entries(rest).filter(([keyword]) => !DROPPED.has(keyword)));
  return {
    ...plain,
    ...(node['x-kubernetes-int-or-string'] ? { type: ['integer', 'string'] } : {}),
    ...(properties ? { properties: mapValues(properties, runtimeSchema), additionalProperties: false } : {}),
    ...(items ? { items: runtimeSchema(items) } : {}),
    ...(additionalProperties ? { additionalProperties: runtimeSchema(additionalProperties) } : {}),
    ...(listType === 'set' ? { uniqueItems: true } : {}),
  };
}

export function schemasSource(kinds: Readonly<Record<Kind, KindSchemas>>): string {
  const schemas = mapValues(kinds, ({ spec, status }) => ({
    spec: runtimeSchema(spec),
    status: runtimeSchema(withoutDefault(status)),
  }));
  return [
    "import type { Kind, KindSchemas } from './schema-node.ts';",
    '',
    `export const schemas: Readonly<Record<Kind, KindSchemas>> = ${JSON.stringify(schemas, null, 1)};`,
    '',
  ].join('\n');
}

/** A default is for a field that is absent; at the root there is no object to put it into, and ajv refuses it. */
function withoutDefault({ default: _default, ...schema }: SchemaNode): SchemaNode {
  return schema;
}

function mapValues<V, W>(record: Readonly<Record<string, V>>, f: (value: V) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]));
}
