import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AllowedNamespaces, Registration } from '../../src/api/kinds.generated.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { registrationId } from '../../src/mirror/view.ts';
import { type CacheWriters, createCaches } from '../../src/operator/cluster/caches.ts';
import { gather, type Surroundings } from '../../src/operator/gather.ts';
import { refusalOf } from '../../src/operator/refusal.ts';
import {
  CLUSTER,
  clusterRegistration,
  clusterRegistry,
  endpoint,
  instance,
  namespace,
  registration,
  registry,
  service,
  slice,
} from '../mirror/objects.ts';

interface Given {
  readonly fill?: (writers: CacheWriters) => void;
  readonly observed?: readonly Instance[];
  readonly allowedNamespaces?: AllowedNamespaces;
  readonly unreadable?: readonly string[];
}

function look({ fill, observed = [], allowedNamespaces = { all: true }, unreadable = [] }: Given, owner = 'shop/web') {
  const { caches, writers } = createCaches();
  fill?.(writers);
  const surroundings: Surroundings = {
    cluster: CLUSTER,
    caches,
    reservedNamespaces: new Set(['kube-system']),
    isUnreadable: (id) => unreadable.includes(id),
  };
  return gather(surroundings, clusterRegistry({ allowedNamespaces }), owner, observed);
}

const put = (writers: CacheWriters, ...registrations: readonly Registration[]): void => {
  for (const one of registrations) {
    if (one.kind === 'ServiceRegistration') writers.serviceRegistrations.put(one);
    else writers.clusterServiceRegistrations.put(one);
  }
};
const usual = (writers: CacheWriters): void => {
  writers.namespaces.put(namespace('shop'));
  writers.services.put(service());
  writers.slices.put(slice([endpoint('10.0.0.1')]));
};
const ids = (of: readonly Registration[]) => of.map(registrationId);
const SELF = 'ServiceRegistration/shop/web';
const ELSEWHERE = registration({ registryRef: { kind: 'ClusterRegistry', name: 'second' } });

describe('what a decision may look at', () => {
  it('is the Service: present, seen to be deleted, or merely missing', () => {
    assert.equal(look({ fill: usual }).service.state, 'present');
    assert.equal(look({}).service.state, 'missing');
    assert.equal(look({ fill: ({ services }) => services.remove('shop/web') }).service.state, 'deleted');
    const back = ({ services }: CacheWriters) => {
      services.remove('shop/web');
      services.put(service());
    };
    assert.equal(look({ fill: back }).service.state, 'present');
  });

  it('is the endpoints: known by slices that are whole, or that were seen to go', () => {
    assert.equal(look({ fill: usual }).endpoints, 'known');
    assert.equal(look({}).endpoints, 'unknown');
    assert.equal(look({ fill: ({ emptied }) => emptied.add('shop/web') }).endpoints, 'known');
    assert.equal(look({ fill: ({ slices }) => slices.put(slice([])) }).endpoints, 'known');
    const cut = ({ slices }: CacheWriters) => {
      slices.put(slice([], { name: 'a' }));
      slices.put(slice([endpoint('10.0.0.1')], { name: 'b', truncated: true }));
    };
    assert.equal(look({ fill: cut }).endpoints, 'unknown');
  });

  it('is the endpoints: unconfirmed while the last list lacks a slice of the Service, or the first one lacked everything', () => {
    const two = ({ slices }: CacheWriters) => {
      slices.put(slice([endpoint('10.0.0.1')], { name: 'a' }));
      slices.put(slice([endpoint('10.0.0.2')], { name: 'b' }));
    };
    const after = (...steps: readonly ((writers: CacheWriters) => void)[]) =>
      look({
        fill(writers) {
          for (const step of steps) step(writers);
        },
      }).endpoints;
    const lacks = ({ slices }: CacheWriters) => slices.markMissing('shop/b', true);
    assert.equal(after(two, lacks), 'unconfirmed');
    const ends: readonly ((writers: CacheWriters) => void)[] = [
      ({ slices }) => slices.markMissing('shop/b', false),
      ({ slices }) => slices.put(slice([], { name: 'b' })),
      ({ slices }) => slices.remove('shop/b', 'proved'),
    ];
    for (const end of ends) assert.equal(after(two, lacks, end), 'known');
    const others = ({ slices }: CacheWriters) => {
      slices.put(slice([], { name: 'c' }, 'shop/api'));
      slices.markMissing('shop/c', true);
    };
    assert.equal(after(two, others), 'known');
    const startedEmpty = ({ slices }: CacheWriters) => slices.markComplete(false);
    assert.equal(after(two, startedEmpty), 'unconfirmed');
    assert.equal(
      after(({ emptied }) => emptied.add('shop/web'), startedEmpty),
      'unconfirmed',
    );
  });

  it('is what was seen to be deleted, and what was proved to be absent', () => {
    const observed = [instance('10.0.0.1')];
    const gone = look({ fill: ({ services }) => services.remove('shop/web', 'proved') });
    assert.equal(gone.service.state, 'proved-absent');
    const state = (known: 'seen' | 'proved') =>
      look({ fill: ({ serviceRegistrations }) => serviceRegistrations.remove('shop/web', known), observed })
        .registrations[SELF];
    assert.deepEqual([state('seen'), state('proved')], ['deleted', 'proved-absent']);
  });

  it('is which addresses of entries terminate, or did so when they were seen last', () => {
    const observed = ['1', '2', '3', '4'].map((n) => instance(`10.0.0.${n}`));
    const fill = (writers: CacheWriters) => {
      const ending = slice(['1', '2', '9'].map((n) => endpoint(`10.0.0.${n}`, { ready: false, terminating: true })));
      writers.terminations.note('shop/web', ending);
      writers.terminations.note('shop/web', slice([endpoint('10.0.0.2')]));
      writers.terminations.note('shop/api', slice([endpoint('10.0.0.4', { terminating: true })], {}, 'shop/api'));
      writers.slices.put(slice([endpoint('10.0.0.3', { ready: false, terminating: true })]));
    };
    assert.deepEqual(look({ fill, observed }).terminated, ['10.0.0.1', '10.0.0.3']);
  });

  it('is the slices of this Service alone', () => {
    const fill = (writers: CacheWriters) => {
      usual(writers);
      writers.slices.put(slice([endpoint('10.0.0.2')], {}, 'shop/api'));
      writers.slices.put(slice([endpoint('10.0.0.3')], {}, 'other/web'));
    };
    assert.deepEqual(
      look({ fill }).slices.map(({ metadata }) => metadata.name),
      ['web-1'],
    );
  });
});

describe('the registrations that cover a Service', () => {
  const of =
    (...registrations: readonly Registration[]) =>
    (writers: CacheWriters) => {
      usual(writers);
      put(writers, ...registrations);
    };
  const rows: readonly [name: string, given: Given, covering: readonly string[]][] = [
    ['one that names it', { fill: of(registration()) }, [SELF]],
    ['none of another registry', { fill: of(ELSEWHERE) }, []],
    ['none of another Service', { fill: of(registration({ serviceRef: { name: 'api' } })) }, []],
    ['none that is being deleted', { fill: of(registration({}, { deletionTimestamp: '2026-01-01T00:00:00Z' })) }, []],
    ['automatic mirroring', { fill: of(clusterRegistration()) }, ['ClusterServiceRegistration/all']],
    ['a closer one instead of automatic mirroring', { fill: of(clusterRegistration(), registration()) }, [SELF]],
    [
      'automatic mirroring again, when the closer one goes',
      { fill: of(clusterRegistration(), registration({}, { deletionTimestamp: '2026-01-01T00:00:00Z' })) },
      ['ClusterServiceRegistration/all'],
    ],
    [
      'the older of two first',
      {
        fill: of(
          registration({}, { creationTimestamp: '2026-06-01T00:00:00Z' }),
          registration({ selector: {} }, { name: 'z' }),
        ),
      },
      ['ServiceRegistration/shop/z', SELF],
    ],
    [
      'one whose namespace is not admitted: it asked, and is told',
      { fill: of(registration()), allowedNamespaces: { names: ['other'] } },
      [SELF],
    ],
    [
      'no automatic mirroring of a namespace that is not admitted',
      { fill: of(clusterRegistration()), allowedNamespaces: { names: ['other'] } },
      [],
    ],
  ];
  for (const [name, given, covering] of rows)
    it(`are ${name}`, () => assert.deepEqual(ids(look(given).covering), covering));

  it('are those that name it, or that its entries name, when the Service is not there', () => {
    const fill = (writers: CacheWriters) =>
      put(writers, registration(), clusterRegistration(), registration({ selector: {} }, { name: 'z' }));
    assert.deepEqual(ids(look({ fill }).covering), [SELF]);
    const observed = [instance('10.0.0.1', { marks: { registration: 'ServiceRegistration/shop/z' } })];
    assert.deepEqual(ids(look({ fill, observed }).covering), [SELF, 'ServiceRegistration/shop/z']);
  });

  it('are known, unless automatic mirroring might take it and its Namespace is not there', () => {
    const without =
      (...registrations: readonly Registration[]) =>
      (writers: CacheWriters) => {
        writers.services.put(service());
        put(writers, ...registrations);
      };
    assert.equal(look({ fill: of(clusterRegistration()) }).coverage, 'known');
    assert.equal(look({ fill: without(clusterRegistration()) }).coverage, 'unknown');
    assert.equal(look({ fill: without() }).coverage, 'known');
    assert.equal(look({ fill: without(clusterRegistration(), registration()) }).coverage, 'known');
    const elsewhere = clusterRegistration({ registryRef: { kind: 'ClusterRegistry', name: 'second' } });
    assert.equal(look({ fill: without(elsewhere) }).coverage, 'known');
    const gone = (writers: CacheWriters) => {
      without(clusterRegistration())(writers);
      writers.namespaces.remove('shop');
    };
    assert.equal(look({ fill: gone }).coverage, 'known');
  });
});

describe('what became of the registration that an entry names', () => {
  const observed = [instance('10.0.0.1')];
  const rows: readonly [state: string, given: Given][] = [
    ['covers', { fill: (writers) => put(writers, registration()) }],
    ['missing', {}],
    ['deleted', { fill: ({ serviceRegistrations }) => serviceRegistrations.remove('shop/web') }],
    ['deleting', { fill: (writers) => put(writers, registration({}, { deletionTimestamp: '2026-01-01T00:00:00Z' })) }],
    ['elsewhere', { fill: (writers) => put(writers, registration({ serviceRef: { name: 'api' } })) }],
    ['other-registry', { fill: (writers) => put(writers, ELSEWHERE) }],
    ['refused', { unreadable: [SELF] }],
  ];
  for (const [state, { fill, ...given }] of rows) {
    it(state, () => {
      const both = (writers: CacheWriters) => {
        usual(writers);
        fill?.(writers);
      };
      assert.deepEqual(look({ ...given, observed, fill: both }).registrations, { [SELF]: state });
    });
  }

  it('deleted, of another registry: left to that one as long as it is there', () => {
    const gone = (writers: CacheWriters) => {
      usual(writers);
      put(writers, ELSEWHERE);
      writers.serviceRegistrations.remove('shop/web');
    };
    const second = { ...clusterRegistry(), metadata: { ...clusterRegistry().metadata, name: 'second' } };
    const stands = (writers: CacheWriters) => {
      gone(writers);
      writers.clusterRegistries.put(second);
    };
    assert.deepEqual(look({ observed, fill: stands }).registrations, { [SELF]: 'other-registry' });
    assert.deepEqual(look({ observed, fill: gone }).registrations, { [SELF]: 'deleted' });
  });

  it('refused, for automatic mirroring of a namespace that is not admitted any more', () => {
    const entry = instance('10.0.0.1', { marks: { registration: 'ClusterServiceRegistration/all' } });
    const fill = (writers: CacheWriters) => {
      usual(writers);
      put(writers, clusterRegistration());
    };
    const { registrations } = look({ fill, observed: [entry], allowedNamespaces: { names: [] } });
    assert.deepEqual(registrations, { 'ClusterServiceRegistration/all': 'refused' });
  });

  it('is told with what it says about its entries, while it is there', () => {
    const fill = (writers: CacheWriters) => put(writers, registration({ suspend: true, deletionPolicy: 'Retain' }));
    assert.deepEqual(look({ fill, observed }).policies, {
      [SELF]: { updatePolicy: 'Sync', deletionPolicy: 'Retain', suspend: true },
    });
    assert.deepEqual(look({ observed }).policies, {});
  });

  it('is missing for marks that someone has made up', () => {
    for (const made of ['', 'constructor', '__proto__', 'ServiceRegistration', 'a/b/c/d', 'Secret/shop/web']) {
      const entry = instance('10.0.0.1', { marks: { registration: made } });
      assert.deepEqual(Object.values(look({ fill: usual, observed: [entry] }).registrations), ['missing'], made);
    }
  });
});

describe('a registration is refused as a whole', () => {
  const rows: readonly [name: string, code: string | undefined, ...given: Parameters<typeof refusalOf>][] = [
    ['for nothing', undefined, registration(), clusterRegistry(), namespace('shop')],
    ['when its registry does not exist', 'RegistryNotFound', registration(), undefined, namespace('shop')],
    [
      'when its namespace is not admitted',
      'NamespaceNotAllowed',
      registration(),
      clusterRegistry({ allowedNamespaces: {} }),
      namespace('shop'),
    ],
    [
      'not when it is cluster-wide: it takes the namespaces that are',
      undefined,
      clusterRegistration(),
      clusterRegistry({ allowedNamespaces: {} }),
      undefined,
    ],
    ['not by a Registry of its own namespace', undefined, registration(), registry(), namespace('shop')],
    [
      'for an address type of later',
      'NotYetSupported',
      registration({ addressType: 'ClusterIP' }),
      clusterRegistry(),
      namespace('shop'),
    ],
  ];
  for (const [name, code, ...given] of rows) {
    it(name, () => {
      const refusal = refusalOf(...given);
      assert.equal(refusal?.code, code);
      if (refusal !== undefined) assert.match(refusal.message, /;|use|create|ask/, 'it says what to do');
    });
  }
});
