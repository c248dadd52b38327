import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bodyParser } from '../../src/api/body.ts';
import { parseRosterObject } from '../../src/api/parse.ts';
import type { Kind, KindSchemas, SchemaNode } from '../../src/api/schema-node.ts';
import { schemas } from '../../src/api/schemas.generated.ts';
import { acceptedSamples, isExpected, type Manifest, rejectedSamples } from './samples.ts';

const kinds: readonly Kind[] = ['ServiceRegistration', 'ClusterServiceRegistration', 'Registry', 'ClusterRegistry'];

describe('samples, read without an API server', () => {
  for (const manifest of acceptedSamples()) {
    it(`accepts the ${manifest.kind} ${manifest.metadata.name}`, () => {
      const parsed = parseRosterObject(manifest, { unknownFields: 'reject' });
      assert.deepEqual(parsed.ok ? [] : parsed.errors, []);
    });
  }

  for (const { manifest, expected } of rejectedSamples()) {
    it(`rejects the ${manifest.kind} ${manifest.metadata.name}, for that alone`, () => {
      const parsed = parseRosterObject(manifest, { unknownFields: 'reject' });
      assert.ok(!parsed.ok, 'was accepted');
      assert.equal(parsed.errors.length, 1, JSON.stringify(parsed.errors));
      assert.ok(isExpected(parsed.errors[0]!, expected), JSON.stringify(parsed.errors[0]));
      assert.equal(parsed.metadata?.name, manifest.metadata.name);
    });
  }
});

describe('every rule of the CRDs', () => {
  for (const kind of kinds) {
    const rejected = rejectedSamples()
      .map(({ manifest }) => manifest)
      .filter((manifest) => manifest.kind === kind);

    it(`${kind}: no rejected sample is accepted while all rules are there`, () => {
      assert.deepEqual(acceptedBy(kind, schemas[kind], rejected), []);
    });

    for (const { at, rule } of rulesIn(schemas[kind].spec, 'spec')) {
      // A rule on a change has no sample of one object: see crds.test.ts.
      if (rule.includes('oldSelf')) continue;
      it(`${kind}: without ${rule} at ${at} some rejected sample is accepted`, () => {
        assert.notDeepEqual(acceptedBy(kind, withoutRule(schemas[kind], at, rule), rejected), []);
      });
    }
  }
});

function acceptedBy(kind: Kind, kindSchemas: KindSchemas, manifests: readonly Manifest[]): readonly string[] {
  const parse = bodyParser(kind, kindSchemas);
  return manifests.filter((manifest) => parse(manifest, {}).ok).map(({ metadata }) => metadata.name);
}

interface RuleAt {
  readonly at: string;
  readonly rule: string;
}

function rulesIn(schema: SchemaNode, at: string): readonly RuleAt[] {
  const here = (schema['x-kubernetes-validations'] ?? []).map(({ rule }) => ({ at, rule }));
  return [...here, ...children(schema).flatMap(([name, child]) => rulesIn(child, `${at}.${name}`))];
}

function children(schema: SchemaNode): readonly (readonly [string, SchemaNode])[] {
  return [
    ...Object.entries(schema.properties ?? {}),
    ...(schema.items ? [['items', schema.items] as const] : []),
    ...(schema.additionalProperties ? [['additionalProperties', schema.additionalProperties] as const] : []),
  ];
}

function withoutRule(kindSchemas: KindSchemas, at: string, rule: string): KindSchemas {
  const copy = structuredClone(kindSchemas);
  const node = at
    .split('.')
    .slice(1)
    .reduce((schema, step) => new Map(children(schema)).get(step)!, copy.spec);
  const rules = node['x-kubernetes-validations'] ?? [];
  return Object.assign(copy, {
    spec: replaced(copy.spec, node, {
      ...node,
      'x-kubernetes-validations': rules.filter((other) => other.rule !== rule),
    }),
  });
}

function replaced(schema: SchemaNode, old: SchemaNode, by: SchemaNode): SchemaNode {
  if (schema === old) return by;
  return {
    ...schema,
    ...(schema.items ? { items: replaced(schema.items, old, by) } : {}),
    ...(schema.additionalProperties ? { additionalProperties: replaced(schema.additionalProperties, old, by) } : {}),
    ...(schema.properties
      ? {
          properties: Object.fromEntries(
            Object.entries(schema.properties).map(([name, child]) => [name, replaced(child, old, by)]),
          ),
        }
      : {}),
  };
}
