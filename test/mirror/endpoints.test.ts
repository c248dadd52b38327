import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Endpoint, EndpointSlice } from '../../src/api/core.ts';
import { type EndpointRules, type Verdict, verdicts } from '../../src/mirror/endpoints.ts';
import { endpoint, slice } from './objects.ts';

const RULES: EndpointRules = {
  namespace: 'shop',
  portName: 'http',
  protocol: 'TCP',
  health: 'Readiness',
  allowUnmanagedEndpoints: false,
};

const judge = (slices: readonly EndpointSlice[], rules: Partial<EndpointRules> = {}): readonly Verdict[] =>
  verdicts(slices, { ...RULES, ...rules });

/** `10.0.0.1:8080 healthy`, or `10.0.0.1 out`. */
const told = (slices: readonly EndpointSlice[], rules: Partial<EndpointRules> = {}): readonly string[] =>
  judge(slices, rules).map((one) => (one.included ? `${one.address}:${one.port} ${one.health}` : `${one.address} out`));

const only = (changes: Partial<Endpoint>, rules: Partial<EndpointRules> = {}) =>
  judge([slice([endpoint('10.0.0.1', changes)])], rules)[0];

describe('the health of an endpoint', () => {
  const table: readonly [
    ready: boolean,
    serving: boolean,
    terminating: boolean,
    readiness: string,
    readyOnly: string,
  ][] = [
    [true, true, false, 'healthy', 'healthy'],
    // publishNotReadyAddresses: the controller says ready whatever the Pod does.
    [true, true, true, 'healthy', 'healthy'],
    [true, false, true, 'healthy', 'healthy'],
    [true, false, false, 'healthy', 'healthy'],
    [false, true, true, 'draining', 'out'],
    [false, true, false, 'unhealthy', 'out'],
    [false, false, false, 'unhealthy', 'out'],
    [false, false, true, 'out', 'out'],
  ];
  for (const [ready, serving, terminating, readiness, readyOnly] of table) {
    for (const [health, expected] of [
      ['Readiness', readiness],
      ['ReadyOnly', readyOnly],
    ] as const) {
      it(`is ${expected} with ready=${ready} serving=${serving} terminating=${terminating} under ${health}`, () => {
        const verdict = only({ ready, serving, terminating }, { health });
        assert.equal(verdict?.included ? verdict.health : 'out', expected);
        assert.notEqual(verdict?.rule, '');
      });
    }
  }

  it('comes with the zone', () => {
    const verdict = only({ zone: 'eu-1a' });
    assert.equal(verdict?.included && verdict.zone, 'eu-1a');
  });
});

describe('the addresses of a Service', () => {
  it('are the first of each endpoint, since those of one endpoint are fungible', () => {
    const pod = endpoint('10.0.0.1', { addresses: ['10.0.0.1', '10.0.0.2'] });
    assert.deepEqual(told([slice([pod])]), ['10.0.0.1:8080 healthy']);
  });

  it('are told once when an endpoint stands in two slices, and the healthier of the two counts', () => {
    const [sick, draining, well] = [
      slice([endpoint('10.0.0.1', { ready: false })], { name: 'a' }),
      slice([endpoint('10.0.0.1', { ready: false, terminating: true })], { name: 'b' }),
      slice([endpoint('10.0.0.1')], { name: 'c' }),
    ];
    for (const order of [
      [sick, draining, well],
      [well, draining, sick],
      [draining, well, sick],
    ])
      assert.deepEqual(told(order), ['10.0.0.1:8080 healthy']);
    assert.deepEqual(told([sick, draining]), ['10.0.0.1:8080 draining']);
  });

  it('are in, when one of two slices has the address out', () => {
    const gone = slice([endpoint('10.0.0.1', { ready: false, serving: false, terminating: true })], { name: 'a' });
    const there = slice([endpoint('10.0.0.1')], { name: 'b' });
    assert.deepEqual(told([gone, there]), ['10.0.0.1:8080 healthy']);
    assert.deepEqual(told([there, gone]), ['10.0.0.1:8080 healthy']);
  });

  it('of two families are kept apart', () => {
    const slices = [
      slice([endpoint('10.0.0.1')], { name: 'v4' }),
      slice([endpoint('fd00::1')], { name: 'v6', addressType: 'IPv6' }),
    ];
    assert.deepEqual(told(slices), ['10.0.0.1:8080 healthy', 'fd00::1:8080 healthy']);
  });

  it('on two ports of the Pods are two, when slices map the port differently', () => {
    const slices = [
      slice([endpoint('10.0.0.1')], { name: 'a' }),
      slice([endpoint('10.0.0.1')], { name: 'b', ports: [{ name: 'http', port: 9090, protocol: 'TCP' }] }),
    ];
    assert.deepEqual(told(slices), ['10.0.0.1:8080 healthy', '10.0.0.1:9090 healthy']);
  });

  const ports: readonly [name: string, given: { name: string; port?: number; protocol: string }, included: boolean][] =
    [
      ['a port of that name', { name: 'http', port: 8080, protocol: 'TCP' }, true],
      ['a port of another name only', { name: 'grpc', port: 8080, protocol: 'TCP' }, false],
      ['the name on another protocol only', { name: 'http', port: 8080, protocol: 'UDP' }, false],
      ['all ports, without a number', { name: 'http', protocol: 'TCP' }, false],
    ];
  for (const [name, given, included] of ports) {
    it(`are ${included ? 'in' : 'out'} with ${name} in the slice`, () => {
      assert.equal(judge([slice([endpoint('10.0.0.1')], { ports: [given] })])[0]?.included, included);
    });
  }

  it('are out when the slice holds host names', () => {
    const [verdict] = judge([slice([endpoint('db.example.com')], { addressType: 'FQDN' })]);
    assert.deepEqual([verdict?.included, verdict?.address], [false, 'db.example.com']);
  });

  const never = [
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '100.100.100.200',
    '240.0.0.1',
    'fd00:ec2::254',
    '64:ff9b::169.254.169.254',
    '224.0.0.1',
    '239.255.255.255',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '',
    'garbage',
    '10.0.0',
    '10.0.0.1/24',
    'db.example.com',
    '10.0.0.1:80',
  ];
  for (const address of never) {
    it(`are never ${JSON.stringify(address)}, not even of unmanaged slices`, () => {
      for (const addressType of ['IPv4', 'IPv6'] as const) {
        const [verdict] = judge([slice([endpoint(address)], { addressType })], { allowUnmanagedEndpoints: true });
        assert.equal(verdict?.included, false);
        assert.notEqual(verdict?.rule, '');
      }
    });
  }

  it('are out when an endpoint has none', () => {
    assert.equal(judge([slice([endpoint('', { addresses: [] })])])[0]?.included, false);
  });

  for (const address of ['10.0.0.1', '192.168.1.1', '100.64.0.1', '8.8.8.8', 'fd00::1', '2001:db8::1']) {
    it(`may be ${address}`, () => {
      const addressType = address.includes(':') ? 'IPv6' : 'IPv4';
      assert.equal(judge([slice([endpoint(address)], { addressType })])[0]?.included, true);
    });
  }
});

describe('endpoints that the endpoint controllers did not make for Pods of the namespace', () => {
  const strange: Readonly<Record<string, EndpointSlice>> = {
    'in a slice of another writer': slice([endpoint('10.0.0.1')], { managedBy: 'someone.example.com' }),
    'in a slice of an unknown writer': slice([endpoint('10.0.0.1')], { managedBy: '' }),
    'in a mirrored slice': slice([endpoint('10.0.0.1')], { managedBy: 'endpointslicemirroring-controller.k8s.io' }),
    'without a target': slice([{ addresses: ['10.0.0.1'], ready: true, serving: true, terminating: false }]),
    'with a Pod of another namespace': slice([endpoint('10.0.0.1', {}, 'other')]),
    'with a target that is no Pod': slice([
      endpoint('10.0.0.1', { targetRef: { kind: 'Node', name: 'n', namespace: 'shop' } }),
    ]),
  };
  for (const [name, given] of Object.entries(strange)) {
    it(`are out ${name}`, () => assert.deepEqual(told([given]), ['10.0.0.1 out']));
    it(`are in ${name} where the registry allows it`, () =>
      assert.deepEqual(told([given], { allowUnmanagedEndpoints: true }), ['10.0.0.1:8080 healthy']));
  }

  it('are in for both controllers that derive endpoints from Pods', () => {
    for (const managedBy of ['endpointslice-controller.k8s.io', 'endpoint-controller'])
      assert.deepEqual(told([slice([endpoint('10.0.0.1')], { managedBy })]), ['10.0.0.1:8080 healthy']);
  });
});

describe('the verdicts on any slices', () => {
  const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', '127.0.0.1', 'nonsense');
  const anyEndpoint = fc
    .tuple(address, fc.boolean(), fc.boolean(), fc.boolean(), fc.constantFrom('shop', 'other'))
    .map(([at, ready, serving, terminating, of]) => endpoint(at, { ready, serving, terminating }, of));
  const anySlice = fc
    .tuple(fc.array(anyEndpoint, { maxLength: 5 }), fc.constantFrom('a', 'b', 'c'), fc.constantFrom(8080, 9090))
    .map(([endpoints, name, port]) => slice(endpoints, { name, ports: [{ name: 'http', port, protocol: 'TCP' }] }));
  const slices = fc.array(anySlice, { maxLength: 4 });

  it('do not depend on the order of slices or endpoints', () => {
    fc.assert(
      fc.property(slices, (given) => {
        const turned = given.toReversed().map((one) => ({
          ...one,
          subsets: one.subsets.map((subset) => ({ ...subset, endpoints: subset.endpoints.toReversed() })),
        }));
        assert.deepEqual(told(turned), told(given));
      }),
    );
  });

  it('speak of each address and port once', () => {
    fc.assert(
      fc.property(slices, (given) => {
        const keys = judge(given).map((one) => `${one.address} ${one.port}`);
        assert.equal(new Set(keys).size, keys.length);
      }),
    );
  });

  it('include under ReadyOnly what is healthy under Readiness, and nothing else', () => {
    fc.assert(
      fc.property(slices, (given) => {
        const healthy = told(given).filter((one) => one.endsWith('healthy') && !one.endsWith('unhealthy'));
        const ready = told(given, { health: 'ReadyOnly' }).filter((one) => !one.endsWith(' out'));
        assert.deepEqual(ready, healthy);
      }),
    );
  });

  it('never lose an address when a slice is added', () => {
    fc.assert(
      fc.property(slices, anySlice, (given, added) => {
        const included = (of: readonly EndpointSlice[]) =>
          judge(of).flatMap((one) => (one.included ? [`${one.address} ${one.port}`] : []));
        const after = new Set(included([...given, added]));
        for (const key of included(given)) assert.ok(after.has(key));
      }),
    );
  });
});
