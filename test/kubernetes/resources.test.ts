import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MalformedObject } from '../../src/kubernetes/fields.ts';
import { compareResourceVersions, isResourceVersion } from '../../src/kubernetes/resource-version.ts';
import * as resources from '../../src/kubernetes/resources.ts';

const metadata = {
  name: 'web-1',
  namespace: 'shop',
  uid: 'u',
  resourceVersion: '5',
  creationTimestamp: '2026-01-01T00:00:00Z',
};
const labelled = (labels: Record<string, string>, more: object = {}) => ({ ...metadata, labels, ...more });
const ofWeb = labelled({
  'kubernetes.io/service-name': 'web',
  'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
  app: 'web',
});

describe('an EndpointSlice', () => {
  const slice = (more: object) => ({ metadata: ofWeb, addressType: 'IPv4', ...more });
  const endpointsOf = (endpoints: unknown) =>
    resources.endpointSlices.parse(slice({ endpoints, ports: [] }))?.subsets[0]?.endpoints;

  it('is read with null as the API defines it: ready, serving as ready, not terminating', () => {
    const rows: [object | null | undefined, [boolean, boolean, boolean]][] = [
      [undefined, [true, true, false]],
      [null, [true, true, false]],
      [{}, [true, true, false]],
      [{ ready: null, serving: null, terminating: null }, [true, true, false]],
      [{ ready: false }, [false, false, false]],
      [{ ready: false, serving: true, terminating: true }, [false, true, true]],
      [{ ready: true, serving: false }, [true, false, false]],
    ];
    for (const [conditions, expected] of rows) {
      const [endpoint] =
        endpointsOf([{ addresses: ['10.0.0.1'], ...(conditions === undefined ? {} : { conditions }) }]) ?? [];
      assert.deepEqual(
        [endpoint?.ready, endpoint?.serving, endpoint?.terminating],
        expected,
        JSON.stringify(conditions),
      );
    }
  });

  it('is read whole', () => {
    const targetRef = { kind: 'Pod', name: 'web-a', namespace: 'shop', uid: 'x' };
    const raw = slice({
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP', appProtocol: 'h2c' },
        { port: 53, protocol: 'UDP' },
        { name: 'all' },
      ],
      endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true }, targetRef, zone: 'a', nodeName: 'n' }],
    });
    assert.deepEqual(resources.endpointSlices.parse(raw), {
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: {}, annotations: {}, finalizers: [] },
      service: 'web',
      managedBy: 'endpointslice-controller.k8s.io',
      truncated: false,
      subsets: [
        {
          addressType: 'IPv4',
          ports: [
            { name: 'http', port: 8080, protocol: 'TCP' },
            { name: '', port: 53, protocol: 'UDP' },
            { name: 'all', protocol: 'TCP' },
          ],
          endpoints: [
            {
              addresses: ['10.0.0.1'],
              ready: true,
              serving: true,
              terminating: false,
              zone: 'a',
              targetRef: { kind: 'Pod', name: 'web-a', namespace: 'shop' },
            },
          ],
        },
      ],
    });
  });

  it('may have null for its lists, as it does when it is new', () => {
    const parsed = resources.endpointSlices.parse(slice({ endpoints: null, ports: null }));
    assert.deepEqual(parsed?.subsets, [{ addressType: 'IPv4', ports: [], endpoints: [] }]);
  });

  it('without a Service is none of ours', () => {
    assert.equal(resources.endpointSlices.parse({ ...slice({}), metadata }), undefined);
  });

  it('keeps the annotations that are read, and no others', () => {
    const annotations = {
      'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-01T00:00:00Z',
      'kubectl.kubernetes.io/last-applied-configuration': '{"much":"text"}',
    };
    const parsed = resources.endpointSlices.parse({ ...slice({}), metadata: { ...ofWeb, annotations } });
    assert.deepEqual(Object.keys(parsed?.metadata.annotations ?? {}), [
      'endpoints.kubernetes.io/last-change-trigger-time',
    ]);
  });

  it('that breaks the API is refused, not guessed at', () => {
    for (const bad of [
      slice({ addressType: 'IPv5' }),
      slice({ endpoints: {} }),
      slice({ endpoints: [{ addresses: [1] }] }),
      slice({ ports: [null] }),
      null,
      'x',
    ]) {
      assert.throws(() => resources.endpointSlices.parse(bad), MalformedObject, JSON.stringify(bad));
    }
  });
});

describe('a v1 Endpoints object', () => {
  const managed = labelled({ 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' });
  const address = (ip: string) => ({ ip, targetRef: { kind: 'Pod', name: `pod-${ip}`, namespace: 'shop' } });

  it('is read into the shape of slices: a subset for each of its own and each family, unready ones beside the ready', () => {
    const raw = {
      metadata: { ...managed, name: 'web' },
      subsets: [
        {
          addresses: [address('10.0.0.1'), address('fd00::1')],
          notReadyAddresses: [address('10.0.0.2')],
          ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        },
        { notReadyAddresses: [address('fd00::2')], ports: null },
      ],
    };
    const parsed = resources.endpoints.parse(raw);
    assert.equal(parsed?.service, 'web');
    assert.equal(parsed?.managedBy, 'endpoint-controller');
    const told = parsed?.subsets.map(({ addressType, ports, endpoints }) => [
      addressType,
      ports[0]?.port,
      endpoints.map((e) => [e.addresses[0], e.ready, e.serving, e.terminating]),
    ]);
    assert.deepEqual(told, [
      [
        'IPv4',
        8080,
        [
          ['10.0.0.1', true, true, false],
          ['10.0.0.2', false, false, false],
        ],
      ],
      ['IPv6', 8080, [['fd00::1', true, true, false]]],
      ['IPv6', undefined, [['fd00::2', false, false, false]]],
    ]);
  });

  it('that was cut at 1,000 addresses says so', () => {
    for (const value of ['truncated', 'warning']) {
      const annotations = { 'endpoints.kubernetes.io/over-capacity': value };
      assert.equal(resources.endpoints.parse({ metadata: { ...managed, annotations }, subsets: [] })?.truncated, true);
    }
    assert.equal(resources.endpoints.parse({ metadata: managed, subsets: null })?.truncated, false);
    assert.equal(resources.endpoints.parse({ metadata: managed, subsets: null })?.hidesTermination, true);
  });

  it('that only carries a leader election is none of ours', () => {
    const annotations = { 'control-plane.alpha.kubernetes.io/leader': '{}' };
    assert.equal(resources.endpoints.parse({ metadata: { ...managed, annotations } }), undefined);
  });
});

describe('a Service', () => {
  it('is read with its labels, its ports and whether it selects Pods', () => {
    const raw = {
      metadata: {
        ...labelled(
          { app: 'web' },
          { annotations: { 'roster.dev/name': 'shop', other: 'x' }, finalizers: ['f'], generation: 3 },
        ),
      },
      spec: {
        type: 'LoadBalancer',
        selector: { app: 'web' },
        ports: [{ port: 80 }, { name: 'dns', port: 53, protocol: 'UDP' }],
      },
    };
    const parsed = resources.services.parse(raw);
    assert.deepEqual(parsed?.spec, {
      type: 'LoadBalancer',
      hasSelector: true,
      ports: [
        { name: '', port: 80, protocol: 'TCP' },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    });
    assert.deepEqual(parsed?.metadata.labels, { app: 'web' });
    assert.deepEqual(parsed?.metadata.annotations, { 'roster.dev/name': 'shop' });
    assert.deepEqual([parsed?.metadata.finalizers, parsed?.metadata.generation], [['f'], 3]);
  });

  it('without a selector or ports is one all the same', () => {
    assert.deepEqual(resources.services.parse({ metadata, spec: { type: 'ExternalName' } })?.spec, {
      type: 'ExternalName',
      hasSelector: false,
      ports: [],
    });
  });
});

describe('the paths of resources', () => {
  it('are those of the API server', () => {
    assert.equal(resources.namespaces.path('ignored'), '/api/v1/namespaces');
    assert.equal(resources.namespaces.objectPath(undefined, 'shop'), '/api/v1/namespaces/shop');
    assert.equal(resources.services.path(), '/api/v1/services');
    assert.equal(
      resources.endpointSlices.objectPath('shop', 'web-1'),
      '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1',
    );
    assert.equal(
      resources.clusterRegistries.objectPath(undefined, 'consul'),
      '/apis/roster.dev/v1alpha1/clusterregistries/consul',
    );
  });
});

describe('a resource version', () => {
  it('is compared as the number that it is, however long', () => {
    const version = fc.bigInt({ min: 0n, max: 2n ** 130n });
    fc.assert(
      fc.property(version, version, (a, b) => {
        const expected = a < b ? -1 : a > b ? 1 : 0;
        assert.equal(Math.sign(compareResourceVersions(String(a), String(b))), expected);
      }),
    );
  });

  it('is a decimal number without leading zeros, or none', () => {
    for (const bad of ['', '01', '-1', '1.5', 'abc', '1 ', 5, undefined])
      assert.equal(isResourceVersion(bad), false, String(bad));
    for (const good of ['0', '1', '184467440737095516160']) assert.equal(isResourceVersion(good), true);
  });
});
