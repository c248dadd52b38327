import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Kind, SchemaNode } from '../../src/api/schema-node.ts';
import { schemas } from '../../src/api/schemas.generated.ts';

/** What one of the two alone must say, because of its scope. */
const SCOPE_RULES = [/^!?has\(self\.namespace\)$/, /^self\.kind == 'ClusterRegistry'$/];

describe('the namespaced and the cluster-scoped kind', () => {
  const pairs: readonly [Kind, Kind, readonly string[]][] = [
    // An empty selector is the default where all Services are meant anyway.
    ['ServiceRegistration', 'ClusterServiceRegistration', ['serviceRef', 'selector', 'namespaceSelector']],
    // The operator's own files are not for the owner of a namespace.
    ['Registry', 'ClusterRegistry', ['allowedNamespaces', 'credentialsDirectory']],
  ];
  for (const [namespaced, cluster, different] of pairs) {
    it(`say the same: ${namespaced} and ${cluster}`, () => {
      const [one, other] = [schemas[namespaced], schemas[cluster]];
      assert.deepEqual(fields(one.spec, different), fields(other.spec, different));
      assert.deepEqual(one.status, other.status);
    });
  }
});

function fields(spec: SchemaNode, different: readonly string[]): unknown {
  return Object.fromEntries(
    Object.entries(spec.properties ?? {}).flatMap(([name, node]) =>
      different.includes(name) ? [] : [[name, withoutScope(node)]],
    ),
  );
}

function withoutScope(node: unknown): unknown {
  if (Array.isArray(node)) return node.filter((item) => !isScopeRule(item)).map(withoutScope);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withoutScope(value)]));
}

const isScopeRule = (item: unknown): boolean =>
  typeof item === 'object' &&
  item !== null &&
  'rule' in item &&
  SCOPE_RULES.some((pattern) => pattern.test(String(item.rule)));
