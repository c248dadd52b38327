import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServicePort } from '../../src/api/core.ts';
import type { Claim } from '../../src/mirror/claims.ts';
import { desired, type Normalise } from '../../src/mirror/desired.ts';
import { sameInstance } from '../../src/mirror/instance.ts';
import type { View } from '../../src/mirror/view.ts';
import { clusterRegistration, endpoint, instance, registration, service, slice, view } from './objects.ts';

const asIs: Normalise = (one) => ({ ok: true, instance: one });
const HTTP: ServicePort = { name: 'http', port: 80, protocol: 'TCP' };
const GRPC: ServicePort = { name: 'grpc', port: 9000, protocol: 'TCP' };

const wanted = (changes: Partial<View> = {}, normalise = asIs) => desired(view(changes), normalise);
const first = (changes: Partial<View> = {}, normalise = asIs) => {
  const [one] = wanted(changes, normalise);
  assert.ok(one);
  return one;
};

const holder = (owner: string, changes: Partial<Claim> = {}): Claim => ({
  owner,
  registration: `ServiceRegistration/${owner}`,
  registrationCreated: '2025-01-01T00:00:00Z',
  serviceCreated: '2025-01-01T00:00:00Z',
  mergeName: false,
  ...changes,
});

describe('what should stand for a Service', () => {
  it('is an instance for each endpoint', () => {
    const found = first({ slices: [slice([endpoint('10.0.0.1'), endpoint('10.0.0.2', { ready: false })])] });
    assert.deepEqual(found.names, ['web']);
    assert.equal(found.problem, undefined);
    assert.equal(found.instances.length, 2);
    assert.ok(sameInstance(found.instances[0]!, instance('10.0.0.1')));
    assert.ok(sameInstance(found.instances[1]!, instance('10.0.0.2', { health: 'unhealthy' })));
  });

  it('is nothing, but no problem, without endpoints', () => {
    const found = first({ slices: [], endpoints: 'unknown' });
    assert.deepEqual([found.instances, found.names, found.problem], [[], ['web'], undefined]);
  });

  it('takes metadata from zone, priority, labels, the spec and annotations, each over the one before', () => {
    const meta = {
      labels: { app: 'label', version: 'label', team: 'label' },
      annotations: { 'roster.dev/metadata-team': 'annotation' },
    };
    const found = first({
      service: { state: 'present', object: service('shop/web', { meta }) },
      covering: [
        registration({
          metadataFromLabels: ['app', 'version', 'team', 'none', 'constructor'],
          metadata: { version: 'spec' },
          priority: 3,
        }),
      ],
      slices: [slice([endpoint('10.0.0.1', { zone: 'eu-1a' })])],
    });
    assert.deepEqual(found.instances[0]?.metadata, {
      zone: 'eu-1a',
      priority: '3',
      app: 'label',
      version: 'spec',
      team: 'annotation',
    });
  });

  it('takes tags and weight from the spec, or else from annotations', () => {
    const covering = [registration({ tags: ['b', 'a', 'b'], weight: 7 })];
    assert.deepEqual(first({ covering }).instances[0]?.tags, ['a', 'b']);
    assert.equal(first({ covering }).instances[0]?.weight, 7);
    const annotations = { 'roster.dev/tags': 'z,y', 'roster.dev/weight': '0' };
    const object = service('shop/web', { meta: { annotations } });
    const found = first({ covering, service: { state: 'present', object } });
    assert.deepEqual(found.instances[0]?.tags, ['y', 'z']);
    assert.equal(found.instances[0]?.weight, 0);
  });

  it('is the same with an invalid annotation as without, and a note', () => {
    const object = service('shop/web', {
      meta: { annotations: { 'roster.dev/weight': 'heavy', 'roster.dev/register': 'nope' } },
    });
    const found = first({ service: { state: 'present', object } });
    assert.ok(sameInstance(found.instances[0]!, instance('10.0.0.1')));
    assert.deepEqual(
      found.notes.map(({ code }) => code),
      ['InvalidAnnotation', 'InvalidAnnotation'],
    );
  });

  it('bears the mark of what is to stay when the registration goes', () => {
    assert.equal(first({ covering: [registration({ deletionPolicy: 'Retain' })] }).instances[0]?.marks.retained, true);
  });

  it('is nothing where the Service opted out', () => {
    const object = service('shop/web', { meta: { annotations: { 'roster.dev/register': 'false' } } });
    const found = first({ service: { state: 'present', object } });
    assert.deepEqual([found.instances, found.optedOut, found.problem], [[], true, undefined]);
  });

  const problems: readonly [name: string, changes: Partial<View>, code: string, says: RegExp][] = [
    ['no Service', { service: { state: 'missing' } }, 'ServiceNotFound', /shop\/web/],
    ['a deleted Service', { service: { state: 'deleted' } }, 'ServiceNotFound', /shop\/web/],
    ['no such port', { covering: [registration({ ports: ['x'] })] }, 'PortNotFound', /"x"/],
    [
      'a refusal',
      { refusals: { 'ServiceRegistration/shop/web': { code: 'NamespaceNotAllowed', message: 'not here' } } },
      'NamespaceNotAllowed',
      /not here/,
    ],
    [
      'a name that another holds in other capitals',
      { covering: [registration({ name: 'WEB' })], claims: { web: [holder('shop/other')] } },
      'NameConflict',
      /"WEB".*shop\/other/,
    ],
    ['a name that another holds', { claims: { web: [holder('shop/other')] } }, 'NameConflict', /"web".*shop\/other/],
  ];
  for (const [name, changes, code, says] of problems) {
    it(`is nothing, with ${code}, for ${name}`, () => {
      const found = first(changes);
      assert.deepEqual(found.instances, []);
      assert.equal(found.problem?.code, code);
      assert.match(found.problem?.message ?? '', says);
    });
  }
});

describe('several ports of a Service', () => {
  const object = service('shop/web', { ports: [HTTP, GRPC] });
  const ports = (http: number, grpc: number) => [
    { name: 'http', port: http, protocol: 'TCP' },
    { name: 'grpc', port: grpc, protocol: 'TCP' },
  ];
  const both = (http: number, grpc: number, claims: View['claims'] = {}) =>
    first({
      service: { state: 'present', object },
      covering: [registration({ name: '{service}-{port}', ports: ['http', 'grpc'] })],
      slices: [slice([endpoint('10.0.0.1')], { ports: ports(http, grpc) })],
      claims,
    });

  it('stand under a name each', () => {
    const found = both(8080, 9090);
    assert.deepEqual(found.names, ['web-grpc', 'web-http']);
    assert.deepEqual(
      found.instances.map(({ id, service }) => [id, service]),
      [
        ['prod/shop/web/10.0.0.1:8080', 'web-http'],
        ['prod/shop/web/10.0.0.1:9090', 'web-grpc'],
      ],
    );
  });

  it('that lead to one port of the Pods are refused: one id cannot stand under two names', () => {
    const found = both(8080, 8080);
    assert.deepEqual(found.instances, []);
    assert.equal(found.problem?.code, 'InvalidSpec');
    assert.match(found.problem?.message ?? '', /10\.0\.0\.1:8080/);
  });

  it('are all held back when one of the names is another’s, and only that name counts as lost', () => {
    const found = both(8080, 9090, { 'web-grpc': [holder('shop/other')] });
    assert.deepEqual(found.instances, []);
    assert.equal(found.problem?.code, 'NameConflict');
    assert.deepEqual(found.lostNames, ['web-grpc']);
  });
});

describe('what a registry cannot hold', () => {
  const prefixed: Normalise = (one) => ({ ok: true, instance: { ...one, service: `k8s-${one.service}` } });

  it('is told as NameNotAllowed, even without any endpoint', () => {
    const strict: Normalise = () => ({ ok: false, message: 'no such name' });
    for (const slices of [[], [slice([endpoint('10.0.0.1')])]]) {
      const found = first({ slices }, strict);
      assert.deepEqual([found.instances, found.problem?.code], [[], 'NameNotAllowed']);
    }
  });

  it('is told of a single endpoint without harm to the others', () => {
    const fussy: Normalise = (one) =>
      one.metadata['zone'] === 'x' ? { ok: false, message: 'no such zone' } : asIs(one);
    const found = first({ slices: [slice([endpoint('10.0.0.1', { zone: 'x' }), endpoint('10.0.0.2')])] }, fussy);
    assert.deepEqual(
      found.instances.map(({ address }) => address),
      ['10.0.0.2'],
    );
    assert.equal(found.problem, undefined);
    assert.deepEqual(found.unfit, [
      { code: 'InstanceNotAllowed', message: 'no such zone', instance: 'prod/shop/web/10.0.0.1:8080' },
    ]);
  });

  it('does not show in names that it changes: they are told as they stand there', () => {
    assert.deepEqual(first({}, prefixed).names, ['k8s-web']);
    assert.deepEqual(first({ claims: { web: [holder('shop/other')] } }, prefixed).lostNames, ['k8s-web']);
  });
});

describe('several registrations of a Service', () => {
  it('in one registry: the second is told that the endpoints are taken', () => {
    const [a, b] = wanted({
      covering: [registration({}, { name: 'a' }), registration({ serviceRef: { name: 'web' } }, { name: 'b' })],
    });
    assert.equal(a?.instances.length, 1);
    assert.deepEqual([b?.instances, b?.problem?.code], [[], 'NameConflict']);
    assert.match(b?.problem?.message ?? '', /ServiceRegistration\/shop\/a/);
  });

  it('may take different ports', () => {
    const [a, b] = wanted({
      service: { state: 'present', object: service('shop/web', { ports: [HTTP, GRPC] }) },
      covering: [
        registration({ ports: ['http'] }, { name: 'a' }),
        registration({ ports: ['grpc'], name: 'grpc' }, { name: 'b' }),
      ],
      slices: [
        slice([endpoint('10.0.0.1')], {
          ports: [
            { name: 'http', port: 8080, protocol: 'TCP' },
            { name: 'grpc', port: 9090, protocol: 'TCP' },
          ],
        }),
      ],
    });
    assert.deepEqual([a?.problem, b?.problem], [undefined, undefined]);
    assert.deepEqual([a?.names, b?.names], [['web'], ['grpc']]);
  });

  it('are answered each, in their order, a problem of one not hindering another', () => {
    const found = wanted({ covering: [registration({ ports: ['x'] }, { name: 'a' }), clusterRegistration()] });
    assert.deepEqual(
      found.map(({ problem }) => problem?.code),
      ['PortNotFound', undefined],
    );
    assert.equal(found[1]?.instances.length, 1);
  });

  it('do not take what another Registry object writes to the same server', () => {
    const observed = [instance('10.0.0.1', { marks: { registration: 'ServiceRegistration/shop/other' } })];
    const found = first({ observed, registrations: { 'ServiceRegistration/shop/other': 'other-registry' } });
    assert.equal(found.problem?.code, 'NameConflict');
  });
});
