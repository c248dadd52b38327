import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EndpointSlice, Namespace, Service } from '../../src/api/core.ts';
import type { Registration, ServiceRegistration } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { createCaches } from '../../src/operator/cluster/caches.ts';
import { createTriggers } from '../../src/operator/cluster/triggers.ts';
import { createLedger } from '../../src/operator/registry/ledger.ts';
import { createPropagation } from '../../src/operator/registry/propagation.ts';
import type { RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { clusterRegistration, endpoint, instance, namespace, registration, service, slice } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';

/** Two registries; what each is asked to look at, as `consul shop/web` or `consul shop/web urgent`. */
function stage() {
  const { caches, writers } = createCaches();
  const clock = virtualClock();
  const looked: string[] = [];
  const touched: string[] = [];
  const lags: string[] = [];
  const propagation = createPropagation({
    clock,
    wallNow: () => 5_000,
    observe: (_, source, ms) => lags.push(`${source} ${ms}`),
  });
  const ledgers = new Map<string, ReturnType<typeof createLedger>>();
  const workers = ['consul', 'second'].map((name) => {
    const ledger = createLedger();
    ledgers.set(name, ledger);
    const add = (owner: string, urgency = 'normal') =>
      looked.push(`${name} ${owner}${urgency === 'urgent' ? ' urgent' : ''}`);
    return { id: `ClusterRegistry/${name}`, ledger, queue: { add } } as unknown as RegistryWorker;
  });
  const triggers = createTriggers({
    caches,
    emptied: writers.emptied,
    terminations: writers.terminations,
    propagation,
    workers: () => workers,
    touch: (id) => touched.push(id),
  });
  const take = () => {
    const told = { looked: [...new Set(looked)].sort(), touched: [...new Set(touched)].sort() };
    looked.length = 0;
    touched.length = 0;
    return told;
  };
  const seen = {
    service(object: Service, previous?: Service) {
      writers.services.put(object);
      triggers.onService({ type: 'applied', object, previous });
      return take();
    },
    slice(object: EndpointSlice, previous?: EndpointSlice) {
      writers.slices.put(object);
      triggers.onSlice({ type: 'applied', object, previous });
      return take();
    },
    sliceGone(object: EndpointSlice) {
      writers.slices.remove(`${object.metadata.namespace}/${object.metadata.name}`);
      triggers.onSlice({ type: 'deleted', object });
      return take();
    },
    namespace(object: Namespace, previous?: Namespace) {
      writers.namespaces.put(object);
      triggers.onNamespace({ type: 'applied', object, previous });
      return take();
    },
    registration(object: Registration, previous?: Registration) {
      if (object.kind === 'ServiceRegistration') writers.serviceRegistrations.put(object);
      else writers.clusterServiceRegistrations.put(object);
      triggers.onRegistration({ type: 'applied', object, previous });
      return take();
    },
    registrationGone(object: Registration) {
      if (object.kind === 'ServiceRegistration')
        writers.serviceRegistrations.remove(`${object.metadata.namespace}/${object.metadata.name}`);
      else writers.clusterServiceRegistrations.remove(object.metadata.name);
      triggers.onRegistration({ type: 'deleted', object });
      return take();
    },
    serviceGone(object: Service) {
      writers.services.remove(`${object.metadata.namespace}/${object.metadata.name}`);
      triggers.onService({ type: 'deleted', object });
      return take();
    },
  };
  const holds = (name: string, ...entries: readonly Instance[]) => ledgers.get(name)?.beginList()(entries);
  return { caches, writers, seen, holds, propagation, clock, lags };
}

const WEB = 'ServiceRegistration/shop/web';
const changed = (
  before: ServiceRegistration,
  changes: Partial<ServiceRegistration['metadata']> = { generation: 2 },
) => ({
  ...before,
  metadata: { ...before.metadata, ...changes },
});

describe('a change of a Service', () => {
  it('is looked at in the registries that its registrations name, and in those that hold entries of it', () => {
    const { seen, holds } = stage();
    assert.deepEqual(seen.service(service()).looked, []);
    seen.registration(registration());
    assert.deepEqual(seen.service(service()).looked, ['consul shop/web']);
    holds('second', instance('10.0.0.1'));
    assert.deepEqual(seen.service(service()).looked, ['consul shop/web', 'second shop/web']);
  });

  it('is urgent when it is gone', () => {
    const { seen } = stage();
    seen.registration(registration());
    seen.service(service());
    assert.deepEqual(seen.serviceGone(service()).looked, ['consul shop/web urgent']);
  });

  it('may change what registrations cover when it comes, goes, or has other labels', () => {
    const { seen } = stage();
    seen.registration(clusterRegistration());
    const before = service();
    const labelled = service('shop/web', { meta: { labels: { app: 'web' } } });
    const all = ['ClusterServiceRegistration/all'];
    assert.deepEqual(seen.service(before).touched, all);
    assert.deepEqual(seen.service(before, before).touched, []);
    assert.deepEqual(seen.service(labelled, before).touched, all);
    assert.deepEqual(seen.serviceGone(labelled).touched, all);
  });
});

describe('a change of a slice', () => {
  const of = (...addresses: readonly string[]) => slice(addresses.map((address) => endpoint(address)));
  const open = () => {
    const all = stage();
    all.seen.registration(registration());
    all.seen.service(service());
    return all;
  };

  it('is looked at', () => {
    const { seen } = open();
    assert.deepEqual(seen.slice(of('10.0.0.1')).looked, ['consul shop/web']);
  });

  const urgency: readonly [name: string, before: EndpointSlice, after: EndpointSlice, urgent: boolean][] = [
    ['an address comes', of('10.0.0.1'), of('10.0.0.1', '10.0.0.2'), false],
    ['an address goes', of('10.0.0.1', '10.0.0.2'), of('10.0.0.1'), true],
    [
      'an address begins to terminate',
      of('10.0.0.1'),
      slice([endpoint('10.0.0.1', { terminating: true, ready: false })]),
      true,
    ],
    ['an address is not ready', of('10.0.0.1'), slice([endpoint('10.0.0.1', { ready: false })]), false],
    ['nothing changes', of('10.0.0.1'), of('10.0.0.1'), false],
  ];
  for (const [name, before, after, urgent] of urgency) {
    it(`is ${urgent ? '' : 'not '}urgent when ${name}`, () => {
      const { seen } = open();
      seen.slice(before);
      assert.deepEqual(seen.slice(after, before).looked, [`consul shop/web${urgent ? ' urgent' : ''}`]);
    });
  }

  it('that was the last one, and was seen to go, is knowledge that there are no endpoints', () => {
    const { seen, caches } = open();
    const [a, b] = [slice([], { name: 'a' }), slice([], { name: 'b' })];
    seen.slice(a);
    seen.slice(b);
    assert.deepEqual(seen.sliceGone(a).looked, ['consul shop/web urgent']);
    assert.equal(caches.emptied.has('shop/web'), false);
    seen.sliceGone(b);
    assert.equal(caches.emptied.has('shop/web'), true);
    seen.slice(a);
    assert.equal(caches.emptied.has('shop/web'), false);
  });

  it('that is handed to another Service concerns both', () => {
    const { seen } = open();
    seen.registration(registration({}, { name: 'api' }));
    const before = of('10.0.0.1');
    seen.slice(before);
    assert.deepEqual(seen.slice({ ...before, service: 'api' }, before).looked, [
      'consul shop/api',
      'consul shop/web urgent',
    ]);
  });

  it('is timed from the event, and from the annotation of its writer', async () => {
    const { seen, propagation, clock, lags } = open();
    propagation.begin('ClusterRegistry/consul', 'shop/web');
    const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': new Date(4_000).toISOString() };
    seen.slice(slice([], { meta: { annotations } }));
    await clock.advance(30);
    seen.slice(slice([]));
    await clock.advance(20);
    propagation.begin('ClusterRegistry/consul', 'shop/web')();
    assert.deepEqual(lags, ['watch 50', 'trigger-annotation 1000']);
  });
});

describe('a change of a namespace', () => {
  it('is looked at for all its Services, and for those that registrations name and that are not there', () => {
    const { seen } = stage();
    seen.registration(registration({ serviceRef: { name: 'absent' } }));
    seen.registration(clusterRegistration());
    seen.service(service());
    seen.service(service('other/web'));
    const shop = namespace('shop');
    const told = seen.namespace(namespace('shop', { stage: 'live' }), shop);
    assert.deepEqual(told.looked, ['consul shop/absent', 'consul shop/web']);
    assert.deepEqual(told.touched, ['ClusterServiceRegistration/all', WEB]);
  });

  it('that is not one of labels is nothing', () => {
    const { seen } = stage();
    seen.registration(clusterRegistration());
    seen.service(service());
    assert.deepEqual(seen.namespace(namespace('shop'), namespace('shop')), { looked: [], touched: [] });
  });
});

describe('a change of a registration', () => {
  it('is looked at in its registry for what it may select', () => {
    const { seen } = stage();
    seen.service(service('shop/web'));
    seen.service(service('shop/api'));
    seen.service(service('other/web'));
    assert.deepEqual(seen.registration(registration()), { looked: ['consul shop/web'], touched: [WEB] });
    assert.deepEqual(seen.registration(registration({ selector: {} })).looked, ['consul shop/api', 'consul shop/web']);
    assert.deepEqual(seen.registration(clusterRegistration()).looked, [
      'consul other/web',
      'consul shop/api',
      'consul shop/web',
    ]);
    const elsewhere = registration({ registryRef: { kind: 'ClusterRegistry', name: 'second' } });
    assert.deepEqual(seen.registration(elsewhere).looked, ['second shop/web']);
  });

  it('is looked at for what it may have left in the registry, too', () => {
    const { seen, holds } = stage();
    holds('consul', instance('10.0.0.1', {}, 'shop/old'), instance('10.0.0.1', {}, 'other/old'));
    assert.deepEqual(seen.registration(registration()).looked, ['consul shop/old', 'consul shop/web']);
    assert.deepEqual(seen.registrationGone(registration()), {
      looked: ['consul shop/old', 'consul shop/web'],
      touched: [WEB],
    });
    assert.deepEqual(seen.registrationGone(clusterRegistration()).looked, ['consul other/old', 'consul shop/old']);
  });

  it('is looked at for the Service that it named before: it may still claim a name', () => {
    const { seen } = stage();
    const before = registration({ serviceRef: { name: 'web' } });
    seen.registration(before);
    const after = changed(registration({ serviceRef: { name: 'api' } }));
    assert.deepEqual(seen.registration(after, before).looked, ['consul shop/api', 'consul shop/web']);
  });

  it('is looked at when a reconcile is asked for, or it begins to go, and not for our own status', () => {
    const { seen } = stage();
    const before = registration();
    const ours = { ...before, status: { observedGeneration: 1 } };
    assert.deepEqual(seen.registration(ours, before), { looked: [], touched: [] });
    assert.deepEqual(seen.registration(changed(before, { finalizers: ['x'] }), before), { looked: [], touched: [] });
    for (const change of [
      { deletionTimestamp: '2026-01-01T00:00:00Z' },
      { annotations: { 'roster.dev/reconcile-at': 'now' } },
      { uid: 'another' },
      { generation: 2 },
    ])
      assert.deepEqual(seen.registration(changed(before, change), before), {
        looked: ['consul shop/web'],
        touched: [WEB],
      });
  });
});
