import type { Problem } from './problem.ts';
import { ruleFor } from './rules.ts';
import type { SchemaNode } from './schema-node.ts';

/**
 * The rules (`x-kubernetes-validations`) that a value breaks, everywhere in it.
 * The value has passed the structural part of the schema, defaults are filled in.
 */
export function brokenRules(schema: SchemaNode, value: unknown, path: string): readonly Problem[] {
  const here = (schema['x-kubernetes-validations'] ?? []).flatMap(({ rule, message }) =>
    ruleFor(rule)?.(value) === false ? [{ path, message }] : [],
  );
  return [...here, ...below(schema, value, path)];
}

function below(schema: SchemaNode, value: unknown, path: string): readonly Problem[] {
  const { items, properties, additionalProperties } = schema;
  if (Array.isArray(value)) {
    return items ? value.flatMap((item, index) => brokenRules(items, item, `${path}[${index}]`)) : [];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const known = properties?.[key];
    if (known) return brokenRules(known, child, `${path}.${key}`);
    return additionalProperties ? brokenRules(additionalProperties, child, `${path}[${key}]`) : [];
  });
}
