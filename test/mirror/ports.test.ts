import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServicePort } from '../../src/api/core.ts';
import { overridesOf } from '../../src/mirror/annotations.ts';
import { choosePorts, claimsOf, nameFor, portLabel } from '../../src/mirror/ports.ts';
import { CREATED, clusterRegistration, registration, service, view } from './objects.ts';

const HTTP: ServicePort = { name: 'http', port: 80, protocol: 'TCP' };
const GRPC: ServicePort = { name: 'grpc', port: 9000, protocol: 'TCP' };
const ADMIN: ServicePort = { name: 'admin', port: 8081, protocol: 'TCP' };
const UNNAMED: ServicePort = { name: '', port: 80, protocol: 'TCP' };

interface Given {
  readonly has: readonly ServicePort[];
  readonly asks?: readonly (string | number)[];
  readonly name?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function choose({ has, asks, name = '{service}-{port}', annotations = {} }: Given): readonly string[] | string {
  const object = service('shop/web', { ports: has, meta: { annotations } });
  const choice = choosePorts(registration({ name, ...(asks ? { ports: asks } : {}) }), object, overridesOf(object));
  return 'problem' in choice ? choice.problem.code : choice.ports.map(portLabel);
}

describe('the ports of a Service that are registered', () => {
  const table: readonly [name: string, given: Given, ports: readonly string[] | string][] = [
    ['the only one', { has: [GRPC] }, ['grpc']],
    ['the only one, unnamed', { has: [UNNAMED] }, ['80']],
    ['the one named http of several', { has: [GRPC, HTTP] }, ['http']],
    ['the first when none is named http', { has: [GRPC, ADMIN] }, ['grpc']],
    ['those asked for by name', { has: [HTTP, GRPC, ADMIN], asks: ['grpc', 'http'] }, ['grpc', 'http']],
    ['those asked for by number', { has: [HTTP, GRPC], asks: [9000] }, ['grpc']],
    ['those asked for by number as text', { has: [HTTP, GRPC], asks: ['9000'] }, ['grpc']],
    ['one asked for twice, once', { has: [HTTP, GRPC], asks: ['http', 80] }, ['http']],
    ['the default when none is asked for', { has: [GRPC, HTTP], asks: [] }, ['http']],
    ['none, when the Service has none', { has: [] }, 'PortNotFound'],
    ['none, when one of those asked for is missing', { has: [HTTP], asks: ['http', 'grpc'] }, 'PortNotFound'],
    ['none for a number written otherwise', { has: [HTTP], asks: ['0x50'] }, 'PortNotFound'],
    ['none for an empty name on unnamed ports', { has: [UNNAMED], asks: ['tcp'] }, 'PortNotFound'],
    ['none of several under one name', { has: [HTTP, GRPC], asks: ['http', 'grpc'], name: '{service}' }, 'InvalidSpec'],
    [
      'one of several asked for twice under one name',
      { has: [HTTP, GRPC], asks: ['http', 80], name: '{service}' },
      ['http'],
    ],
    ['the annotation’s', { has: [HTTP, GRPC], asks: ['http'], annotations: { 'roster.dev/port': 'grpc' } }, ['grpc']],
    ['the annotation’s number', { has: [HTTP, GRPC], annotations: { 'roster.dev/port': ' 9000 ' } }, ['grpc']],
    [
      'none, when the annotation names none',
      { has: [HTTP], annotations: { 'roster.dev/port': 'grpc' } },
      'PortNotFound',
    ],
    [
      'those asked for, with an empty annotation',
      { has: [HTTP, GRPC], asks: ['grpc'], annotations: { 'roster.dev/port': ' ' } },
      ['grpc'],
    ],
    [
      'several under an annotation’s name with {port}',
      { has: [HTTP, GRPC], asks: ['http', 'grpc'], name: '{service}', annotations: { 'roster.dev/name': 'x-{port}' } },
      ['http', 'grpc'],
    ],
    [
      'none of several under an annotation’s name without {port}',
      { has: [HTTP, GRPC], asks: ['http', 'grpc'], annotations: { 'roster.dev/name': 'x' } },
      'InvalidSpec',
    ],
  ];
  for (const [name, given, ports] of table) it(`are ${name}`, () => assert.deepEqual(choose(given), ports));

  it('are named in the problem, with what the Service has instead', () => {
    const object = service('shop/web', { ports: [HTTP, GRPC] });
    const choice = choosePorts(registration({ ports: ['metrics'] }), object, overridesOf(object));
    assert.ok('problem' in choice);
    assert.match(choice.problem.message, /shop\/web/);
    assert.match(choice.problem.message, /metrics/);
    assert.match(choice.problem.message, /http, grpc/);
  });
});

describe('the name of a Service', () => {
  const at = { cluster: 'prod', owner: 'shop/web' };
  const named = (template: string, port = HTTP, annotations: Readonly<Record<string, string>> = {}) =>
    nameFor(registration({ name: template }), at, port, overridesOf(service('shop/web', { meta: { annotations } })));

  it('is filled in from the Service', () => {
    assert.equal(named('{cluster}-{namespace}-{service}-{port}'), 'prod-shop-web-http');
    assert.equal(named('{service}-{port}', UNNAMED), 'web-80');
  });

  it('is the annotation’s, a template too', () => {
    assert.equal(named('{service}', HTTP, { 'roster.dev/name': 'front-{port}' }), 'front-http');
    assert.equal(named('{service}', HTTP, { 'roster.dev/name': ' front ' }), 'web');
  });
});

describe('the annotations of a Service', () => {
  const read = (annotations: Readonly<Record<string, string>>) =>
    overridesOf(service('shop/web', { meta: { annotations } }));

  it('say nothing when there are none, or only others', () => {
    assert.deepEqual(
      { ...read({ 'example.com/name': 'x', name: 'y' }), metadata: {} },
      { register: true, metadata: {}, invalid: [] },
    );
  });

  it('are read', () => {
    const found = read({
      'roster.dev/register': 'false',
      'roster.dev/name': 'front',
      'roster.dev/tags': 'b, a,,b ',
      'roster.dev/port': 'http',
      'roster.dev/weight': '0',
      'roster.dev/metadata-team': 'shop',
      'roster.dev/metadata-empty': '',
    });
    assert.equal(found.register, false);
    assert.equal(found.name, 'front');
    assert.deepEqual(found.tags, ['b', 'a', 'b']);
    assert.equal(found.port, 'http');
    assert.equal(found.weight, 0);
    assert.deepEqual({ ...found.metadata }, { team: 'shop', empty: '' });
    assert.deepEqual(found.invalid, []);
  });

  const invalid: readonly [annotation: string, value: string][] = [
    ['register', 'no'],
    ['register', ''],
    ['register', 'False'],
    ['name', ''],
    ['name', ' x'],
    ['port', ''],
    ['weight', '-1'],
    ['weight', '10001'],
    ['weight', '1.5'],
    ['weight', '1e3'],
    ['weight', ''],
    ['weight', 'much'],
    ['metadata-', 'x'],
    ['wieght', '1'],
  ];
  for (const [annotation, value] of invalid) {
    it(`are told of, and change nothing, with ${annotation}: ${JSON.stringify(value)}`, () => {
      const found = read({ [`roster.dev/${annotation}`]: value });
      assert.equal(found.invalid.length, 1);
      assert.match(found.invalid[0] ?? '', new RegExp(`roster.dev/${annotation}`));
      const { invalid: _, metadata, ...rest } = found;
      assert.deepEqual({ ...rest, metadata: { ...metadata } }, { register: true, metadata: {} });
    });
  }

  it('take keys that objects have by birth for what they are', () => {
    const found = read({ 'roster.dev/metadata-__proto__': 'x', 'roster.dev/metadata-constructor': 'y' });
    assert.deepEqual(Object.keys(found.metadata).sort(), ['__proto__', 'constructor']);
  });

  it('are quoted no longer than is useful', () => {
    const [message = ''] = read({ 'roster.dev/weight': 'x'.repeat(10_000) }).invalid;
    assert.ok(message.length < 200);
  });
});

describe('what registrations claim for a Service', () => {
  const claims = (changes: Parameters<typeof view>[0]) => claimsOf(view(changes));

  it('is each name once, for the one with precedence', () => {
    const [first, second] = [registration({}, { name: 'a' }), registration({}, { name: 'b' })];
    const found = claims({ covering: [first, second] });
    assert.deepEqual([...found.keys()], ['web']);
    assert.equal(found.get('web')?.registration, 'ServiceRegistration/shop/a');
    assert.equal(found.get('web')?.registrationCreated, CREATED);
  });

  it('is a name for each port', () => {
    const object = service('shop/web', { ports: [HTTP, GRPC] });
    const found = claims({
      service: { state: 'present', object },
      covering: [registration({ name: '{service}-{port}', ports: ['http', 'grpc'] })],
    });
    assert.deepEqual([...found.keys()], ['web-http', 'web-grpc']);
  });

  it('is nothing for a Service that is not there, or opted out, or has not the port', () => {
    assert.equal(claims({ service: { state: 'missing' } }).size, 0);
    assert.equal(claims({ service: { state: 'deleted' } }).size, 0);
    const out = service('shop/web', { meta: { annotations: { 'roster.dev/register': 'false' } } });
    assert.equal(claims({ service: { state: 'present', object: out } }).size, 0);
    assert.equal(claims({ covering: [registration({ ports: ['nothing'] })] }).size, 0);
  });

  it('is nothing for a registration that is refused, and the next one’s then', () => {
    const refusals = { 'ServiceRegistration/shop/web': { code: 'NamespaceNotAllowed', message: 'no' } as const };
    assert.equal(claims({ refusals }).size, 0);
    const found = claims({ covering: [registration(), clusterRegistration()], refusals });
    assert.equal(found.get('web')?.registration, 'ClusterServiceRegistration/all');
  });
});
