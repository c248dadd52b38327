import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Registration, RegistrationSpec, RegistrationStatus } from '../../src/api/kinds.generated.ts';
import { conditions, no, summary, unknown, yes } from '../../src/mirror/conditions.ts';
import type { Problem } from '../../src/mirror/ports.ts';
import {
  type Outcome,
  type RegistrationFacts,
  registrationStatus,
  type ServiceFacts,
} from '../../src/mirror/status.ts';
import { brokenRules, kstatus } from './condition-rules.ts';
import { clusterRegistration, condition, NOW, registration } from './objects.ts';

const LATER = '2026-02-01T00:05:00Z';

const outcome = (changes: Partial<Outcome> = {}): Outcome => ({
  uid: 'uid-of-shop-web',
  generation: 1,
  desired: 3,
  standing: 3,
  names: ['web'],
  notes: [],
  refused: [],
  withheld: 0,
  ...changes,
});

const fact = (changes: Partial<ServiceFacts> = {}): ServiceFacts => ({
  owner: 'shop/web',
  outcome: outcome(),
  registered: 3,
  healthy: 2,
  ...changes,
});

const facts = (changes: Partial<RegistrationFacts> = {}): RegistrationFacts => ({
  registration: registration(),
  registry: { state: 'up' },
  services: [fact()],
  strays: 0,
  now: NOW,
  ...changes,
});

const problem = (code: Problem['code'], message = 'what to do'): Problem => ({ code, message });
const refusal = (permanent: boolean, instance = 'i') => ({
  instance,
  code: 'RegistryRefused',
  message: 'no',
  permanent,
});

/** `Ready=True Synced, Accepted=True Accepted, …` */
function told(changes: Partial<RegistrationFacts>): Readonly<Record<string, string>> {
  const given = facts(changes);
  const status = registrationStatus(given);
  assert.deepEqual(brokenRules({ ...given.registration, status }), []);
  return Object.fromEntries((status.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

describe('the conditions of a registration', () => {
  const ready = (reason: string) => ({ Ready: `True ${reason}` });
  const working = (reason: string) => ({ Ready: `Unknown ${reason}`, Reconciling: `True ${reason}` });
  const failed = (reason: string) => ({ Ready: `False ${reason}`, Stalled: `True ${reason}` });
  const accepted = { Accepted: 'True Accepted' };
  const by = (spec: Partial<RegistrationSpec>) => registration(spec);
  const many = (...of: readonly Partial<ServiceFacts>[]) =>
    of.map((one, index) => fact({ owner: `shop/s${index}`, ...one }));
  const selecting = registration({ selector: {} });

  const rows: readonly [
    name: string,
    changes: Partial<RegistrationFacts>,
    conditions: Readonly<Record<string, string>>,
  ][] = [
    ['all is there', {}, { ...ready('Synced'), ...accepted, Synced: 'True Synced' }],
    [
      'nothing is selected',
      { registration: selecting, services: [] },
      { ...ready('Synced'), ...accepted, Synced: 'True Synced' },
    ],
    [
      'the Service has not been looked at',
      { services: [{ owner: 'shop/web', registered: 0, healthy: 0 }] },
      { ...working('Progressing'), Accepted: 'Unknown Progressing', Synced: 'False Progressing' },
    ],
    [
      'one of many has not been looked at',
      { registration: selecting, services: [...many({}), { owner: 'shop/z', registered: 0, healthy: 0 }] },
      { ...working('Progressing'), ...accepted, Synced: 'False Progressing' },
    ],
    [
      'the registry is being read',
      { registry: { state: 'opening' } },
      { ...working('Progressing'), ...accepted, Synced: 'Unknown Progressing' },
    ],
    [
      'the registry does not answer',
      { registry: { state: 'down', message: 'no route' } },
      { ...working('RegistryUnreachable'), ...accepted, Synced: 'Unknown RegistryUnreachable' },
    ],
    [
      'the registry may take later what it refused',
      { services: [fact({ outcome: outcome({ refused: [refusal(false)] }) })] },
      { ...working('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
    [
      'the registry will never take it',
      { services: [fact({ outcome: outcome({ refused: [refusal(true)] }) })] },
      { ...failed('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
    [
      'some of it may still pass',
      { services: [fact({ outcome: outcome({ refused: [refusal(true), refusal(false)] }) })] },
      { ...working('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
    [
      'it is suspended',
      { registration: by({ suspend: true }) },
      { ...ready('Suspended'), ...accepted, Synced: 'Unknown Suspended' },
    ],
    [
      'it is a dry run with differences',
      {
        registration: by({ updatePolicy: 'DryRun' }),
        services: [fact({ outcome: outcome({ withheld: 3 }), registered: 0 })],
      },
      { ...ready('DryRun'), ...accepted, Synced: 'False DryRun' },
    ],
    [
      'it is a dry run without',
      { registration: by({ updatePolicy: 'DryRun' }) },
      { ...ready('Synced'), ...accepted, Synced: 'True Synced' },
    ],
    [
      'it is a dry run that would remove what it covers no more',
      { registration: by({ updatePolicy: 'DryRun' }), strays: 1 },
      { ...ready('DryRun'), ...accepted, Synced: 'False DryRun' },
    ],
    [
      'its policy leaves a difference',
      {
        registration: by({ updatePolicy: 'UpsertOnly' }),
        services: [fact({ outcome: outcome({ withheld: 1 }), registered: 4 })],
      },
      { ...ready('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
    [
      'its policy leaves what it covers no more',
      { registration: by({ updatePolicy: 'UpsertOnly' }), strays: 2 },
      { ...ready('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
    [
      'entries of what it covers no more are still to go',
      { strays: 2 },
      { ...working('Progressing'), ...accepted, Synced: 'False Progressing' },
    ],
    [
      'entries are held for want of evidence',
      { services: [fact({ outcome: outcome({ desired: 0, held: 'no slices' }) })] },
      { ...working('Progressing'), ...accepted, Synced: 'False Progressing' },
    ],
    [
      'entries went since the last look',
      { services: [fact({ registered: 2 })] },
      { ...working('Progressing'), ...accepted, Synced: 'False Progressing' },
    ],
    [
      'entries came since the last look',
      { services: [fact({ registered: 4 })] },
      { ...working('Progressing'), ...accepted, Synced: 'False Progressing' },
    ],
    [
      'it is refused as a whole',
      { problem: { reason: 'RegistryNotFound', message: 'create it' }, services: [] },
      { ...failed('RegistryNotFound'), Accepted: 'False RegistryNotFound', Synced: 'False RegistryNotFound' },
    ],
    [
      'its Service is not there',
      { services: [fact({ outcome: outcome({ problem: problem('ServiceNotFound'), desired: 0 }), registered: 0 })] },
      { ...failed('ServiceNotFound'), Accepted: 'False ServiceNotFound', Synced: 'False PartiallySynced' },
    ],
    [
      'its Service lacks the port',
      { services: [fact({ outcome: outcome({ problem: problem('PortNotFound'), desired: 0 }), registered: 0 })] },
      { ...failed('PortNotFound'), Accepted: 'False PortNotFound', Synced: 'True Synced' },
    ],
    [
      'its name cannot be held',
      { services: [fact({ outcome: outcome({ problem: problem('NameNotAllowed'), desired: 0 }), registered: 0 })] },
      { ...failed('InvalidSpec'), Accepted: 'False InvalidSpec', Synced: 'False PartiallySynced' },
    ],
    [
      'one of many lacks the port',
      {
        registration: selecting,
        services: many({}, { outcome: outcome({ problem: problem('PortNotFound'), desired: 0 }), registered: 0 }),
      },
      { ...ready('Synced'), ...accepted, Synced: 'True Synced' },
    ],
    [
      'one of many lacks the port that its entries have',
      {
        registration: selecting,
        services: many({}, { outcome: outcome({ problem: problem('PortNotFound'), desired: 0 }), registered: 2 }),
      },
      { ...failed('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
    [
      'one of many loses its name',
      {
        registration: clusterRegistration(),
        services: many({}, { outcome: outcome({ problem: problem('NameConflict'), desired: 0 }), registered: 0 }),
      },
      { ...failed('NameConflict'), Accepted: 'False NameConflict', Synced: 'False PartiallySynced' },
    ],
    [
      'one of many has several ports under one name',
      {
        registration: selecting,
        services: many({}, { outcome: outcome({ problem: problem('InvalidSpec'), desired: 0 }), registered: 0 }),
      },
      { ...failed('PartiallySynced'), ...accepted, Synced: 'False PartiallySynced' },
    ],
  ];
  for (const [name, changes, expected] of rows) it(`when ${name}`, () => assert.deepEqual(told(changes), expected));

  it('tell in Ready what decides', () => {
    const status = registrationStatus(facts({ registry: { state: 'down', message: 'no route to consul' } }));
    const message = (type: string) => status.conditions?.find((one) => one.type === type)?.message;
    assert.equal(message('Ready'), 'no route to consul');
    assert.equal(message('Reconciling'), 'no route to consul');
  });

  it('count the Services with problems behind the first', () => {
    const trouble = (n: number) =>
      fact({
        owner: `shop/s${n}`,
        outcome: outcome({ problem: problem('NameConflict', `conflict ${n}`), desired: 0 }),
        registered: 0,
      });
    const status = registrationStatus(
      facts({ registration: clusterRegistration(), services: [trouble(2), trouble(1), trouble(3)] }),
    );
    assert.match(status.conditions?.[0]?.message ?? '', /^conflict 1 \(and 2 more Services/);
  });
});

describe('the numbers of a registration', () => {
  it('are sums over its Services, and over what it leaves elsewhere', () => {
    const services = [fact(), fact({ owner: 'shop/b', outcome: outcome({ desired: 1 }), registered: 2, healthy: 1 })];
    const status = registrationStatus(facts({ services, strays: 4 }));
    assert.deepEqual(status.instances, { desired: 4, registered: 9, healthy: 3 });
    assert.deepEqual(status.services, { matched: 2, synced: 1 });
  });

  it('come with the first ten names, sorted, each once', () => {
    const services = Array.from({ length: 15 }, (_, n) =>
      fact({ owner: `shop/${n}`, outcome: outcome({ names: [`n${String(99 - n)}`, 'same'] }) }),
    );
    const { names = [] } = registrationStatus(facts({ services }));
    assert.deepEqual(names, ['n85', 'n86', 'n87', 'n88', 'n89', 'n90', 'n91', 'n92', 'n93', 'n94']);
  });

  it('come with the first ten failures: problems, refusals and notes, with service and instance', () => {
    const services = Array.from({ length: 12 }, (_, n) =>
      fact({ owner: `shop/${String.fromCharCode(108 - n)}`, outcome: outcome({ refused: [refusal(true, `i${n}`)] }) }),
    );
    const { failures = [] } = registrationStatus(facts({ services }));
    assert.equal(failures.length, 10);
    assert.deepEqual(failures[0], { service: 'shop/a', instance: 'i11', code: 'RegistryRefused', message: 'no' });
    const notes = [{ code: 'InvalidAnnotation', message: 'ignored' }];
    const [one] = registrationStatus(facts({ services: [fact({ outcome: outcome({ notes }) })] })).failures ?? [];
    assert.deepEqual(one, { service: 'shop/web', code: 'InvalidAnnotation', message: 'ignored' });
  });
});

describe('a reconcile that was asked for', () => {
  const asked = (at: string, status?: RegistrationStatus): Registration =>
    registration({}, { annotations: { 'roster.dev/reconcile-at': at }, ...(status === undefined ? {} : { status }) });

  it('is echoed once every Service was looked at', () => {
    assert.equal(registrationStatus(facts({ registration: asked('t1') })).lastHandledReconcileAt, 't1');
  });

  it('is not echoed before', () => {
    const before = { observedGeneration: 1, lastHandledReconcileAt: 't0' };
    const services = [{ owner: 'shop/web', registered: 0, healthy: 0 }];
    assert.equal(
      registrationStatus(facts({ registration: asked('t1', before), services })).lastHandledReconcileAt,
      't0',
    );
    assert.equal('lastHandledReconcileAt' in registrationStatus(facts({ registration: asked('t1'), services })), false);
  });
});

describe('the conditions', () => {
  const bad = {
    True: summary(yes('Synced', 'm')),
    Unknown: summary(unknown('Progressing', 'm')),
    False: summary(no('InvalidSpec', 'm')),
  };

  it('sum up to Ready and what it asks for', () => {
    assert.deepEqual(Object.keys(bad.True), ['Ready']);
    assert.deepEqual(Object.keys(bad.Unknown), ['Ready', 'Reconciling']);
    assert.deepEqual(Object.keys(bad.False), ['Ready', 'Stalled']);
  });

  it('keep their transition time while their status stays, whatever else changes', () => {
    const before = [condition('Ready', { status: 'True', reason: 'Synced', message: 'old', observedGeneration: 1 })];
    const [after] = conditions({ Ready: yes('DryRun', 'new') }, before, 2, LATER);
    assert.deepEqual(after, {
      type: 'Ready',
      status: 'True',
      reason: 'DryRun',
      message: 'new',
      observedGeneration: 2,
      lastTransitionTime: before[0]?.lastTransitionTime,
    });
    const [moved] = conditions({ Ready: no('InvalidSpec', 'new') }, before, 2, LATER);
    assert.equal(moved?.lastTransitionTime, LATER);
  });

  it('let no transition time go back, though the clock of another machine is behind, or was set back', () => {
    const before = [condition('Ready', { status: 'True', lastTransitionTime: LATER })];
    const [after] = conditions({ Ready: no('InvalidSpec', 'new') }, before, 1, NOW);
    assert.deepEqual([after?.status, after?.lastTransitionTime], ['False', LATER]);
  });

  it('are cut where a message is too long to read', () => {
    const [cut] = conditions({ Ready: yes('Synced', 'x'.repeat(100_000)) }, [], 1, NOW);
    assert.ok((cut?.message.length ?? 0) <= 1024);
    assert.match(cut?.message ?? '', /…$/);
  });
});

const problems = fc.option(
  fc.record({
    code: fc.constantFrom<Problem['code']>(
      'PortNotFound',
      'ServiceNotFound',
      'NameConflict',
      'NameNotAllowed',
      'InvalidSpec',
      'NotYetSupported',
      'NamespaceNotAllowed',
    ),
    message: fc.constantFrom('do this', 'do that'),
  }),
  { nil: undefined, freq: 2 },
);
const anyOutcome = fc
  .record({
    desired: fc.nat(3),
    names: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
    problem: problems,
    refused: fc.array(fc.record({ instance: fc.constantFrom('i', 'j'), permanent: fc.boolean() }), { maxLength: 2 }),
    withheld: fc.constantFrom(0, 0, 2),
    held: fc.option(fc.constant('held'), { nil: undefined, freq: 1 }),
    notes: fc.constantFrom([], [{ code: 'InvalidAnnotation', message: 'ignored' }]),
  })
  .map(({ problem, held, refused, ...rest }) =>
    outcome({
      ...rest,
      ...(problem === undefined ? {} : { problem, desired: 0 }),
      ...(held === undefined ? {} : { held }),
      refused: refused.map(({ instance, permanent }) => refusal(permanent, instance)),
    }),
  );
const anyService = fc
  .record({
    owner: fc.constantFrom('shop/a', 'shop/b', 'shop/c', 'shop/web'),
    outcome: fc.option(anyOutcome, { nil: undefined }),
    registered: fc.nat(3),
    healthy: fc.nat(3),
  })
  .map(({ outcome: said, ...rest }): ServiceFacts => ({ ...rest, ...(said === undefined ? {} : { outcome: said }) }));
const anyFacts = fc
  .record({
    kind: fc.constantFrom('single', 'selecting', 'cluster'),
    spec: fc.record({
      suspend: fc.boolean(),
      updatePolicy: fc.constantFrom('Sync' as const, 'UpsertOnly' as const, 'CreateOnly' as const, 'DryRun' as const),
    }),
    meta: fc.record({
      generation: fc.constantFrom(1, 2, 9),
      annotations: fc.constantFrom({}, { 'roster.dev/reconcile-at': 't1' }),
    }),
    problem: fc.option(
      fc.constantFrom(
        { reason: 'RegistryNotFound' as const, message: 'create it' },
        { reason: 'NamespaceNotAllowed' as const, message: 'ask' },
      ),
      { nil: undefined, freq: 1 },
    ),
    registry: fc.constantFrom<RegistrationFacts['registry']>(
      { state: 'up' },
      { state: 'up' },
      { state: 'opening' },
      { state: 'down', message: 'no route' },
    ),
    services: fc.uniqueArray(anyService, { maxLength: 4, selector: ({ owner }) => owner }),
    strays: fc.constantFrom(0, 0, 3),
  })
  .map(({ kind, spec, meta, problem: whole, services, ...rest }): RegistrationFacts => {
    const of =
      kind === 'single'
        ? registration({ ...spec, serviceRef: { name: 'web' } }, meta)
        : kind === 'selecting'
          ? registration({ ...spec, selector: {} }, meta)
          : clusterRegistration(spec, meta);
    return facts({
      ...rest,
      registration: of,
      services: kind === 'single' ? services.slice(0, 1) : services,
      ...(whole === undefined ? {} : { problem: whole }),
    });
  });

function withStatus(given: Registration, status: RegistrationStatus | undefined, generation?: number): Registration {
  const meta = {
    ...given.metadata,
    ...(generation === undefined ? {} : { generation }),
    ...(status === undefined ? {} : { status }),
  };
  return given.kind === 'ServiceRegistration' ? registration(given.spec, meta) : clusterRegistration(given.spec, meta);
}

describe('every status of a registration that can come of any facts', () => {
  it('keeps the rules, and so after any other', () => {
    fc.assert(
      fc.property(fc.array(anyFacts, { minLength: 1, maxLength: 4 }), (sequence) => {
        let status: RegistrationStatus | undefined;
        let previous: unknown;
        sequence.forEach((given, index) => {
          // One object through time: its generation does not go back.
          const older = withStatus(given.registration, status, 10 + index);
          const now = new Date(Date.parse(NOW) + index * 1_000).toISOString().replace(/\.\d+Z$/, 'Z');
          status = registrationStatus({ ...given, registration: older, now });
          const object = withStatus(older, status);
          assert.deepEqual(brokenRules(object, { previous }), []);
          previous = object;
        });
      }),
      { numRuns: 500 },
    );
  });

  it('is the same for the same facts, whatever the time and the order in which they come, so nothing is written', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const status = registrationStatus(given);
        const again: RegistrationFacts = {
          ...given,
          registration: withStatus(given.registration, status),
          services: given.services
            .toReversed()
            .map((one) =>
              one.outcome === undefined
                ? one
                : { ...one, outcome: { ...one.outcome, refused: one.outcome.refused.toReversed() } },
            ),
          now: LATER,
        };
        assert.deepEqual(registrationStatus(again), status);
      }),
      { numRuns: 500 },
    );
  });

  it('says Synced only when nothing differs, nothing waits and nobody was refused', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const status = registrationStatus(given);
        if (!status.conditions?.some(({ type, status }) => type === 'Synced' && status === 'True')) return;
        assert.equal(given.registry.state, 'up');
        assert.equal(given.problem, undefined);
        assert.equal(given.strays, 0);
        assert.equal(status.instances?.desired, status.instances?.registered);
        for (const { outcome: said, registered } of given.services) {
          assert.ok(said);
          assert.deepEqual([said.refused, said.withheld, said.held], [[], 0, undefined]);
          assert.ok(said.problem === undefined ? said.desired === registered : registered === 0);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('is read by kstatus as Current only when it is Ready', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const status = registrationStatus(given);
        const isReady = status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
        assert.equal(kstatus({ ...given.registration, status }) === 'Current', isReady);
      }),
    );
  });
});
