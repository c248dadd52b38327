import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type {
  AllowedNamespaces,
  LabelSelector,
  LabelSelectorRequirement,
  Registration,
} from '../../src/api/kinds.generated.ts';
import { admits, byPrecedence, covers, referencedRegistry, registryId, selects } from '../../src/mirror/selection.ts';
import { registrationId } from '../../src/mirror/view.ts';
import { clusterRegistration, clusterRegistry, namespace, registration, registry, service } from './objects.ts';

describe('a label selector', () => {
  const one = (operator: LabelSelectorRequirement['operator'], key: string, ...values: string[]): LabelSelector => ({
    matchExpressions: [{ key, operator, ...(values.length > 0 ? { values } : {}) }],
  });
  const labels = { app: 'web', tier: '', toString: 'x' };
  const table: readonly [name: string, selector: LabelSelector | undefined, selected: boolean][] = [
    ['none', undefined, true],
    ['an empty one', {}, true],
    ['empty parts', { matchLabels: {}, matchExpressions: [] }, true],
    ['an equal label', { matchLabels: { app: 'web' } }, true],
    ['an equal label with an empty value', { matchLabels: { tier: '' } }, true],
    ['another value', { matchLabels: { app: 'api' } }, false],
    ['a label that is not there', { matchLabels: { app: 'web', zone: 'a' } }, false],
    ['In', one('In', 'app', 'api', 'web'), true],
    ['In without it', one('In', 'app', 'api'), false],
    ['In of a missing label', one('In', 'zone', 'a'), false],
    ['NotIn', one('NotIn', 'app', 'api'), true],
    ['NotIn with it', one('NotIn', 'app', 'web'), false],
    ['NotIn of a missing label', one('NotIn', 'zone', 'a'), true],
    ['Exists', one('Exists', 'tier'), true],
    ['Exists of a missing label', one('Exists', 'zone'), false],
    ['DoesNotExist', one('DoesNotExist', 'zone'), true],
    ['DoesNotExist of one that is there', one('DoesNotExist', 'app'), false],
    ['both parts', { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, true],
    [
      'both parts, one not met',
      { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] },
      false,
    ],
    ['Exists of a key that objects have by birth', one('Exists', 'constructor'), false],
    ['DoesNotExist of a key that objects have by birth', one('DoesNotExist', 'valueOf'), true],
    ['an own label of such a key', { matchLabels: { toString: 'x' } }, true],
  ];
  for (const [name, selector, selected] of table) {
    it(`${selected ? 'takes' : 'leaves'}: ${name}`, () => assert.equal(selects(selector, labels), selected));
  }

  it('takes less, never more, with each further requirement', () => {
    const key = fc.constantFrom('app', 'tier', 'zone');
    const value = fc.constantFrom('', 'a', 'b');
    const requirement: fc.Arbitrary<LabelSelectorRequirement> = fc.record({
      key,
      operator: fc.constantFrom('In' as const, 'NotIn' as const, 'Exists' as const, 'DoesNotExist' as const),
      values: fc.array(value, { minLength: 1, maxLength: 2 }),
    });
    fc.assert(
      fc.property(
        fc.array(requirement, { maxLength: 3 }),
        requirement,
        fc.dictionary(key, value),
        (few, more, given) => {
          const [less, all] = [
            selects({ matchExpressions: [...few, more] }, given),
            selects({ matchExpressions: few }, given),
          ];
          assert.equal(less, all && selects({ matchExpressions: [more] }, given));
        },
      ),
    );
  });

  it('takes with In exactly what it leaves with NotIn, and so with Exists and DoesNotExist', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('app', 'zone'),
        fc.array(fc.constantFrom('a', 'b')),
        fc.dictionary(fc.constantFrom('app', 'zone'), fc.constantFrom('a', 'b', 'c')),
        (key, values, given) => {
          assert.notEqual(selects(one('In', key, ...values), given), selects(one('NotIn', key, ...values), given));
          assert.notEqual(selects(one('Exists', key), given), selects(one('DoesNotExist', key), given));
        },
      ),
    );
  });
});

describe('a registration covers a Service', () => {
  const reserved = new Set(['kube-system', 'roster-system']);
  const web = service('shop/web', { meta: { labels: { app: 'web' } } });
  const shop = namespace('shop', { team: 'shop' });
  const system = namespace('kube-system', { team: 'shop' });
  const dns = service('kube-system/dns');
  const by = (operator: 'In' | 'NotIn' | 'Exists', ...values: string[]): LabelSelector => ({
    matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator, ...(values.length > 0 ? { values } : {}) }],
  });
  const table: readonly [
    name: string,
    registration: Registration,
    expected: boolean,
    of?: 'web' | 'dns' | 'web without its namespace',
  ][] = [
    ['by its name', registration(), true],
    ['not by another name', registration({ serviceRef: { name: 'api' } }), false],
    ['not from another namespace', registration({}, { namespace: 'other' }), false],
    ['by its labels', registration({ selector: { matchLabels: { app: 'web' } } }), true],
    ['by an empty selector', registration({ selector: {} }), true],
    ['not by other labels', registration({ selector: { matchLabels: { app: 'api' } } }), false],
    ['without a look at its namespace object', registration(), true, 'web without its namespace'],
    ['in every namespace', clusterRegistration(), true],
    [
      'in a namespace of these labels',
      clusterRegistration({ namespaceSelector: { matchLabels: { team: 'shop' } } }),
      true,
    ],
    [
      'not in a namespace of other labels',
      clusterRegistration({ namespaceSelector: { matchLabels: { team: 'x' } } }),
      false,
    ],
    ['in these namespaces by its own labels', clusterRegistration({ selector: { matchLabels: { app: 'web' } } }), true],
    ['not by other labels of its own', clusterRegistration({ selector: { matchLabels: { app: 'api' } } }), false],
    ['not while its namespace is unknown', clusterRegistration(), false, 'web without its namespace'],
    ['not in kube-system with everything', clusterRegistration(), false, 'dns'],
    [
      'not in kube-system by a label',
      clusterRegistration({ namespaceSelector: { matchLabels: { team: 'shop' } } }),
      false,
      'dns',
    ],
    [
      'not in kube-system by the mere presence of a name',
      clusterRegistration({ namespaceSelector: by('Exists') }),
      false,
      'dns',
    ],
    [
      'not in kube-system by the name of another',
      clusterRegistration({ namespaceSelector: by('NotIn', 'shop') }),
      false,
      'dns',
    ],
    [
      'in kube-system by its name',
      clusterRegistration({ namespaceSelector: by('In', 'shop', 'kube-system') }),
      true,
      'dns',
    ],
    [
      'in kube-system by its name as a label',
      clusterRegistration({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }),
      true,
      'dns',
    ],
    [
      'in kube-system for a registration that stands there',
      registration({ serviceRef: { name: 'dns' } }, { namespace: 'kube-system' }),
      true,
      'dns',
    ],
  ];
  for (const [name, given, expected, of = 'web'] of table) {
    it(name, () => {
      const [object, around] = of === 'dns' ? [dns, system] : [web, of === 'web' ? shop : undefined];
      assert.equal(covers(given, object, around, reserved), expected);
    });
  }
});

describe('a registry admits a namespace', () => {
  const shop = namespace('shop', { team: 'shop' });
  const table: readonly [name: string, allowed: AllowedNamespaces, expected: boolean, known?: boolean][] = [
    ['all', { all: true }, true],
    ['all, unknown', { all: true }, true, false],
    ['none', { all: false }, false],
    ['by name', { names: ['other', 'shop'] }, true],
    ['by name, unknown', { names: ['shop'] }, true, false],
    ['not by another name', { names: ['other'] }, false],
    ['no names', { names: [] }, false],
    ['by labels', { selector: { matchLabels: { team: 'shop' } } }, true],
    ['not by other labels', { selector: { matchLabels: { team: 'x' } } }, false],
    ['every namespace by an empty selector', { selector: {} }, true],
    ['no namespace whose labels are unknown', { selector: {} }, false, false],
    ['nothing by default', {}, false],
  ];
  for (const [name, allowedNamespaces, expected, known = true] of table) {
    it(name, () =>
      assert.equal(admits(clusterRegistry({ allowedNamespaces }), known ? shop : undefined, 'shop'), expected),
    );
  }

  it('only its own, when it stands in one', () => {
    assert.equal(admits(registry({ namespace: 'shop' }), shop, 'shop'), true);
    assert.equal(admits(registry({ namespace: 'other' }), shop, 'shop'), false);
  });
});

describe('the ids of registries and registrations', () => {
  it('name kind, namespace and name', () => {
    assert.equal(registryId(clusterRegistry()), 'ClusterRegistry/consul');
    assert.equal(registryId(registry()), 'Registry/shop/own');
    assert.equal(registrationId(registration()), 'ServiceRegistration/shop/web');
    assert.equal(registrationId(clusterRegistration()), 'ClusterServiceRegistration/all');
  });

  it('resolve a namespaced Registry in the registration’s own namespace', () => {
    assert.equal(referencedRegistry(registration()), 'ClusterRegistry/consul');
    assert.equal(
      referencedRegistry(registration({ registryRef: { kind: 'Registry', name: 'own' } })),
      'Registry/shop/own',
    );
  });

  it('do not let a cluster-wide registration reach into a namespace', () => {
    const found = referencedRegistry(clusterRegistration({ registryRef: { kind: 'Registry', name: 'own' } }));
    assert.notEqual(found, registryId(registry()));
  });
});

describe('the precedence of registrations', () => {
  const [old, young] = ['2025-01-01T00:00:00Z', '2026-01-01T00:00:00Z'];

  it('puts a ServiceRegistration before automatic mirroring, then the older, then the name', () => {
    const inOrder: readonly Registration[] = [
      registration({}, { name: 'z', creationTimestamp: old }),
      registration({}, { name: 'a', creationTimestamp: young }),
      registration({}, { name: 'b', creationTimestamp: young }),
      clusterRegistration({}, { name: 'a', creationTimestamp: old }),
      clusterRegistration({}, { name: 'b', creationTimestamp: old }),
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray([...inOrder], { minLength: inOrder.length }), (shuffled) => {
        assert.deepEqual([...shuffled].sort(byPrecedence), inOrder);
      }),
    );
  });
});
