import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readScenario } from './scenario-file.ts';

const GOOD = `
scenario: a Service stands
steps:
  - step: it is registered
    apply:
      - apiVersion: v1
        kind: Namespace
        metadata: { name: shop }
      - apiVersion: v1
        kind: Service
        metadata: { name: web, namespace: shop }
        spec: { clusterIP: None, ports: [{ port: 80 }] }
      - apiVersion: roster.dev/v1alpha1
        kind: ServiceRegistration
        metadata: { name: web, namespace: shop }
        spec: { registryRef: { name: registry }, serviceRef: { name: web } }
    entries:
      shop/web:
        - { name: web, address: 10.1.0.1, port: 8080 }
  - step: it is deleted
    delete: [Service shop/web]
    entries: unchanged
    statuses:
      ServiceRegistration shop/web:
        conditions: { Ready: False ServiceNotFound, Stalled: absent }
`;

const STEP_1 = 'step 1 \\(it is registered\\)';
const STEP_2 = 'step 2 \\(it is deleted\\)';

/** What stands there instead of what, and the error after the name of the file. */
const MISTAKES: readonly (readonly [string, string | RegExp, string, RegExp])[] = [
  ['no YAML', 'steps:', 'steps', /Implicit keys|Nested mappings|Missing/],
  ['a field of the scenario', 'scenario:', 'scenary:', /scenario: is required\n.*scenary: is no field/],
  ['a field of a step', 'delete:', 'remove:', new RegExp(`${STEP_2}: remove: is no field`)],
  [
    'a kind that Roster does not read',
    'kind: Namespace',
    'kind: Pod',
    new RegExp(`${STEP_1}: apply\\[0\\]\\.kind: must be one of`),
  ],
  [
    'no namespace',
    'name: web, namespace: shop }\n        spec: { clusterIP',
    'name: web }\n        spec: { clusterIP',
    new RegExp(`${STEP_1}: apply\\[1\\]\\.metadata\\.namespace: is required`),
  ],
  [
    'a selector of a Service',
    'clusterIP: None',
    'selector: { app: web }',
    new RegExp(`${STEP_1}: apply\\[1\\]\\.spec\\.selector: would have`),
  ],
  [
    'a field of a registration',
    'serviceRef',
    'service',
    new RegExp(`${STEP_1}: apply\\[2\\]\\.spec\\.service: is no field`),
  ],
  ['an entry without a Service', 'shop/web:\n        -', 'web:\n        -', new RegExp(`${STEP_1}: entries`)],
  [
    'an entry without a port',
    ', port: 8080',
    '',
    new RegExp(`${STEP_1}: entries\\[shop/web\\]\\[0\\]\\.port: is required`),
  ],
  [
    'a port that is none',
    '8080',
    'http',
    new RegExp(`${STEP_1}: entries\\[shop/web\\]\\[0\\]\\.port: must be of type integer`),
  ],
  [
    'a field of an entry',
    'port: 8080',
    'port: 8080, state: up',
    new RegExp(`${STEP_1}: entries\\[shop/web\\]\\[0\\]\\.state: is no field`),
  ],
  ['entries in other words', 'unchanged', 'as before', new RegExp(`${STEP_2}: entries: must be one of unchanged`)],
  [
    'nothing to be unchanged',
    /entries:\n.*\n.*8080 }/,
    'entries: unchanged',
    new RegExp(`${STEP_1}: entries: cannot be unchanged`),
  ],
  ['a target of no kind', '[Service shop/web]', '[shop/web]', new RegExp(`${STEP_2}: delete\\[0\\]: must match`)],
  [
    'a condition without a reason',
    'False ServiceNotFound',
    'False',
    new RegExp(`${STEP_2}: statuses.*Ready: must be of type string`),
  ],
  [
    'a status of what has none',
    'ServiceRegistration shop/web:\n',
    'Service shop/web:\n',
    new RegExp(`${STEP_2}: statuses`),
  ],
  [
    'automatic mirroring of every namespace',
    /kind: ServiceRegistration\n.*\n.*/,
    'kind: ClusterServiceRegistration\n        metadata: { name: all }\n        spec: { registryRef: { name: registry }, namespaceSelector: {} }',
    new RegExp(`${STEP_1}: apply\\[2\\]\\.spec\\.namespaceSelector: must ask for kubernetes.io/metadata.name`),
  ],
];

test('the example in CONTRIBUTING.md is a scenario', async () => {
  const text = await readFile(join(import.meta.dirname, '..', '..', 'CONTRIBUTING.md'), 'utf8');
  const [, example] = /```yaml\n(scenario:[^`]*)```/.exec(text) ?? assert.fail('there is no example');
  assert.equal(readScenario('CONTRIBUTING.md', example ?? '').steps.length, 2);
});

describe('a mistake in a scenario is told with its file, step and field', () => {
  test('and without one it is read', () => {
    const [first, second] = readScenario('good.yaml', GOOD).steps;
    assert.equal(first?.entries[0]?.registration, 'ServiceRegistration/shop/web');
    assert.deepEqual(second?.entries, first?.entries);
    assert.deepEqual(second?.statuses[0]?.conditions, { Ready: 'False ServiceNotFound', Stalled: undefined });
  });
  for (const [what, part, instead, told] of MISTAKES) {
    test(what, () => {
      const text = GOOD.replace(part, instead);
      assert.notEqual(text, GOOD);
      assert.throws(
        () => readScenario('bad.yaml', text),
        (error: Error) => {
          assert.match(error.message, /^bad\.yaml: /);
          assert.match(error.message, told);
          return true;
        },
      );
    });
  }
});
