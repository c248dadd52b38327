import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RegistrationSpec } from '../../src/api/kinds.generated.ts';
import type { Claim } from '../../src/mirror/claims.ts';
import { desired, type Normalise } from '../../src/mirror/desired.ts';
import { planChanges } from '../../src/mirror/plan.ts';
import type { RegistrationState, View } from '../../src/mirror/view.ts';
import {
  clusterRegistration,
  endpoint,
  type InstanceChanges,
  instance,
  registration,
  service,
  slice,
  view,
} from './objects.ts';

const asIs: Normalise = (one) => ({ ok: true, instance: one });

/** `register 10.0.0.1 EndpointAdded`, or `keep 10.0.0.1 unconfirmed`; keeping what is as it should be says nothing. */
function told(changes: Partial<View>, normalise = asIs): readonly string[] {
  const given = view(changes);
  const plan = planChanges(given, desired(given, normalise));
  for (const { message } of plan.leftAlone) assert.notEqual(message, '');
  return [
    ...plan.changes.map(({ action, instance: { address }, reason }) => `${action} ${address} ${reason}`),
    ...plan.leftAlone.map(({ instance: { address }, because }) => `keep ${address} ${because}`),
  ];
}

const SELF = 'ServiceRegistration/shop/web';
const OTHER = 'ServiceRegistration/shop/other';
const policy = (changes: Partial<RegistrationSpec> = {}) => ({ ...registration().spec, ...changes });

/** An entry that no endpoint is behind. */
const stray = (changes: InstanceChanges = {}) => instance('10.9.9.9', changes);
const strayOf = (of: string, changes: InstanceChanges = {}) =>
  stray({ ...changes, marks: { registration: of, ...changes.marks } });

const OPTED_OUT = service('shop/web', { meta: { annotations: { 'roster.dev/register': 'false' } } });
const HOLDER: Claim = {
  owner: 'shop/older',
  registration: 'ServiceRegistration/shop/older',
  registrationCreated: '2025-01-01T00:00:00Z',
  serviceCreated: '2025-01-01T00:00:00Z',
  mergeName: false,
};

describe('the plan', () => {
  const rows: readonly [name: string, changes: Partial<View>, plan: readonly string[]][] = [
    ['registers what is wanted and not there', {}, ['register 10.0.0.1 EndpointAdded']],
    ['leaves what is as it should be', { observed: [instance('10.0.0.1')] }, []],
    ['updates what differs', { observed: [instance('10.0.0.1', { weight: 1 })] }, ['update 10.0.0.1 Changed']],
    [
      'updates in one step what stands under another name',
      { observed: [instance('10.0.0.1', { service: 'old' })] },
      ['update 10.0.0.1 Changed'],
    ],
    [
      'takes over what another registration wrote that is gone',
      { observed: [instance('10.0.0.1', { marks: { registration: OTHER } })], registrations: { [OTHER]: 'deleted' } },
      ['update 10.0.0.1 Changed'],
    ],
    [
      'takes back what was left behind',
      {
        observed: [instance('10.0.0.1', { marks: { registration: OTHER, retained: true } })],
        registrations: { [OTHER]: 'deleted' },
      },
      ['update 10.0.0.1 Changed'],
    ],
    [
      'removes last what is not wanted',
      { observed: [stray()] },
      ['register 10.0.0.1 EndpointAdded', 'deregister 10.9.9.9 EndpointRemoved'],
    ],
    ['does nothing where nothing is and nothing is wanted', { covering: [], slices: [] }, []],
  ];
  for (const [name, changes, plan] of rows) it(name, () => assert.deepEqual(told(changes), plan));

  it('gives to automatic mirroring what a team asked for only when its registration is seen or proved to ask no more', () => {
    const mirrored = (state: RegistrationState, by = OTHER) =>
      told({
        covering: [clusterRegistration()],
        observed: [instance('10.0.0.1', { marks: { registration: by } })],
        registrations: { [by]: state },
      });
    assert.deepEqual(mirrored('missing'), ['keep 10.0.0.1 unconfirmed']);
    for (const state of ['elsewhere', 'deleting', 'deleted', 'proved-absent'] as const)
      assert.deepEqual(mirrored(state), ['update 10.0.0.1 Changed'], state);
    assert.deepEqual(mirrored('missing', 'ClusterServiceRegistration/before'), ['update 10.0.0.1 Changed']);
    const asked = { observed: [instance('10.0.0.1', { marks: { registration: OTHER } })] };
    assert.deepEqual(told({ ...asked, registrations: { [OTHER]: 'missing' } }), ['update 10.0.0.1 Changed']);
  });

  it('says what stood there before an update', () => {
    const previous = instance('10.0.0.1', { service: 'old' });
    const given = view({ observed: [previous] });
    const [change] = planChanges(given, desired(given, asIs)).changes;
    assert.ok(change?.action === 'update');
    assert.equal(change.previous, previous);
    assert.equal(change.instance.service, 'web');
    assert.equal(change.instance.id, previous.id);
  });
});

describe('the evidence for a removal', () => {
  const rows: readonly [name: string, changes: Partial<View>, entry: string][] = [
    ['an endpoint gone from known slices', { observed: [stray()] }, 'deregister 10.9.9.9 EndpointRemoved'],
    [
      'the last endpoint gone from known slices',
      { observed: [stray()], slices: [slice([])] },
      'deregister 10.9.9.9 EndpointRemoved',
    ],
    [
      'no slices, when their deletion was seen',
      { observed: [stray()], slices: [] },
      'deregister 10.9.9.9 EndpointRemoved',
    ],
    [
      'no slices that anybody told of',
      { observed: [stray()], slices: [], endpoints: 'unknown' },
      'keep 10.9.9.9 no-endpoint-slices',
    ],
    [
      'slices of which the last list lacked some',
      { observed: [stray()], endpoints: 'unconfirmed' },
      'keep 10.9.9.9 unconfirmed',
    ],
    ['slices that are cut short', { observed: [stray()], endpoints: 'unknown' }, 'keep 10.9.9.9 no-endpoint-slices'],
    ['a deleted Service', { observed: [stray()], service: { state: 'deleted' } }, 'deregister 10.9.9.9 ServiceDeleted'],
    [
      'a deleted Service without slices',
      { observed: [stray()], service: { state: 'deleted' }, slices: [], endpoints: 'unknown' },
      'deregister 10.9.9.9 ServiceDeleted',
    ],
    [
      'a deleted Service that nothing covers',
      { observed: [stray()], service: { state: 'deleted' }, covering: [], registrations: { [SELF]: 'elsewhere' } },
      'deregister 10.9.9.9 ServiceDeleted',
    ],
    [
      'a Service that the cache lacks',
      { observed: [stray()], service: { state: 'missing' } },
      'keep 10.9.9.9 unconfirmed',
    ],
    [
      'an opted-out Service',
      { observed: [stray()], service: { state: 'present', object: OPTED_OUT } },
      'deregister 10.9.9.9 OptedOut',
    ],
    [
      'an opted-out Service without known slices',
      { observed: [stray()], service: { state: 'present', object: OPTED_OUT }, slices: [], endpoints: 'unknown' },
      'deregister 10.9.9.9 OptedOut',
    ],
    [
      'a port that is missing',
      { observed: [stray()], covering: [registration({ ports: ['x'] })] },
      'keep 10.9.9.9 not-accepted',
    ],
    [
      'a name that the registry cannot hold',
      { observed: [stray()], covering: [registration({ name: '' })] },
      'keep 10.9.9.9 not-accepted',
    ],
    [
      'a registration that is refused',
      { observed: [stray()], refusals: { [SELF]: { code: 'NotYetSupported', message: 'not yet' } } },
      'keep 10.9.9.9 not-accepted',
    ],
    [
      'a lost name, for what stands under it',
      { observed: [stray()], claims: { web: [HOLDER] } },
      'deregister 10.9.9.9 NameConflict',
    ],
    [
      'a lost name, for what stands under another',
      { observed: [stray({ service: 'old' })], claims: { web: [HOLDER] } },
      'keep 10.9.9.9 not-accepted',
    ],
  ];
  const nonempty: Normalise = (one) =>
    one.service === '' ? { ok: false, message: 'a name cannot be empty' } : asIs(one);
  for (const [name, changes, entry] of rows) {
    it(`${entry.split(' ')[0]}s for ${name}`, () =>
      assert.ok(told(changes, nonempty).includes(entry), `${told(changes, nonempty)}`));
  }

  const states: readonly [
    state: RegistrationState | 'nothing known',
    retained: boolean,
    uncovered: string,
    covered: string,
  ][] = [
    ['elsewhere', false, 'deregister 10.9.9.9 NotSelected', 'deregister 10.9.9.9 NotSelected'],
    ['elsewhere', true, 'deregister 10.9.9.9 NotSelected', 'deregister 10.9.9.9 NotSelected'],
    ['refused', false, 'keep 10.9.9.9 not-accepted', 'keep 10.9.9.9 not-accepted'],
    ['other-registry', false, 'keep 10.9.9.9 other-registry', 'keep 10.9.9.9 other-registry'],
    ['deleting', false, 'deregister 10.9.9.9 RegistrationDeleted', 'deregister 10.9.9.9 RegistrationDeleted'],
    ['deleting', true, 'keep 10.9.9.9 retained', 'keep 10.9.9.9 retained'],
    ['deleted', false, 'deregister 10.9.9.9 RegistrationDeleted', 'deregister 10.9.9.9 RegistrationDeleted'],
    ['deleted', true, 'keep 10.9.9.9 retained', 'keep 10.9.9.9 retained'],
    ['missing', false, 'keep 10.9.9.9 unconfirmed', 'keep 10.9.9.9 unconfirmed'],
    ['missing', true, 'keep 10.9.9.9 unconfirmed', 'keep 10.9.9.9 unconfirmed'],
    ['nothing known', false, 'keep 10.9.9.9 unconfirmed', 'keep 10.9.9.9 unconfirmed'],
  ];
  for (const [state, retained, uncovered, covered] of states) {
    const given = {
      observed: [strayOf(OTHER, { marks: { retained } })],
      registrations: state === 'nothing known' ? {} : { [OTHER]: state },
    };
    it(`is what became of the registration that it names: ${state}${retained ? ', left behind' : ''}`, () => {
      assert.deepEqual(told({ ...given, covering: [] }), [uncovered]);
      assert.ok(told(given).includes(covered), 'and so where another one covers the Service');
    });
  }

  it('is held against an entry while one that could take it over cannot be carried out', () => {
    for (const state of ['deleted', 'deleting', 'elsewhere'] as const) {
      const given = {
        observed: [strayOf(OTHER)],
        registrations: { [OTHER]: state },
        covering: [registration({ ports: ['x'] })],
      };
      assert.deepEqual(told(given), ['keep 10.9.9.9 not-accepted']);
    }
  });

  it('of one registration does not wait for the trouble of another', () => {
    const covering = [
      registration({}, { name: 'web' }),
      registration({ ports: ['x'], serviceRef: { name: 'web' } }, { name: 'b' }),
    ];
    assert.ok(told({ observed: [stray()], covering }).includes('deregister 10.9.9.9 EndpointRemoved'));
  });

  it('is none while the registry cannot hold what the entry should become', () => {
    const fussy: Normalise = (one) =>
      one.metadata['zone'] === 'x' ? { ok: false, message: 'no such zone' } : asIs(one);
    const given = { observed: [instance('10.0.0.1')], slices: [slice([endpoint('10.0.0.1', { zone: 'x' })])] };
    assert.deepEqual(told(given, fussy), ['keep 10.0.0.1 not-accepted']);
  });

  it('is none in marks that someone changed: under this id another Service has its entry', () => {
    const changed = { ...stray(), id: instance('10.9.9.9', {}, 'shop/api').id };
    for (const state of ['present', 'deleted'] as const)
      assert.ok(
        told({ observed: [changed], ...(state === 'present' ? {} : { service: { state } }) }).includes(
          'keep 10.9.9.9 unconfirmed',
        ),
      );
  });

  it('is none while it cannot be told whether automatic mirroring covers the Service', () => {
    const open = { observed: [strayOf(OTHER)], covering: [], coverage: 'unknown' } as const;
    for (const state of ['elsewhere', 'deleting', 'deleted'] as const)
      assert.deepEqual(told({ ...open, registrations: { [OTHER]: state } }), ['keep 10.9.9.9 unconfirmed']);
    const gone = { ...open, registrations: { [OTHER]: 'elsewhere' }, service: { state: 'deleted' } } as const;
    assert.deepEqual(told(gone), ['deregister 10.9.9.9 ServiceDeleted']);
  });

  it('is none in what another Registry object writes to the same server, whatever else is known', () => {
    for (const state of ['present', 'deleted', 'missing'] as const) {
      const given: Partial<View> = {
        observed: [strayOf(OTHER)],
        registrations: { [OTHER]: 'other-registry' },
        covering: [],
        ...(state === 'present' ? {} : { service: { state } }),
      };
      assert.deepEqual(told(given), ['keep 10.9.9.9 other-registry']);
    }
  });
});

describe('the update policy', () => {
  const observed = [instance('10.0.0.2', { weight: 1 }), stray()];
  const slices = [slice([endpoint('10.0.0.1'), endpoint('10.0.0.2')])];
  const all = ['register 10.0.0.1 EndpointAdded', 'update 10.0.0.2 Changed', 'deregister 10.9.9.9 EndpointRemoved'];
  const rows: readonly [name: string, spec: Partial<RegistrationSpec>, plan: readonly string[]][] = [
    ['Sync does everything', { updatePolicy: 'Sync' }, all],
    ['UpsertOnly never removes', { updatePolicy: 'UpsertOnly' }, [...all.slice(0, 2), 'keep 10.9.9.9 update-policy']],
    [
      'CreateOnly neither updates nor removes',
      { updatePolicy: 'CreateOnly' },
      [...all.slice(0, 1), 'keep 10.0.0.2 update-policy', 'keep 10.9.9.9 update-policy'],
    ],
    [
      'DryRun only says what it would do',
      { updatePolicy: 'DryRun' },
      ['keep 10.0.0.1 dry-run', 'keep 10.0.0.2 dry-run', 'keep 10.9.9.9 dry-run'],
    ],
    [
      'suspend writes nothing',
      { suspend: true },
      ['keep 10.0.0.1 suspended', 'keep 10.0.0.2 suspended', 'keep 10.9.9.9 suspended'],
    ],
  ];
  for (const [name, spec, plan] of rows) {
    it(name, () => assert.deepEqual(told({ covering: [registration(spec)], observed, slices }), plan));
  }

  const removals: readonly [name: string, changes: Partial<View>][] = [
    ['when the Service is deleted', { service: { state: 'deleted' } }],
    ['when the Service opts out', { service: { state: 'present', object: OPTED_OUT } }],
    ['when the name is lost', { claims: { web: [HOLDER] } }],
    ['when the Service is not selected any more', { covering: [], registrations: { [SELF]: 'elsewhere' } }],
    [
      'when another registration has taken the Service over',
      { covering: [clusterRegistration()], registrations: { [SELF]: 'elsewhere' } },
    ],
  ];
  for (const [name, changes] of removals) {
    for (const [because, spec] of [
      ['update-policy', { updatePolicy: 'UpsertOnly' }],
      ['suspended', { suspend: true }],
      ['dry-run', { updatePolicy: 'DryRun' }],
    ] as const) {
      it(`${Object.values(spec)[0] === true ? 'suspend' : Object.values(spec)[0]} holds its entries ${name}`, () => {
        const given = {
          covering: [registration(spec)],
          observed: [stray()],
          policies: { [SELF]: policy(spec) },
          ...changes,
        };
        assert.ok(told(given).includes(`keep 10.9.9.9 ${because}`), `${told(given)}`);
      });
    }
  }

  it('of one registration does not bind the entries of another', () => {
    const covering = [registration(), registration({ suspend: true, serviceRef: { name: 'web' } }, { name: 'b' })];
    assert.ok(told({ covering, observed: [stray()] }).includes('deregister 10.9.9.9 EndpointRemoved'));
  });

  it('tells on a dry run only of removals that would be made, and holds otherwise whatever is known', () => {
    const rows = [
      [{ updatePolicy: 'DryRun' }, 'no-endpoint-slices'],
      [{ updatePolicy: 'UpsertOnly' }, 'update-policy'],
      [{ suspend: true }, 'suspended'],
    ] as const;
    for (const [spec, because] of rows) {
      const given = { covering: [registration(spec)], observed: [stray()], slices: [], endpoints: 'unknown' } as const;
      assert.deepEqual(told(given), [`keep 10.9.9.9 ${because}`]);
    }
  });

  it('ends with its registration: what then happens is for deletionPolicy to say', () => {
    for (const spec of [{ updatePolicy: 'UpsertOnly' }, { updatePolicy: 'DryRun' }, { suspend: true }] as const) {
      const given = {
        observed: [stray()],
        covering: [],
        registrations: { [SELF]: 'deleting' as const },
        policies: { [SELF]: policy(spec) },
      };
      assert.deepEqual(told(given), ['deregister 10.9.9.9 RegistrationDeleted']);
    }
  });
});

describe('the deletion policy', () => {
  const going = (spec: Partial<RegistrationSpec>, retained: boolean, changes: Partial<View> = {}) =>
    told({
      observed: [stray({ marks: { retained } })],
      covering: [],
      registrations: { [SELF]: 'deleting' },
      policies: { [SELF]: policy(spec) },
      ...changes,
    });

  it('Retain is written on entries that do not say it yet, since nothing else will tell of it later', () => {
    assert.deepEqual(going({ deletionPolicy: 'Retain' }, false), ['update 10.9.9.9 RegistrationDeleted']);
    assert.deepEqual(going({ deletionPolicy: 'Retain' }, true), ['keep 10.9.9.9 retained']);
    assert.deepEqual(going({ deletionPolicy: 'Retain', suspend: true }, false), [
      'update 10.9.9.9 RegistrationDeleted',
    ]);
  });

  it('Delete counts as it stands when the registration goes, whatever the entries still say', () => {
    assert.deepEqual(going({ deletionPolicy: 'Delete' }, true), ['deregister 10.9.9.9 RegistrationDeleted']);
  });

  it('Retain outlives the Service too', () => {
    assert.deepEqual(going({ deletionPolicy: 'Retain' }, true, { service: { state: 'deleted' } }), [
      'keep 10.9.9.9 retained',
    ]);
    assert.deepEqual(going({ deletionPolicy: 'Retain' }, true, { service: { state: 'missing' } }), [
      'keep 10.9.9.9 retained',
    ]);
  });

  it('speaks of the deletion of the registration, not of an endpoint’s', () => {
    const covering = [registration({ deletionPolicy: 'Retain' })];
    assert.ok(
      told({ covering, observed: [stray({ marks: { retained: true } })] }).includes(
        'deregister 10.9.9.9 EndpointRemoved',
      ),
    );
  });
});
