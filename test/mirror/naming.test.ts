import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonical, type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { hasPortPlaceholder, instanceId, renderName } from '../../src/mirror/naming.ts';
import { instance } from './objects.ts';

const dnsLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?$/);
const ipv4 = fc.tuple(...Array.from({ length: 4 }, () => fc.nat(255))).map((bytes) => bytes.join('.'));
const ipv6 = fc
  .array(fc.nat(65_535), { minLength: 8, maxLength: 8 })
  .map((words) => words.map((word) => word.toString(16)).join(':'));
const identity = fc.tuple(dnsLabel, dnsLabel, dnsLabel, fc.oneof(ipv4, ipv6), fc.integer({ min: 1, max: 65_535 }));

describe('the id of an instance', () => {
  it('is readable', () => {
    assert.equal(instanceId('prod', 'shop/web', '10.0.0.7', 8080), 'prod/shop/web/10.0.0.7:8080');
    assert.equal(instanceId('prod', 'shop/web', 'fd00::7', 8080), 'prod/shop/web/[fd00::7]:8080');
  });

  it('is shared by no two clusters, namespaces, Services, addresses or ports', () => {
    const id = ([cluster, namespace, service, address, port]: readonly [string, string, string, string, number]) =>
      instanceId(cluster, `${namespace}/${service}`, address, port);
    fc.assert(
      fc.property(identity, identity, (a, b) => {
        assert.equal(id(a) === id(b), JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: 500 },
    );
  });

  it('is not shared by neighbours that differ in one part only', () => {
    fc.assert(
      fc.property(identity, fc.nat(4), identity, (a, part, other) => {
        const b = a.map((value, index) => (index === part ? other[index] : value)) as typeof a;
        const [x, y] = [a, b].map(([cluster, namespace, service, address, port]) =>
          instanceId(cluster, `${namespace}/${service}`, address, port),
        );
        assert.equal(x === y, a[part] === b[part]);
      }),
    );
  });
});

describe('a name template', () => {
  const parts = { service: 'web', namespace: 'shop', cluster: 'prod', port: 'http' };
  const table: readonly [template: string, name: string][] = [
    ['{service}', 'web'],
    ['{namespace}-{service}', 'shop-web'],
    ['{cluster}.{namespace}.{service}.{port}', 'prod.shop.web.http'],
    ['{service}{service}', 'webweb'],
    ['fixed', 'fixed'],
    // What is not a placeholder stays, so that the registry's own rule for names refuses it.
    ['{unknown}', '{unknown}'],
    ['{}', '{}'],
    ['{Service}', '{Service}'],
    ['{constructor}', '{constructor}'],
    ['{{service}}', '{web}'],
  ];
  for (const [template, name] of table) {
    it(`turns ${template} into ${name}`, () => assert.equal(renderName(template, parts), name));
  }

  it('does not read what it has filled in', () => {
    assert.equal(renderName('{service}', { ...parts, service: '{port}' }), '{port}');
    assert.equal(renderName('{service}', { ...parts, service: '$&' }), '$&');
  });

  it('is asked for {port}', () => {
    assert.equal(hasPortPlaceholder('{service}-{port}'), true);
    assert.equal(hasPortPlaceholder('{service}'), false);
  });
});

describe('the canonical form of an instance', () => {
  const words = fc.constantFrom('a', 'b', 'version', '__proto__', 'ü', '');
  const anyInstance: fc.Arbitrary<Instance> = fc
    .record({
      address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
      port: fc.constantFrom(80, 8080),
      service: fc.constantFrom('web', 'api'),
      health: fc.constantFrom('healthy' as const, 'draining' as const, 'unhealthy' as const),
      weight: fc.constantFrom(0, 100),
      tags: fc.array(words, { maxLength: 3 }),
      metadata: fc.dictionary(words, words, { maxKeys: 3 }),
      marks: fc.record({ registration: fc.constantFrom('A/b', 'C/d'), retained: fc.boolean() }),
    })
    .map(({ address, ...changes }) => instance(address, changes));

  it('is the same whatever the order of keys and tags', () => {
    fc.assert(
      fc.property(anyInstance, (one) => {
        const turned: Instance = {
          ...Object.fromEntries(Object.entries(one).toReversed()),
          ...one,
          tags: one.tags.toReversed(),
          metadata: Object.fromEntries(Object.entries(one.metadata).toReversed()),
        };
        assert.equal(canonical(turned), canonical(one));
        assert.ok(sameInstance(turned, one));
      }),
    );
  });

  it('differs when anything differs', () => {
    const one = instance('10.0.0.1', { tags: ['a'], metadata: { k: 'v' } });
    const others: readonly Instance[] = [
      { ...one, id: 'x' },
      { ...one, service: 'x' },
      { ...one, address: '10.0.0.2' },
      { ...one, port: 1 },
      { ...one, health: 'unhealthy' },
      { ...one, weight: 1 },
      { ...one, tags: [] },
      { ...one, tags: ['a', 'b'] },
      { ...one, metadata: {} },
      { ...one, metadata: { k: 'w' } },
      { ...one, metadata: { l: 'v' } },
      { ...one, marks: { ...one.marks, cluster: 'x' } },
      { ...one, marks: { ...one.marks, owner: 'x' } },
      { ...one, marks: { ...one.marks, registration: 'x' } },
      { ...one, marks: { ...one.marks, retained: true } },
    ];
    for (const other of others) assert.ok(!sameInstance(one, other), JSON.stringify(other));
  });

  it('is an equivalence: it agrees with deep equality of what is sorted', () => {
    const sorted = ({ tags, metadata, ...rest }: Instance) => ({
      ...rest,
      tags: tags.toSorted(),
      metadata: Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)),
    });
    fc.assert(
      fc.property(anyInstance, anyInstance, (a, b) => {
        const equal =
          JSON.stringify(Object.entries(sorted(a)).sort()) === JSON.stringify(Object.entries(sorted(b)).sort());
        assert.equal(sameInstance(a, b), equal);
        assert.equal(sameInstance(a, b), sameInstance(b, a));
        assert.ok(sameInstance(a, a));
      }),
      { numRuns: 500 },
    );
  });
});
