import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseClusterRegistry, parseRosterObject, parseServiceRegistration } from '../../src/api/parse.ts';
import { acceptedSamples } from './samples.ts';

const minimal = (spec: object = {}): Record<string, unknown> => ({
  apiVersion: 'roster.dev/v1alpha1',
  kind: 'ServiceRegistration',
  metadata: { name: 'web', namespace: 'shop' },
  spec: { registryRef: { name: 'consul' }, serviceRef: { name: 'web' }, ...spec },
});

const errorsOf = (value: unknown, options = {}) => {
  const parsed = parseServiceRegistration(value, options);
  return parsed.ok ? [] : parsed.errors;
};

const specOf = (value: unknown) => {
  const parsed = parseServiceRegistration(value);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value.spec;
};

describe('parsing', () => {
  it('fills in every default', () => {
    assert.deepEqual(specOf(minimal()), {
      registryRef: { kind: 'ClusterRegistry', name: 'consul' },
      serviceRef: { name: 'web' },
      name: '{service}',
      mergeName: false,
      addressType: 'Endpoints',
      weight: 100,
      priority: 0,
      health: 'Readiness',
      liveness: 'Persistent',
      updatePolicy: 'Sync',
      deletionPolicy: 'Delete',
      suspend: false,
    });
  });

  it('leaves its input as it was', () => {
    for (const manifest of acceptedSamples()) {
      const before = structuredClone(manifest);
      parseRosterObject(manifest);
      assert.deepEqual(manifest, before);
    }
  });

  it('gives the same for what it gave', () => {
    for (const manifest of acceptedSamples()) {
      const once = parseRosterObject(manifest);
      assert.ok(once.ok);
      assert.deepEqual(parseRosterObject(once.value), once);
    }
  });

  it('takes null in a field with a default for the default', () => {
    assert.equal(specOf(minimal({ weight: null, suspend: null })).weight, 100);
  });

  it('drops a field it does not know, or says where it is', () => {
    const value = minimal({ wieght: 5, serviceRef: { name: 'web', namespace: 'other' } });
    const spec: object = specOf(value);
    assert.ok(!('wieght' in spec));
    assert.deepEqual(errorsOf({ ...value, specs: {} }, { unknownFields: 'reject' }), [
      { path: 'specs', message: 'is no field of this kind' },
      { path: 'spec.wieght', message: 'is no field of this kind' },
      { path: 'spec.serviceRef.namespace', message: 'is no field of this kind' },
    ]);
  });

  it('puts an object without a namespace where it is told to', () => {
    const value = { ...minimal(), metadata: { name: 'web' } };
    const parsed = parseServiceRegistration(value, { defaultNamespace: 'shop' });
    assert.ok(parsed.ok);
    assert.equal(parsed.value.metadata.namespace, 'shop');
  });

  it('keeps what the API server says about an object', () => {
    const metadata = {
      name: 'web',
      namespace: 'shop',
      uid: 'u1',
      resourceVersion: '7',
      generation: 3,
      creationTimestamp: '2026-01-01T00:00:00Z',
      deletionTimestamp: '2026-01-02T00:00:00Z',
      labels: { a: 'b' },
      annotations: { c: 'd' },
      finalizers: ['roster.dev/deregister'],
    };
    const parsed = parseServiceRegistration({ ...minimal(), metadata: { ...metadata, managedFields: [{}] } });
    assert.ok(parsed.ok);
    assert.deepEqual(parsed.value.metadata, metadata);
  });

  it('drops a status that does not fit, as its author cannot mend it', () => {
    const parse = (status: unknown) => parseServiceRegistration({ ...minimal(), status });
    const kept = parse({ observedGeneration: 2, names: ['web'], phase: 'Old' });
    assert.ok(kept.ok);
    assert.deepEqual(kept.value.status, { observedGeneration: 2, names: ['web'] });
    const dropped = parse({ observedGeneration: 'two' });
    assert.ok(dropped.ok);
    assert.equal(dropped.value.status, undefined);
  });

  it('gives the metadata of an object it cannot read, so that its status can say so', () => {
    const parsed = parseServiceRegistration(minimal({ weight: 'heavy' }));
    assert.ok(!parsed.ok);
    assert.equal(parsed.metadata?.name, 'web');
  });

  it('does not take one kind for another', () => {
    assert.deepEqual(
      errorsOf({ ...minimal(), kind: 'Registry', apiVersion: 'roster.dev/v1' }).map(({ path }) => path),
      ['apiVersion', 'kind'],
    );
    const parsed = parseRosterObject({ kind: 'Service' });
    assert.deepEqual(parsed.ok ? [] : parsed.errors, [
      {
        path: 'kind',
        message: 'must be one of ServiceRegistration, ClusterServiceRegistration, Registry, ClusterRegistry',
      },
    ]);
  });

  const structural: readonly [spec: object, path: string, message: string][] = [
    [{ weight: 10001 }, 'spec.weight', 'must be at most 10000'],
    [{ weight: -1 }, 'spec.weight', 'must be at least 0'],
    [{ weight: 'heavy' }, 'spec.weight', 'must be of type integer'],
    [{ ports: [true] }, 'spec.ports[0]', 'must be of type integer or string'],
    [{ ports: [] }, 'spec.ports', 'must have at least 1 items'],
    [{ tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }, 'spec.tags', 'must have at most 64 items'],
    [{ tags: ['a', 'a'] }, 'spec.tags', 'holds the same value twice'],
    [{ tags: ['x'.repeat(254)] }, 'spec.tags[0]', 'must have at most 253 characters'],
    [{ name: '' }, 'spec.name', 'must have at least 1 characters'],
    [{ health: 'Fine' }, 'spec.health', 'must be one of Readiness, ReadyOnly'],
    [{ registryRef: {} }, 'spec.registryRef.name', 'is required'],
    [{ metadata: { 'a/b': 1 } }, 'spec.metadata[a/b]', 'must be of type string'],
    [
      { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ''])) },
      'spec.metadata',
      'must have at most 64 entries',
    ],
  ];
  for (const [spec, path, message] of structural) {
    it(`says that ${path} ${message}`, () => {
      assert.deepEqual(errorsOf(minimal(spec)), [{ path, message }]);
    });
  }

  it('never throws, whatever it is given', () => {
    const anything = fc.anything({ withNullPrototype: true });
    fc.assert(
      fc.property(anything, anything, (value, spec) => {
        parseRosterObject(value);
        parseServiceRegistration({ ...minimal(), spec });
        parseServiceRegistration(minimal({ selector: spec, metadata: value }));
        parseClusterRegistry({ ...minimal(), kind: 'ClusterRegistry', spec: { type: 'Consul', consul: spec } });
      }),
    );
  });
});
