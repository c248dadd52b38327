import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { EndpointSlice, Service } from '../../src/api/core.ts';
import type { Registration } from '../../src/api/kinds.generated.ts';
import type { Change } from '../../src/mirror/change.ts';
import { desired, type Normalise } from '../../src/mirror/desired.ts';
import { isGone } from '../../src/mirror/evidence.ts';
import { canonical, type Instance } from '../../src/mirror/instance.ts';
import { planChanges } from '../../src/mirror/plan.ts';
import { claimsOf } from '../../src/mirror/ports.ts';
import { type EntryPolicy, type RegistrationState, registrationId, type View } from '../../src/mirror/view.ts';
import { clusterRegistration, endpoint, instance, registration, service, slice, view } from './objects.ts';

/** A registry that puts a prefix before names and takes neither empty names nor one zone. */
const normalise: Normalise = (one) => {
  if (one.service === '') return { ok: false, message: 'no empty name' };
  if (one.metadata['zone'] === 'bad') return { ok: false, message: 'no such zone' };
  return { ok: true, instance: { ...one, service: `k8s-${one.service}` } };
};

const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
const address = fc.constantFrom(...ADDRESSES);

const policies: fc.Arbitrary<EntryPolicy> = fc.record({
  updatePolicy: fc.constantFrom(
    'Sync' as const,
    'Sync' as const,
    'UpsertOnly' as const,
    'CreateOnly' as const,
    'DryRun' as const,
  ),
  deletionPolicy: fc.constantFrom('Delete' as const, 'Delete' as const, 'Retain' as const),
  suspend: fc.constantFrom(false, false, false, true),
});

const covering: fc.Arbitrary<readonly Registration[]> = fc
  .array(
    fc.record({
      policy: policies,
      name: fc.constantFrom('{service}', '{service}-{port}', 'fixed', ''),
      ports: fc.constantFrom<readonly string[] | undefined>(undefined, ['http'], ['grpc'], ['http', 'grpc'], ['none']),
      health: fc.constantFrom('Readiness' as const, 'ReadyOnly' as const),
      weight: fc.constantFrom(1, 100),
    }),
    { maxLength: 2 },
  )
  .map((specs) =>
    specs.map(({ policy, ports, ...spec }, index) => {
      const all = { ...spec, ...policy, ...(ports === undefined ? {} : { ports }) };
      return index === 0
        ? registration({ ...all, serviceRef: { name: 'web' } }, { name: 'r0' })
        : clusterRegistration(all, { name: 'r1' });
    }),
  );

const services: fc.Arbitrary<Service> = fc
  .record({
    ports: fc.constantFrom(
      [{ name: 'http', port: 80, protocol: 'TCP' }],
      [
        { name: 'http', port: 80, protocol: 'TCP' },
        { name: 'grpc', port: 9000, protocol: 'TCP' },
      ],
      [],
    ),
    annotations: fc.constantFrom<Readonly<Record<string, string>>>(
      {},
      {},
      {},
      { 'roster.dev/register': 'false' },
      { 'roster.dev/weight': 'x' },
      { 'roster.dev/name': 'named-{port}' },
    ),
  })
  .map(({ ports, annotations }) => service('shop/web', { ports, meta: { annotations } }));

const slices: fc.Arbitrary<readonly EndpointSlice[]> = fc
  .array(
    fc.record({
      endpoints: fc.array(
        fc
          .tuple(address, fc.boolean(), fc.boolean(), fc.constantFrom(undefined, 'a', 'bad'))
          .map(([at, ready, terminating, zone]) =>
            endpoint(at, { ready, serving: ready, terminating, ...(zone === undefined ? {} : { zone }) }),
          ),
        { maxLength: 4 },
      ),
      grpc: fc.constantFrom(8080, 9090),
    }),
    { maxLength: 2 },
  )
  .map((all) =>
    all.map(({ endpoints, grpc }, index) =>
      slice(endpoints, {
        name: `web-${index}`,
        ports: [
          { name: 'http', port: 8080, protocol: 'TCP' },
          { name: 'grpc', port: grpc, protocol: 'TCP' },
        ],
      }),
    ),
  );

const STATES: readonly RegistrationState[] = [
  'covers',
  'elsewhere',
  'refused',
  'other-registry',
  'deleting',
  'deleted',
  'proved-absent',
  'missing',
];

const observed: fc.Arbitrary<readonly Instance[]> = fc
  .uniqueArray(
    fc.record({
      address,
      port: fc.constantFrom(8080, 9090),
      service: fc.constantFrom('k8s-web', 'k8s-old', 'k8s-web-http'),
      weight: fc.constantFrom(1, 100),
      registration: fc.constantFrom(
        'ServiceRegistration/shop/r0',
        'ClusterServiceRegistration/r1',
        'ServiceRegistration/shop/x',
      ),
      retained: fc.boolean(),
    }),
    { maxLength: 5, selector: ({ address, port }) => `${address}:${port}` },
  )
  .map((all) =>
    all.map(({ address: at, registration: of, retained, ...rest }) =>
      instance(at, { ...rest, marks: { registration: of, retained } }),
    ),
  );

const views: fc.Arbitrary<View> = fc
  .record({
    covering,
    service: fc.oneof(
      { weight: 4, arbitrary: services.map((object) => ({ state: 'present', object }) as const) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          { state: 'deleted' } as const,
          { state: 'proved-absent' } as const,
          { state: 'missing' } as const,
        ),
      },
    ),
    slices,
    endpoints: fc.constantFrom('known' as const, 'known' as const, 'unknown' as const),
    coverage: fc.constantFrom('known' as const, 'known' as const, 'unknown' as const),
    observed,
    other: fc.constantFrom(...STATES.filter((state) => state !== 'covers')),
    uncovered: fc.constantFrom(...STATES.filter((state) => state !== 'covers')),
    policy: policies,
    refused: fc.constantFrom(false, false, false, true),
    lost: fc.constantFrom(false, false, false, true),
  })
  .map(({ other, uncovered, policy, refused, lost, ...rest }) => {
    const ids = new Set(rest.covering.map(registrationId));
    const states = [...new Set(rest.observed.map(({ marks }) => marks.registration))].map((id) => {
      const state = ids.has(id) ? 'covers' : id.endsWith('x') ? other : uncovered;
      return [id, state] as const;
    });
    const there = states.filter(([, state]) => state !== 'missing' && (state === 'deleting' || !isGone(state)));
    const [first] = rest.covering;
    const seen = view({
      ...rest,
      registrations: Object.fromEntries(states),
      policies: {
        ...Object.fromEntries(there.map(([id]) => [id, policy])),
        ...Object.fromEntries(rest.covering.map((one) => [registrationId(one), one.spec])),
      },
      refusals:
        refused && first !== undefined ? { [registrationId(first)]: { code: 'NotYetSupported', message: 'no' } } : {},
    });
    const claims = Object.fromEntries(
      [...claimsOf(seen)].map(([name, mine]) => {
        const older = {
          ...mine,
          owner: 'shop/older',
          registration: 'ServiceRegistration/shop/older',
          registrationCreated: '2020-01-01T00:00:00Z',
        };
        return [name, lost && !mine.mergeName ? [older, mine] : [mine]];
      }),
    );
    return { ...seen, claims };
  });

const plan = (given: View) => planChanges(given, desired(given, normalise));

/** What stands after the registry took the changes. */
function applied(standing: readonly Instance[], changes: readonly Change[]): readonly Instance[] {
  const entries = new Map(standing.map((one) => [one.id, one]));
  for (const { action, instance: one } of changes) {
    if (action === 'deregister') entries.delete(one.id);
    else entries.set(one.id, one);
  }
  return [...entries.values()];
}

const sorted = (instances: readonly Instance[]) => instances.map(canonical).sort();
const RUNS = { numRuns: 2_000 };

describe('the plan for any view', () => {
  it('says what stands and what differs truthfully, and touches each id once', () => {
    fc.assert(
      fc.property(views, (given) => {
        const { changes } = plan(given);
        const standing = new Map(given.observed.map((one) => [one.id, one]));
        assert.equal(new Set(changes.map(({ instance: one }) => one.id)).size, changes.length);
        for (const change of changes) {
          const before = standing.get(change.instance.id);
          if (change.action === 'register') assert.equal(before, undefined);
          else if (change.action === 'deregister') assert.equal(change.instance, before);
          else assert.ok(change.previous === before && canonical(change.previous) !== canonical(change.instance));
        }
      }),
      RUNS,
    );
  });

  it('registers and updates first and removes last', () => {
    fc.assert(
      fc.property(views, (given) => {
        const removals = plan(given).changes.map(({ action }) => action === 'deregister');
        assert.deepEqual(removals, removals.toSorted());
      }),
      RUNS,
    );
  });

  it('is empty once it was carried out', () => {
    fc.assert(
      fc.property(views, (given) => {
        const { changes } = plan(given);
        assert.deepEqual(plan({ ...given, observed: applied(given.observed, changes) }).changes, []);
      }),
      RUNS,
    );
  });

  it('gives exactly what is wanted when everything is evident and the policy is Sync', () => {
    fc.assert(
      fc.property(views, (given) => {
        const evident: View = {
          ...given,
          endpoints: 'known',
          coverage: 'known',
          refusals: {},
          claims: {},
          service: given.service.state === 'missing' ? { state: 'deleted' } : given.service,
          covering: given.covering.map((one) => {
            const spec = { updatePolicy: 'Sync', suspend: false } as const;
            return one.kind === 'ServiceRegistration'
              ? { ...one, spec: { ...one.spec, ...spec } }
              : { ...one, spec: { ...one.spec, ...spec } };
          }),
          registrations: Object.fromEntries(
            Object.entries(given.registrations).map(([id, state]) => [id, state === 'covers' ? state : 'elsewhere']),
          ),
          policies: {},
        };
        const wanted = desired(evident, normalise);
        if (
          evident.service.state === 'present' &&
          wanted.some(({ problem, unfit }) => problem !== undefined || unfit.length > 0)
        )
          return;
        const { changes } = planChanges(evident, wanted);
        assert.deepEqual(
          sorted(applied(evident.observed, changes)),
          sorted(wanted.flatMap(({ instances }) => instances)),
        );
      }),
      RUNS,
    );
  });

  it('accounts for every difference: it is a change, or it is left alone with a reason', () => {
    fc.assert(
      fc.property(views, (given) => {
        const wanted = desired(given, normalise);
        const { changes, leftAlone } = planChanges(given, wanted);
        const told = new Set([...changes, ...leftAlone].map(({ instance: one }) => one.id));
        const targets = new Map(wanted.flatMap(({ instances }) => instances).map((one) => [one.id, one]));
        for (const id of new Set([...targets.keys(), ...given.observed.map((one) => one.id)])) {
          const [target, standing] = [targets.get(id), given.observed.find((one) => one.id === id)];
          const same = target !== undefined && standing !== undefined && canonical(target) === canonical(standing);
          assert.equal(told.has(id), !same, id);
        }
        for (const { message } of leftAlone) assert.notEqual(message, '');
      }),
      RUNS,
    );
  });
});

describe('a removal', () => {
  const removals = (given: View) => plan(given).changes.filter(({ action }) => action === 'deregister');

  it('is never planned for an entry that an endpoint stands behind', () => {
    fc.assert(
      fc.property(views, (given) => {
        const behind = new Set(
          desired(given, normalise).flatMap(({ instances, unfit }) => [
            ...instances.map(({ id }) => id),
            ...unfit.map((one) => one.instance),
          ]),
        );
        for (const { instance: one } of removals(given)) assert.ok(!behind.has(one.id));
      }),
      RUNS,
    );
  });

  it('is never planned when the Service, or the registration that the entry names, is missing', () => {
    fc.assert(
      fc.property(views, (given) => {
        for (const { instance: one } of removals(given)) {
          assert.notEqual(given.service.state, 'missing');
          const state = given.registrations[one.marks.registration];
          assert.ok(state !== undefined && state !== 'missing' && state !== 'other-registry', state);
          if (given.coverage === 'unknown')
            assert.match(given.service.state, /deleted|proved-absent/, 'evidence enough');
        }
      }),
      RUNS,
    );
  });

  it('is never planned for want of endpoints that nobody has told of', () => {
    fc.assert(
      fc.property(views, (given) => {
        const explicit = ['ServiceDeleted', 'OptedOut', 'NotSelected', 'RegistrationDeleted', 'NameConflict'];
        const unknown: View = { ...given, endpoints: 'unknown' };
        for (const { reason } of removals(unknown)) assert.ok(explicit.includes(reason), reason);
      }),
      RUNS,
    );
  });

  it('is never planned against the policy of the registration that wrote the entry, while that is there', () => {
    fc.assert(
      fc.property(views, (given) => {
        for (const { instance: one } of removals(given)) {
          const state = given.registrations[one.marks.registration];
          const policy = given.policies[one.marks.registration];
          if (state === 'deleting') assert.equal(policy?.deletionPolicy, 'Delete');
          else if (isGone(state)) assert.equal(one.marks.retained, false);
          else assert.ok(policy === undefined || (policy.updatePolicy === 'Sync' && !policy.suspend));
        }
      }),
      RUNS,
    );
  });

  it('is never planned for bad input: a registration that cannot be carried out holds its entries, except under a lost name', () => {
    fc.assert(
      fc.property(views, (given) => {
        if (given.service.state !== 'present') return;
        const wanted = desired(given, normalise);
        for (const { instance: one, reason } of removals(given)) {
          const author = wanted.find(({ registration: by }) => registrationId(by) === one.marks.registration);
          if (author?.problem === undefined) continue;
          assert.equal(reason, 'NameConflict');
          assert.ok(author.lostNames.includes(one.service));
        }
      }),
      RUNS,
    );
  });

  it('is planned for no more entries when less is known', () => {
    fc.assert(
      fc.property(views, fc.constantFrom('service', 'endpoints', 'registrations', 'coverage'), (given, what) => {
        const less: View = {
          ...given,
          ...(what === 'service' ? { service: { state: 'missing' }, slices: [] } : {}),
          ...(what === 'endpoints' ? { endpoints: 'unknown' } : {}),
          ...(what === 'coverage' ? { coverage: 'unknown' } : {}),
          ...(what === 'registrations' ? { registrations: {}, policies: {} } : {}),
        };
        const before = new Set(removals(given).map(({ instance: one }) => one.id));
        for (const { instance: one } of removals(less)) assert.ok(before.has(one.id));
      }),
      RUNS,
    );
  });
});

describe('a suspended registration, and one on a dry run', () => {
  it('writes nothing at all', () => {
    fc.assert(
      fc.property(views, fc.constantFrom({ suspend: true }, { updatePolicy: 'DryRun' as const }), (given, spec) => {
        const still: View = {
          ...given,
          covering: given.covering.map((one) =>
            one.kind === 'ServiceRegistration'
              ? { ...one, spec: { ...one.spec, ...spec } }
              : { ...one, spec: { ...one.spec, ...spec } },
          ),
          policies: Object.fromEntries(
            Object.entries(given.policies).map(([id, policy]) => [id, { ...policy, ...spec }]),
          ),
        };
        const gone = new Set(Object.entries(still.registrations).flatMap(([id, state]) => (isGone(state) ? [id] : [])));
        for (const { instance: one } of plan(still).changes) assert.ok(gone.has(one.marks.registration));
      }),
      RUNS,
    );
  });
});
